//! Which folder the results of a run go to.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::output::Output;

/// Where the folders of all runs are, unless another is named.
const ALL: &str = "target/compare";
/// How many runs may begin in one second.
const RUNS_PER_S_MAX: usize = 1000;

/// The folder that was named, whatever is in it, or else one that no other run has: `target/compare/TIME`, or `TIME-2` and so
/// on if others began in the same second.
///
/// # Errors
/// If nothing can be written there.
pub fn make(named: Option<&Path>) -> Result<Output> {
    match named {
        Some(named) => Output::into(named),
        None => {
            let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
            Output::into(&make_new(Path::new(ALL), &now.replace(':', "-"))?)
        }
    }
}

/// Makes a folder that was not there before.
fn make_new(all: &Path, name: &str) -> Result<PathBuf> {
    let cannot = || {
        let all = all.display();
        format!("cannot make a folder in {all}: name one by --out")
    };
    fs::create_dir_all(all).with_context(cannot)?;
    for run in 1..=RUNS_PER_S_MAX {
        let folder = match run {
            1 => all.join(name),
            _ => all.join(format!("{name}-{run}")),
        };
        // The system lets only one of two make it.
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(cannot),
        }
    }
    bail!("{RUNS_PER_S_MAX} runs began at {name}: name a folder by --out")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_begin_together_have_a_folder_each() {
        let all = tempfile::tempdir().expect("a folder");
        let make = || make_new(all.path(), "TIME").expect("another");
        let mut made: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            let made = threads
                .into_iter()
                .map(|thread| thread.join().expect("made"));
            made.collect()
        });
        made.sort();
        let expected = ["TIME", "TIME-2", "TIME-3", "TIME-4"];
        assert_eq!(made, expected.map(|name| all.path().join(name)));
    }

    #[test]
    fn of_one_second_so_many_and_no_more() {
        let all = tempfile::tempdir().expect("a folder");
        for _ in 0..RUNS_PER_S_MAX {
            make_new(all.path(), "TIME").expect("another");
        }
        let error = make_new(all.path(), "TIME").expect_err("too many");
        assert!(error.to_string().contains("--out"), "{error}");
    }

    #[test]
    fn a_folder_that_was_named_may_be_there() {
        let named = tempfile::tempdir().expect("a folder");
        for _ in 0..2 {
            let output = make(Some(named.path())).expect("the folder");
            assert_eq!(output.folder(), named.path());
        }
    }
}
