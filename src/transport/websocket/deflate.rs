//! permessage-deflate (RFC 7692) without context takeover: every message is compressed by itself, so one compressed form
//! serves all sockets, and an idle socket holds no window.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::HeaderValue;

use crate::limits::Counted;

/// What a message's last block ends with, which is left out on the wire (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The tail, and an empty final block: it is read as such only after a whole block.
const END: [u8; 6] = [0, 0, 0xff, 0xff, 3, 0];
/// The most final blocks in a message. Each makes the decoder begin anew, which costs more than its two bytes.
const FINAL_BLOCKS_MAX: usize = 64;
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

/// Takes so many bytes in all of the room for what comes in.
type Hold<'a> = dyn FnMut(usize) -> Result<(), Counted> + 'a;

/// Why a message cannot be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// It is larger than allowed.
    TooLarge,
    /// It is not deflate data.
    Corrupt,
    /// There is no room for it now.
    Full(Counted),
}

thread_local! {
    // One of each for a thread, reset for every message: their state is far larger than most messages.
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
}

/// Inflates a message that came without its tail. Stops as soon as it is over `bytes_max`, or has no room: `hold` is told how
/// much is held before more is. A final block may be followed by others (RFC 7692, section 7.2.3.4), which begin with an empty
/// window.
///
/// # Errors
/// [`InflateError`]. A message that ends within a block is corrupt.
pub fn inflate(message: &[u8], bytes_max: usize, hold: &mut Hold) -> Result<Vec<u8>, InflateError> {
    INFLATE.with_borrow_mut(|decoder| {
        decoder.reset(false);
        let mut output = Vec::with_capacity(GROWTH_BYTES.min(bytes_max + 1));
        let (mut rest, mut is_whole, mut finals) = (message, message.is_empty(), 0);
        while !rest.is_empty() {
            let read = read_blocks(decoder, rest, &mut output, bytes_max, hold)?;
            is_whole = read.final_block;
            rest = &rest[read.bytes..];
            if read.final_block {
                finals += 1;
                decoder.reset(false);
            } else if !rest.is_empty() {
                return Err(InflateError::Corrupt);
            }
            if finals > FINAL_BLOCKS_MAX {
                return Err(InflateError::Corrupt);
            }
        }
        if !is_whole {
            read_end(decoder, &mut output, bytes_max, hold)?;
        }
        Ok(output)
    })
}

/// Reads the end of a message, which adds no text. The tail must be what is missing of an empty stored block. It decodes as
/// something else within another block, but what follows it is then no final block that ends just there: the tail is
/// longer than two codes, and in the place of a block's head its ones are no type of block.
fn read_end(
    decoder: &mut Decompress,
    output: &mut Vec<u8>,
    bytes_max: usize,
    hold: &mut Hold,
) -> Result<(), InflateError> {
    let text_bytes = output.len();
    let read = read_blocks(decoder, &END, output, bytes_max, hold)?;
    // The block that the tail ends may be a final one itself.
    let ends_there = read.bytes == END.len() || read.bytes == TAIL.len();
    if read.final_block && ends_there && output.len() == text_bytes {
        Ok(())
    } else {
        Err(InflateError::Corrupt)
    }
}

/// What was read of an input.
struct ReadBlocks {
    bytes: usize,
    /// True if it ended with a final block. What comes after it was not looked at.
    final_block: bool,
}

