//! Payloads that carry their number, so that whoever receives one knows which it is and that all of it came.

use anyhow::{Result, ensure};

/// Bytes of a payload: a JSON string with its quotes.
pub const PAYLOAD_BYTES: usize = 128;

/// Digits of the number.
const DIGITS: usize = 12;
/// What fills the payload up: quote, digits, this, quote.
const FILL: &str = " abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTU";

const _: () = assert!(1 + DIGITS + FILL.len() + 1 == PAYLOAD_BYTES);

/// The payload with this number.
pub fn payload(number: u64) -> String {
    format!("\"{number:0DIGITS$}{FILL}\"")
}

/// The number of a payload; an error if anything else of it is not as it was sent.
pub fn number(payload: &str) -> Result<u64> {
    let digits = payload
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|inner| inner.strip_suffix(FILL))
        .filter(|digits| digits.len() == DIGITS);
    let number = digits.and_then(|digits| digits.parse().ok());
    ensure!(number.is_some(), "no payload of ours: {payload}");
    Ok(number.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_gives_its_number_back() {
        for of in [0, 7, 1_234_567] {
            assert_eq!(payload(of).len(), PAYLOAD_BYTES);
            assert_eq!(number(&payload(of)).unwrap(), of);
        }
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_refused() {
        let whole = payload(7);
        for wrong in [&whole[1..], &whole[..100], &whole.replace("xyz", "xyy"), ""] {
            let refused = number(wrong).unwrap_err().to_string();
            assert!(refused.starts_with("no payload of ours"), "{refused}");
        }
    }
}
