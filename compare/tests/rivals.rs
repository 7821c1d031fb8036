//! `compare rivals` from end to end, with Everyway alone and as little work as there can be.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;

use compare::rivals::results::{Measure, RivalsResults};
use compare::schema::Schema;
use rustix::process::{Pid, Signal, kill_process};

/// Runs the command with few of everything.
fn rivals(out: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compare"))
        .args([
            "rivals",
            "--quick",
            "--no-install",
            "--unpinned",
            "--rounds",
            "1",
        ])
        .args(["--subscribers", "5", "--connections", "20", "--out"])
        .arg(out)
        .args(arguments)
        .output()
        .unwrap()
}

fn results(out: &Path, output: &Output) -> RivalsResults {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let json = std::fs::read_to_string(out.join("rivals.json")).unwrap();
    check_schema(&json);
    serde_json::from_str(&json).unwrap()
}

/// `rivals.json` is what its schema says.
fn check_schema(json: &str) {
    let schema = serde_json::from_str(&Schema::Rivals.text()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let json = serde_json::from_str(json).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&json)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn everyway_alone_has_every_figure_and_no_ratio_to_nchan() {
    let out = tempfile::tempdir().unwrap();
    let output = rivals(out.path(), &["--only", "everyway"]);
    let results = results(out.path(), &output);
    assert!(results.complete);
    assert_eq!(results.skipped, []);
    let of = |measure| {
        results
            .rows
            .iter()
            .filter(move |row| row.measure == measure)
    };
    // A burst says nothing about a poll.
    assert_eq!(of(Measure::CpuBurst64).count(), 2);
    for measure in [
        Measure::CpuOneInFlight,
        Measure::LatencyP50,
        Measure::LatencyP99,
        Measure::Memory,
    ] {
        assert_eq!(of(measure).count(), 3, "{measure:?}");
    }
    for row in &results.rows {
        assert_eq!(row.to_nchan, None);
        assert!(row.value.median >= 0.0 && row.rounds.len() == 1, "{row:?}");
    }
    assert!(of(Measure::LatencyP99).all(|row| row.value.median > 0.0));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("long poll, latency p99"), "{table}");
}

#[test]
fn who_cannot_be_had_is_skipped_aloud_and_the_others_are_measured() {
    let out = tempfile::tempdir().unwrap();
    // Nothing is found on an empty path.
    let output = Command::new(env!("CARGO_BIN_EXE_compare"))
        .env("PATH", out.path())
        .args([
            "rivals",
            "--quick",
            "--no-install",
            "--rounds",
            "1",
            "--subscribers",
            "3",
        ])
        .args([
            "--only",
            "ws,socketio,websockets",
            "--figures",
            "cpu",
            "--transport",
            "sse",
            "--out",
        ])
        .arg(out.path())
        .output()
        .unwrap();
    let results = results(out.path(), &output);
    let skipped: Vec<_> = results
        .skipped
        .iter()
        .map(|skipped| &skipped.what[..])
        .collect();
    assert_eq!(skipped, ["Node ws", "Socket.IO", "Python websockets"]);
    for skipped in &results.skipped {
        assert!(skipped.why.starts_with("install "), "{skipped:?}");
    }
    assert_eq!(results.rows.len(), 2);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("skipped: Node ws: install Node.js"), "{said}");
}

/// A run of Everyway alone that takes long, at the beginning of a round.
struct Begun {
    child: Child,
    said: Lines<BufReader<ChildStderr>>,
    out: tempfile::TempDir,
}

impl Begun {
    fn in_round(round: usize, figures: &[&str]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_compare"))
            .args(["rivals", "--quick", "--no-install", "--unpinned"])
            .args(["--only", "everyway", "--rounds", "1000"])
            .args(["--subscribers", "3", "--figures"])
            .args(figures)
            .arg("--out")
            .arg(out.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let begins = format!("round {round}");
        assert!(said.any(|line| line.unwrap().ends_with(&begins)));
        Self { child, said, out }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The exit code, the table, and what is on disk.
    fn end(self) -> (Option<i32>, String, RivalsResults) {
        let said: Vec<String> = self.said.map(Result::unwrap).collect();
        let output = self.child.wait_with_output().unwrap();
        let json = std::fs::read_to_string(self.out.path().join("rivals.json")).unwrap();
        check_schema(&json);
        let results: RivalsResults = serde_json::from_str(&json).unwrap();
        assert!(!results.complete, "{said:?}");
        let table = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), table, results)
    }
}

