//! Signals, such as that of Ctrl-C, end a wait of the system and not the work: what was interrupted is done again.

use std::io::{ErrorKind, Result};

/// Does it until no signal comes in between. What waits for a time must take what is left of it each time.
pub fn uninterrupted<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_interrupted_is_done_again_and_nothing_else_is() {
        let mut outcomes = [
            Err(ErrorKind::Interrupted),
            Err(ErrorKind::Interrupted),
            Ok(7),
        ]
        .into_iter();
        let mut next = || outcomes.next().unwrap_or(Ok(0)).map_err(Into::into);
        assert_eq!(uninterrupted(&mut next).unwrap(), 7);
        let mut calls = 0;
        let error = uninterrupted(|| -> Result<()> {
            calls += 1;
            Err(ErrorKind::WouldBlock.into())
        });
        assert_eq!(error.unwrap_err().kind(), ErrorKind::WouldBlock);
        assert_eq!(calls, 1);
    }
}
