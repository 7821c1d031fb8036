//! How messages name files.

use std::path::{Path, PathBuf};

/// A path from the root, for messages: what a relative one means depends on where the program was started. Where that is not
/// known, the path as it is.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