fn rounds(results: &RivalsResults) -> Vec<usize> {
    results.rows.iter().map(|row| row.rounds.len()).collect()
}

#[test]
fn ctrl_c_leaves_a_table_of_what_was_done() {
    let begun = Begun::in_round(3, &["cpu", "--transport", "sse"]);
    begun.signal(Signal::INT);
    let (code, table, results) = begun.end();
    assert_eq!(code, Some(130));
    // The first round warms up, and the third was not over yet.
    assert!(matches!(rounds(&results)[..], [2..10]), "{results:?}");
    assert!(table.contains("not complete"), "{table}");
}

/// A turn of latency takes two seconds, and its load waits in the system for most of that.
#[test]
fn a_signal_in_the_midst_of_a_turn_breaks_nothing() {
    let asked = [
        (Signal::INT, 200),
        (Signal::INT, 500),
        (Signal::INT, 800),
        (Signal::TERM, 400),
        (Signal::HUP, 600),
    ];
    std::thread::scope(|scope| {
        for (signal, after_ms) in asked {
            scope.spawn(move || {
                let begun = Begun::in_round(2, &["latency", "--transport", "websocket"]);
                std::thread::sleep(Duration::from_millis(after_ms));
                begun.signal(signal);
                let (code, _, results) = begun.end();
                assert_eq!(code, Some(130), "{signal:?}");
                // The turn was finished, and with it the second round.
                assert_eq!(results.skipped, [], "{signal:?} after {after_ms} ms");
                assert_eq!(rounds(&results), [2, 2]);
            });
        }
    });
}

/// With SIGHUP the terminal goes, and with it whoever would read.
#[test]
fn a_run_that_nobody_hears_any_more_leaves_its_files() {
    let begun = Begun::in_round(3, &["cpu", "--transport", "sse"]);
    let Begun {
        mut child,
        said,
        out,
    } = begun;
    drop((said, child.stdout.take()));
    kill_process(Pid::from_child(&child), Signal::HUP).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let json = std::fs::read_to_string(out.path().join("rivals.json")).unwrap();
    let results: RivalsResults = serde_json::from_str(&json).unwrap();
    assert!(matches!(rounds(&results)[..], [2..100]), "{results:?}");
}

#[test]
fn a_run_that_is_killed_leaves_the_rounds_that_were_over() {
    let begun = Begun::in_round(3, &["cpu", "--transport", "sse"]);
    begun.signal(Signal::KILL);
    let (code, _, results) = begun.end();
    assert_eq!(code, None);
    assert!(matches!(rounds(&results)[..], [2..10]), "{results:?}");
}

#[test]
fn who_fails_keeps_its_rounds_and_they_are_invalid() {
    let begun = Begun::in_round(3, &["cpu", "--transport", "sse"]);
    let pid = begun.child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let server = children.split_whitespace().next().unwrap().parse().unwrap();
    kill_process(Pid::from_raw(server).unwrap(), Signal::KILL).unwrap();
    let said: Vec<String> = begun.said.map(Result::unwrap).collect();
    let output = begun.child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{said:?}");
    let json = std::fs::read_to_string(begun.out.path().join("rivals.json")).unwrap();
    let results: RivalsResults = serde_json::from_str(&json).unwrap();
    assert!(matches!(rounds(&results)[..], [2..10]), "{results:?}");
    assert_eq!(results.rows[0].warnings[0].code, "failed");
    assert!(!results.rows[0].is_valid());
    assert_eq!(results.skipped[0].what, "Everyway over SSE");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused_before_anything_is_installed() {
    // It exists, and nobody can write there.
    let output = rivals(Path::new("/proc"), &["--only", "everyway"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("cannot write to /proc"), "{said}");
    assert!(
        !said.contains("Everyway 0"),
        "a rival was looked for: {said}"
    );
}
