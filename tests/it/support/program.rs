//! Another program that a test talks to by its output.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::SOON;

/// A program that runs, and ends with its test at the latest. A failure shows what it printed.
pub struct Program {
    command: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::UnboundedReceiver<String>,
    printed: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts a program without input.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// Starts a program that is typed to.
    pub fn typing(command: Command) -> Self {
        Self::start_with(command, Stdio::piped())
    }

    fn start_with(mut command: Command, input: Stdio) -> Self {
        command.stdin(input).kill_on_drop(true);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = child.stdin.take();
        let printed = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = mpsc::unbounded_channel();
        let stdout = child.stdout.take().expect("a pipe");
        let stderr = child.stderr.take().expect("a pipe");
        let readers = vec![
            tokio::spawn(read(stdout, Arc::clone(&printed), Some(sender))),
            tokio::spawn(read(stderr, Arc::clone(&printed), None)),
        ];
        Self {
            command: format!("{:?}", command.as_std()),
            child,
            input,
            lines,
            printed,
            readers,
        }
    }

    /// Types a line.
    pub async fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        let input = self.input.as_mut().expect("a program that is typed to");
        let written = super::within("a program that reads", input.write_all(line.as_bytes())).await;
        if let Err(error) = written {
            self.fail(&format!("does not read: {error}"));
        }
    }

    /// Ends its input, and waits for its good end.
    pub async fn leave(mut self) -> String {
        drop(self.input.take());
        self.text().await
    }

    /// All that it printed so far, once `wanted` is part of it.
    pub async fn printed_with(&self, wanted: &str) -> String {
        let waited = async {
            while !self.printed.lock().contains(wanted) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(SOON, waited).await.is_err() {
            self.fail(&format!("hung for {SOON:?} without {wanted:?}"));
        }
        self.printed.lock().clone()
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("a program that runs");
        let statm = std::fs::read_to_string(format!("/proc/{id}/statm")).expect("Linux");
        let pages = statm.split(' ').nth(1).expect("resident pages");
        pages.parse::<u64>().expect("a number") * 4096
    }

    /// The next line, nothing at the end.
    pub async fn line(&mut self) -> Option<String> {
        match tokio::time::timeout(SOON, self.lines.recv()).await {
            Ok(line) => line,
            Err(_) => self.fail(&format!("hung for {SOON:?} without a line")),
        }
    }

    /// The next line as JSON.
    pub async fn json(&mut self) -> Value {
        match self.line().await {
            Some(line) => self.parse(&line),
            None => {
                self.exit().await;
                self.fail("ended while a line was expected")
            }
        }
    }

    /// The next line that is JSON of a type; others are passed over.
    pub async fn json_of(&mut self, kind: &str) -> Value {
        loop {
            let object = self.json().await;
            if object["type"] == kind {
                return object;
            }
        }
    }

    /// All lines to a good end.
    async fn lines(mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            lines.push(line);
        }
        match self.exit().await {
            Some(0) => lines,
            code => self.fail(&format!("ended with {code:?}")),
        }
    }

    /// All it prints to a good end.
    pub async fn text(self) -> String {
        self.lines().await.join("\n")
    }

    /// All lines to a good end, as JSON.
    pub async fn all_json(self) -> Vec<Value> {
        let lines = self.lines().await;
        let parse = |line: &String| serde_json::from_str(line).expect("a line of JSON");
        lines.iter().map(parse).collect()
    }

    async fn exit(&mut self) -> Option<i32> {
        let ended = async {
            for reader in &mut self.readers {
                reader.await.expect("a pipe that is read");
            }
            self.child.wait().await
        };
        match tokio::time::timeout(SOON, ended).await {
            Ok(status) => status.expect("a program that was started").code(),
            Err(_) => self.fail(&format!("hung for {SOON:?} after its last line")),
        }
    }

    fn parse(&self, line: &str) -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| self.fail(&format!("{error} in {line}")))
    }

    /// Fails the test, with all that the program printed.
    pub fn fail(&self, what: &str) -> ! {
        panic!(
            "{} {what}; it printed:\n{}",
            self.command,
            self.printed.lock()
        )
    }
}

async fn read(
    pipe: impl AsyncRead + Unpin,
    printed: Arc<Mutex<String>>,
    to: Option<mpsc::UnboundedSender<String>>,
) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        printed.lock().push_str(&format!("{line}\n"));
        if let Some(to) = &to {
            // Nobody listens when the test is over.
            let _ = to.send(line);
        }
    }
}
