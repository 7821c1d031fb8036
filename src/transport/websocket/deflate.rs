//! permessage-deflate (RFC 7692) without context takeover: every message is compressed by itself, so one compressed form
//! serves all sockets, and an idle socket holds no window.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::HeaderValue;

/// What a message's last block ends with, which is left out on the wire (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// How much an output grows at a time.
const GROWTH_BYTES: usize = 4096;

/// What was agreed with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The window the client asked us to stay within, if it asked. Our shared frames use the full one, so a client with
    /// a smaller window gets messages as they are.
    server_window_bits: Option<u8>,
}

impl Agreement {
    /// Agrees to the first offer that is well formed (RFC 7692, section 5.1). Others are declined, as the RFC wants it.
    pub fn from_offers<'a>(offers: impl Iterator<Item = &'a str>) -> Option<Self> {
        offers
            .flat_map(|header| header.split(','))
            .find_map(parse_offer)
    }

    /// True if this client takes compressed frames from us. It may always send them.
    pub fn takes_deflated(self) -> bool {
        self.server_window_bits.is_none_or(|bits| bits == 15)
    }

    /// The answer, as `Sec-WebSocket-Extensions` says it.
    pub fn header(self) -> HeaderValue {
        let answer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        match self.server_window_bits {
            None => HeaderValue::from_static(answer),
            Some(bits) => {
                HeaderValue::from_str(&format!("{answer}; server_max_window_bits={bits}"))
                    .unwrap_or(HeaderValue::from_static(answer))
            }
        }
    }
}

fn parse_offer(offer: &str) -> Option<Agreement> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return None;
    }
    let mut seen: Vec<&str> = Vec::new();
    let mut server_window_bits = None;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquote(value.trim_start()))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            (
                "server_no_context_takeover"
                | "client_no_context_takeover"
                | "client_max_window_bits",
                None,
            ) => {}
            // A hint that the client needs no larger window; ours holds any.
            ("client_max_window_bits", Some(bits)) => drop(window_bits(bits)?),
            ("server_max_window_bits", Some(bits)) => server_window_bits = Some(window_bits(bits)?),
            _ => return None,
        }
    }
    Some(Agreement { server_window_bits })
}

/// A parameter may be a quoted string (RFC 6455, section 9.1).
fn unquote(value: &str) -> &str {
    value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value)
}

fn window_bits(text: &str) -> Option<u8> {
    let bits = text.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (!text.starts_with(['0', '+'])).then_some(bits)
}

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// It is larger than allowed.
    TooLarge,
    /// It is not deflate data.
    Corrupt,
}

thread_local! {
    // One of each for a thread, reset for every message: their state is far larger than most messages.
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// Inflates a message that came without its tail. Stops as soon as it is over `bytes_max`.
///
/// # Errors
/// [`InflateError`].
pub fn inflate(message: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let mut output = Vec::with_capacity(GROWTH_BYTES.min(bytes_max + 1));
        for input in [message, &TAIL] {
            let begin = inflate.total_in();
            loop {
                let rest = &input[(inflate.total_in() - begin) as usize..];
                let (before_in, before_out) = (inflate.total_in(), output.len());
                let status = inflate
                    .decompress_vec(rest, &mut output, FlushDecompress::Sync)
                    .map_err(|_| InflateError::Corrupt)?;
                if output.len() > bytes_max {
                    return Err(InflateError::TooLarge);
                }
                // A final block ends the message; what follows it is left alone.
                if status == Status::StreamEnd {
                    return Ok(output);
                }
                if output.len() == output.capacity() {
                    let room = (bytes_max + 1 - output.len()).min(output.len().max(GROWTH_BYTES));
                    output.reserve_exact(room.max(1));
                } else if inflate.total_in() == before_in && output.len() == before_out {
                    break;
                }
            }
            if inflate.total_in() - begin != input.len() as u64 {
                return Err(InflateError::Corrupt);
            }
        }
        Ok(output)
    })
}

/// Deflates a message, without its tail.
pub fn deflate(message: &[u8]) -> Vec<u8> {
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        let mut output = Vec::with_capacity(message.len() / 2 + 64);
        loop {
            let rest = &message[deflate.total_in() as usize..];
            // Compressing memory into memory fails only for arguments that are not used here.
            let _ = deflate.compress_vec(rest, &mut output, FlushCompress::Sync);
            if deflate.total_in() as usize == message.len() && output.len() < output.capacity() {
                break;
            }
            output.reserve(GROWTH_BYTES);
        }
        if output.ends_with(&TAIL) {
            output.truncate(output.len() - TAIL.len());
        }
        output
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(offer: &str) -> Option<String> {
        let agreement = Agreement::from_offers([offer].into_iter())?;
        Some(agreement.header().to_str().unwrap().to_owned())
    }

    const ANSWER: &str =
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn offers_are_answered() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=8 ; server_no_context_takeover",
            "x-webkit-deflate-frame, permessage-deflate; client_no_context_takeover",
            "permessage-deflate; unknown, permessage-deflate",
        ] {
            assert_eq!(agree(offer).as_deref(), Some(ANSWER), "{offer}");
        }
        for bits in 8..=15 {
            for offer in [
                format!("permessage-deflate; server_max_window_bits={bits}"),
                format!("permessage-deflate; server_max_window_bits=\"{bits}\""),
            ] {
                assert_eq!(
                    agree(&offer),
                    Some(format!("{ANSWER}; server_max_window_bits={bits}"))
                );
                let agreement = Agreement::from_offers([offer.as_str()].into_iter()).unwrap();
                assert_eq!(agreement.takes_deflated(), bits == 15);
            }
        }
    }

    #[test]
    fn malformed_offers_are_declined() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=0",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; surprise=1",
        ] {
            assert_eq!(agree(offer), None, "{offer}");
        }
    }

    #[test]
    fn what_was_deflated_inflates() {
        for length in [0, 1, 100, 4095, 4096, 4097, 300_000] {
            let message: Vec<u8> = (0..length).map(|i: u32| (i / 7 % 251) as u8).collect();
            assert_eq!(
                inflate(&deflate(&message), length as usize).as_deref(),
                Ok(&message[..]),
                "{length}"
            );
        }
        let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..))
            .take(100_000)
            .collect();
        assert_eq!(
            inflate(&deflate(&random), 100_000).as_deref(),
            Ok(&random[..])
        );
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = deflate(&vec![b'a'; 1 << 20]);
        assert!(bomb.len() < 11_000, "{}", bomb.len());
        assert_eq!(inflate(&bomb, 65_536), Err(InflateError::TooLarge));
        assert!(inflate(&bomb, 1 << 20).is_ok());
        assert_eq!(inflate(&bomb, (1 << 20) - 1), Err(InflateError::TooLarge));
    }

    #[test]
    fn what_is_no_deflate_data_is_corrupt() {
        assert_eq!(inflate(&[0xff; 20], 1000), Err(InflateError::Corrupt));
        assert_eq!(inflate(b"", 1000).as_deref(), Ok(&b""[..]));
    }
}