/// Inflates an input, up to the end of a final block in it.
fn read_blocks(
    decoder: &mut Decompress,
    input: &[u8],
    output: &mut Vec<u8>,
    bytes_max: usize,
    hold: &mut Hold,
) -> Result<ReadBlocks, InflateError> {
    let begin = decoder.total_in();
    loop {
        let (before_in, before_out) = (decoder.total_in(), output.len());
        let rest = &input[(before_in - begin) as usize..];
        let status = decoder
            .decompress_vec(rest, output, FlushDecompress::Sync)
            .map_err(|_| InflateError::Corrupt)?;
        if output.len() > bytes_max {
            return Err(InflateError::TooLarge);
        }
        let final_block = status == Status::StreamEnd;
        let is_full = output.len() == output.capacity();
        let went_on = decoder.total_in() != before_in || output.len() != before_out;
        if final_block || (!is_full && !went_on) {
            let bytes = (decoder.total_in() - begin) as usize;
            return Ok(ReadBlocks { bytes, final_block });
        }
        if is_full {
            let room = (bytes_max + 1 - output.len()).min(output.len().max(GROWTH_BYTES));
            let room = room.max(1);
            hold(output.len() + room).map_err(InflateError::Full)?;
            output.reserve_exact(room);
        }
    }
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

    /// Where there is room for anything.
    fn inflate(message: &[u8], bytes_max: usize) -> Result<Vec<u8>, InflateError> {
        super::inflate(message, bytes_max, &mut |_| Ok(()))
    }

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
    fn it_stops_where_there_is_no_more_room() {
        let bomb = deflate(&vec![b'a'; 1 << 20]);
        let mut held = 0;
        let mut hold = |bytes: usize| {
            held = bytes;
            if bytes <= 65_536 {
                Ok(())
            } else {
                Err(Counted::Incoming)
            }
        };
        let inflated = super::inflate(&bomb, 1 << 20, &mut hold);
        assert_eq!(inflated, Err(InflateError::Full(Counted::Incoming)));
        assert!(held <= 131_072, "{held} would have been next");
    }

    #[test]
    fn what_is_no_deflate_data_is_corrupt() {
        assert_eq!(inflate(&[0xff; 20], 1000), Err(InflateError::Corrupt));
        assert_eq!(inflate(b"", 1000).as_deref(), Ok(&b""[..]));
        assert_eq!(inflate(&[0], 1000).as_deref(), Ok(&b""[..]));
    }

    /// Hello in one fixed block, as RFC 7692 has it in section 7.2.3.1, and in a final one (7.2.3.4).
    const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    const FINAL_HELLO: [u8; 7] = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

    #[test]
    fn a_message_that_is_cut_is_corrupt_wherever() {
        // Long enough for a dynamic block; the others are fixed ones and a stored one.
        let varied: Vec<u8> = (0..3000_u32).map(|i| (i * i % 97) as u8).collect();
        let stored = [&[0, 5, 0, 0xfa, 0xff][..], b"Hello", &[0]].concat();
        for (whole, from) in [
            (HELLO.to_vec(), 1),
            (FINAL_HELLO.to_vec(), 1),
            // One zero alone is a whole message without text.
            (stored, 2),
            (deflate(&varied), 1),
        ] {
            assert!(inflate(&whole, 3000).is_ok(), "{whole:x?}");
            for length in from..whole.len() {
                let cut = inflate(&whole[..length], 3000);
                assert_eq!(cut, Err(InflateError::Corrupt), "{length} of {whole:x?}");
            }
        }
    }

    #[test]
    fn what_follows_a_final_block_counts() {
        let behind = |rest: &[u8]| inflate(&[&FINAL_HELLO[..], rest].concat(), 1000);
        for (rest, expected) in [
            (&[][..], "Hello"),
            (&[0], "Hello"),
            (&[1], "Hello"),
            (&HELLO, "HelloHello"),
            (&FINAL_HELLO, "HelloHello"),
        ] {
            let message = behind(rest).map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(message.as_deref(), Ok(expected), "{rest:x?}");
        }
        for garbage in [&b"garbage"[..], &[0xff], &[0, 0], &HELLO[..3]] {
            assert_eq!(behind(garbage), Err(InflateError::Corrupt), "{garbage:x?}");
        }
    }

    #[test]
    fn so_many_final_blocks_and_no_more() {
        let most = FINAL_HELLO.repeat(FINAL_BLOCKS_MAX);
        assert_eq!(
            inflate(&most, 1000).map(|bytes| bytes.len()),
            Ok(5 * FINAL_BLOCKS_MAX)
        );
        let one_more = FINAL_HELLO.repeat(FINAL_BLOCKS_MAX + 1);
        assert_eq!(inflate(&one_more, 1000), Err(InflateError::Corrupt));
    }
}
