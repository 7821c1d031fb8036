//! Payloads that carry their number and their length, so that whoever receives one knows which it is and that all of it
//! came.

use anyhow::{Context, Result};

/// The fewest bytes that hold a number and a length.
pub const BYTES_MIN: usize = 2 + NUMBER_DIGITS + 1 + LENGTH_DIGITS;

const NUMBER_DIGITS: usize = 12;
const LENGTH_DIGITS: usize = 6;
/// What fills a payload up, again and again.
const FILL: &str = " abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";

/// The payload with this number: a JSON string of so many bytes with its quotes, [`BYTES_MIN`] to 999,999.
pub fn payload(number: u64, bytes: usize) -> String {
    let fill = bytes.saturating_sub(BYTES_MIN);
    let fill: String = FILL.chars().cycle().take(fill).collect();
    format!("\"{number:0NUMBER_DIGITS$} {bytes:0LENGTH_DIGITS$}{fill}\"")
}

/// The number of a payload; an error if anything of it is not as it was sent.
pub fn number(payload: &str) -> Result<u64> {
    read(payload).with_context(|| format!("no payload of ours: {payload}"))
}

/// The payload that is due, to be compared with what comes: that is faster than to read it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    payload: Vec<u8>,
}

impl Due {
    /// The one with this number and of this many bytes.
    pub fn new(number: u64, bytes: usize) -> Self {
        Self {
            payload: payload(number, bytes).into_bytes(),
        }
    }

    /// Whether this is it, to the byte. None is before the first.
    pub fn is(&self, payload: &str) -> bool {
        !self.payload.is_empty() && self.payload == payload.as_bytes()
    }

    /// The next number, by its digits from the last.
    pub fn advance(&mut self) {
        for digit in self.payload.iter_mut().skip(1).take(NUMBER_DIGITS).rev() {
            if *digit < b'9' {
                *digit += 1;
                return;
            }
            *digit = b'0';
        }
    }
}

fn read(payload: &str) -> Option<u64> {
    let inner = payload.strip_prefix('"')?.strip_suffix('"')?;
    let (number, rest) = inner.split_at_checked(NUMBER_DIGITS)?;
    let (length, fill) = rest.strip_prefix(' ')?.split_at_checked(LENGTH_DIGITS)?;
    let mut fill = fill.as_bytes().chunks(FILL.len());
    let is_whole = length.parse() == Ok(payload.len());
    let is_ours = is_whole && fill.all(|piece| FILL.as_bytes().starts_with(piece));
    number.parse().ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_gives_its_number_back() {
        for bytes in [BYTES_MIN, 50, 128, 60_000] {
            for of in [0, 7, 1_234_567] {
                let payload = payload(of, bytes);
                assert_eq!(payload.len(), bytes);
                assert_eq!(number(&payload).unwrap(), of);
            }
        }
    }

    #[test]
    fn what_is_due_is_the_next_payload_to_the_byte() {
        assert!(!Due::default().is(""));
        let mut due = Due::new(98, 128);
        for of in 98..=1001 {
            assert!(due.is(&payload(of, 128)), "{of}");
            assert!(!due.is(&payload(of + 1, 128)) && !due.is(&payload(of, 127)));
            due.advance();
        }
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_refused() {
        let whole = payload(7, 128);
        let shorter = format!("{}\"", &whole[..100]);
        for wrong in [
            &whole[1..],
            &whole[..100],
            &shorter,
            &whole.replace("xyz", "xyy"),
            "\"\"",
            "",
        ] {
            let refused = number(wrong).unwrap_err().to_string();
            assert!(refused.starts_with("no payload of ours"), "{refused}");
        }
    }
}
