//! What a run says while it goes on.

use std::fmt::Display;
use std::io::Write as _;

/// Writes a line to standard error. Nobody may be there to read it, as after SIGHUP: the files are what stays.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
