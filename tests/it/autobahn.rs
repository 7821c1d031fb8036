//! The Autobahn WebSocket suite, which nobody here wrote: its fast part, against the program as it is run.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::support::need;
use super::support::program::Program;

/// Longer than the runner waits for the suite, so that its summary says what hung.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_autobahn_suite_finds_no_fault() {
    let Some(mut suite) = need::autobahn() else {
        return;
    };
    let mut serve = Command::new(env!("CARGO_BIN_EXE_everyway"));
    serve.args(["serve", "--echo", "--listen", "127.0.0.1:0"]);
    let mut gateway = Program::start(serve);
    let url = loop {
        let Some(line) = gateway.line().await else {
            gateway.fail("ended before it said where it listens");
        };
        let mut words = line.split_whitespace();
        if let Some(address) = words.find_map(|word| word.strip_prefix("http://")) {
            let host = address.split('/').next().expect("a host");
            break format!("ws://{host}/v1/echo");
        }
    };
    let report = tempfile::tempdir().expect("a folder");
    suite.args([&url, "fast"]).arg(report.path());
    suite.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, suite.output())
        .await
        .expect("the runner gives up by itself")
        .expect("the runner starts");
    let summary = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{summary}{errors}");
}
