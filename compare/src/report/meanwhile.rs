//! The reports of a run that is not over, so that who ends it by force has what was done.

use std::path::Path;
use std::time::{Duration, Instant};

use super::write;
use crate::results::Results;

/// Of the time of a run, one part in so many may go into its reports.
const SHARE: u32 = 20;

/// Writes reports between the cells of a run: after each of them, as long as that takes a twentieth of the time at most. Only
/// a matrix of thousands of cells takes longer to write.
#[derive(Debug)]
pub struct Meanwhile<'a> {
    folder: &'a Path,
    /// When the next one may be written.
    due: Instant,
}

impl<'a> Meanwhile<'a> {
    /// Into a folder that exists. The first one is due at once.
    pub fn into(folder: &'a Path) -> Self {
        Self {
            folder,
            due: Instant::now(),
        }
    }

    /// Writes them if they are due.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn write(&mut self, results: &Results) -> anyhow::Result<()> {
        let began = Instant::now();
        if began < self.due {
            return Ok(());
        }
        write(results, self.folder)?;
        let ended = Instant::now();
        self.due = ended + pause(ended - began);
        Ok(())
    }
}

/// How long nothing is written after something that took so long.
fn pause(took: Duration) -> Duration {
    took * (SHARE - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn reports_take_a_twentieth_of_the_time() {
        let took = Duration::from_millis(10);
        assert_eq!(took * 20, took + pause(took));
    }

    #[test]
    fn a_report_that_is_not_due_is_not_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let report = folder.path().join("report.md");
        let mut meanwhile = Meanwhile::into(folder.path());
        meanwhile.due += Duration::from_secs(600);
        meanwhile.write(&sample::four()).expect("nothing to write");
        assert!(!report.exists());
        meanwhile.due = Instant::now();
        meanwhile.write(&sample::four()).expect("written");
        assert!(report.exists() && meanwhile.due > Instant::now());
    }
}
