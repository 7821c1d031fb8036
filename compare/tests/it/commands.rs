//! The program as people run it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use compare::cell::{Cell, Network, Protocol, Rate, Transport};
use compare::network::namespace::Order;
use compare::results::Results;
use compare::run::{Outcome, Timing};
use rustix::process::{Pid, Signal, kill_process};

/// How long anything may take that should happen soon. Generous, because machines are shared.
const SOON: Duration = Duration::from_secs(60);

pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compare"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

pub fn results(folder: &Path) -> Option<Results> {
    let text = std::fs::read_to_string(folder.join("results.json")).ok()?;
    Some(serde_json::from_str(&text).expect("a file is whole whenever it is read"))
}

/// Asks again and again; says what did not happen.
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < SOON, "hung for {SOON:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it runs");
}

/// The network namespaces that a process made.
fn namespaces(child: &Child) -> Vec<String> {
    let prefix = format!("everyway-compare-{}-", child.id());
    let names = std::fs::read_dir("/run/netns").into_iter().flatten();
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

/// Whichever moment a signal comes at: the first namespace is made before anything is measured.
#[test]
fn a_terminated_run_leaves_a_report_and_no_namespace() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = program()
        .args(["--quick", "--only", "sse", "--subscribers", "2"])
        .args(["--network", "loss", "--out"])
        .arg(folder.path())
        .spawn()
        .expect("it starts");
    let is_made = until("a namespace, or the end", || {
        let ended = child.try_wait().expect("a child").is_some();
        (ended || !namespaces(&child).is_empty()).then_some(!ended)
    });
    if !is_made {
        eprintln!("skipped: this machine allows no network namespaces");
        return;
    }
    signal(&child, Signal::TERM);
    let status = until("the program to end", || child.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(130));
    assert_eq!(namespaces(&child), Vec::<String>::new());
    assert!(!results(folder.path()).expect("results").complete);
}

#[test]
fn signals_to_end_leave_a_report_of_what_was_done() {
    for asked in [Signal::INT, Signal::TERM, Signal::HUP] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = program()
            .arg("--out")
            .arg(folder.path())
            .args(["--quick"])
            .spawn()
            .expect("it starts");
        until("the first cell", || {
            results(folder.path()).filter(|results| !results.cells.is_empty())
        });
        signal(&child, asked);
        let status = until("the program to end", || child.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(130), "{asked:?}");
        let results = results(folder.path()).expect("results");
        assert!(!results.complete && !results.cells.is_empty());
        assert!(
            folder.path().join("report.md").exists(),
            "there is a report"
        );
    }
}

/// Nothing can be done about it any more: what there is has to be on disk before.
#[test]
fn a_run_that_is_killed_has_left_a_report_of_what_was_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = program()
        .arg("--out")
        .arg(folder.path())
        .args(["--quick"])
        .spawn()
        .expect("it starts");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    until("a report of a cell", || {
        let has_cell = read("report.md").contains("| WebSocket |");
        (has_cell && read("report.html").contains("; 1 cell in")).then_some(())
    });
    child.kill().expect("it runs");
    child.wait().expect("a child");
    assert!(!results(folder.path()).expect("results").complete);
    assert!(read("report.html").contains("Not complete."));
}

#[test]
fn runs_that_begin_in_one_second_have_a_folder_each() {
    let place = tempfile::tempdir().expect("a folder");
    let begin = |_| {
        program()
            .current_dir(place.path())
            .spawn()
            .expect("it starts")
    };
    let mut runs: Vec<Child> = (0..3).map(begin).collect();
    let folders = || {
        let all = std::fs::read_dir(place.path().join("target/compare")).ok()?;
        let folders: Vec<_> = all.flatten().collect();
        let is_written = |folder: &std::fs::DirEntry| folder.path().join("results.json").exists();
        (folders.len() == 3 && folders.iter().all(is_written)).then_some(())
    };
    until("three folders with results", folders);
    for run in &mut runs {
        signal(run, Signal::INT);
        until("the program to end", || run.try_wait().expect("a child"));
    }
}

/// How a run is made in a network namespace, without the namespace.
#[test]
fn a_repeat_can_be_made_by_another_process() {
    let order = Order {
        cell: Cell {
            transport: Transport::WebSocket,
            protocol: Protocol::Http1,
            rate: Rate::Steady { per_s: 50.0 },
            payload_bytes: 32,
            subscribers: 2,
            poll_interval_s: None,
            deflate: false,
            network: Network::Loss {
                percent: 0.0,
                one_way_ms: 0.0,
            },
        },
        timing: Timing {
            warm_up: Duration::from_millis(100),
            measure: Duration::from_millis(400),
        },
        channel: "elsewhere".to_owned(),
        seed: 3,
    };
    let mut child = program();
    let mut child = child
        .arg("run")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(&serde_json::to_vec(&order).expect("JSON"))
        .expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("a child");
    let outcome: Outcome = serde_json::from_slice(&output.stdout).expect("an outcome");
    assert_eq!(outcome.delivered.deliveries.delivered, 40);
    assert_eq!(outcome.delivered.latency_us.len(), 40);
}

#[test]
fn a_bad_choice_is_refused_with_what_is_possible() {
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .args(["--only", "carrier-pigeon"])
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("longpoll"), "{said}");
}
