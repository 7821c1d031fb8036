//! Programs that nobody here wrote. `tests/run` installs them; without them, a test that needs one is skipped aloud, and
//! fails where nobody would hear it.

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

/// `curl`, as scripts call it: no progress, but errors.
pub fn curl() -> Option<Command> {
    let mut curl = have("curl", runs("curl"))?;
    // No `.curlrc` of whoever runs the tests.
    curl.args(["-q", "--silent", "--show-error", "--max-time", "20"]);
    Some(curl)
}

/// A script, named from `tests/clients`, that is run by Bash and runs `curl`.
pub fn bash(script: &str) -> Option<Command> {
    curl()?;
    let mut command = have("Bash", runs("bash"))?;
    command.arg(clients().join(script));
    Some(command)
}

/// A script of `tests/clients`, run by Python with its packages.
pub fn python(script: &str) -> Option<Command> {
    let python = tools().join("venv/bin/python");
    let mut command = have("Python packages", runs(&python).filter(|_| is_installed()))?;
    command.arg(clients().join(script));
    Some(command)
}

/// A script of `tests/clients`, run by Node.js with its packages.
pub fn node(script: &str) -> Option<Command> {
    let mut command = have("Node.js packages", runs("node").filter(|_| is_installed()))?;
    command.env("NODE_PATH", tools().join("node_modules"));
    command.arg(clients().join(script));
    Some(command)
}

/// `openssl`.
pub fn openssl() -> Option<Command> {
    have("openssl", answers("openssl", "version"))
}

/// A script of `tests/clients` that drives Chromium.
pub fn browser(script: &str) -> Option<Command> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&folders).map(|folder| folder.join("chromium"));
    let chromium = programs.into_iter().find(|program| runs(program).is_some());
    have("chromium", chromium.as_ref().map(Command::new))?;
    let mut command = node(script)?;
    command.env("CHROMIUM", chromium?);
    Some(command)
}

/// The runner of the Autobahn WebSocket suite.
pub fn autobahn() -> Option<Command> {
    let runner = runs("python3").filter(|_| tools().join("autobahn/stamp").exists());
    let mut command = have("the Autobahn suite", runner)?;
    command.arg(tests().join("autobahn/run"));
    Some(command)
}

/// True if this process may have so many files open.
pub fn open_files(count: u64) -> bool {
    let may_have = rlimit::increase_nofile_limit(count).is_ok_and(|limit| limit >= count);
    if !may_have {
        skip(&format!("{count} open files: raise ulimit -n"));
    }
    may_have
}

fn have(name: &str, command: Option<Command>) -> Option<Command> {
    if command.is_none() {
        skip(&format!("{name}: run tests/run"));
    }
    command
}

fn skip(what: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(std::env::var_os("CI").is_none(), "needs {what}");
    // Past the capture of a test's output, which is not shown when it passes.
    let _ = writeln!(std::io::stderr(), "skipped: needs {what} ({test})");
}

/// A program, if it can be run.
fn runs(program: impl Into<PathBuf>) -> Option<Command> {
    answers(program, "--version")
}

/// A program, if it can be asked for its version in this way.
fn answers(program: impl Into<PathBuf>, version: &str) -> Option<Command> {
    let program = program.into();
    let mut probe = std::process::Command::new(&program);
    probe.arg(version).stdin(Stdio::null());
    let output = probe.output().ok()?;
    output.status.success().then(|| Command::new(program))
}

/// The stamp is the last thing that `tests/run` writes when it installs.
fn is_installed() -> bool {
    tools().join("stamp").exists()
}

fn tools() -> PathBuf {
    std::env::var_os("EVERYWAY_TEST_TOOLS").map_or_else(|| tests().join(".tools"), PathBuf::from)
}

fn clients() -> PathBuf {
    tests().join("clients")
}

fn tests() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests")
}
