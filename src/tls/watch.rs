//! Whether files are as they were.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// Files as they were when they were looked at: when each was changed, and how long it was. A file that is missing is
/// different from one that is there.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen(Vec<Option<(SystemTime, u64)>>);

impl Seen {
    /// Looks at files.
    pub fn look(paths: &[&Path]) -> Self {
        Self(paths.iter().map(|path| state(path)).collect())
    }
}

fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
