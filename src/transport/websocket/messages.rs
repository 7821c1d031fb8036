//! What comes in as messages, and the answers that the protocol asks for.
//!
//! A WebSocket rests nearly all of its life, so it keeps nothing for reading between two messages: what decodes them is made
//! when something comes in, and is gone once it was all handed out.

use std::io::{self, Read, Write};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::gone::{Gone, NO_CODE};
use super::inbound::Inbound;
use super::outbound::Outbound;
use crate::limits::{Inlet, Share};

/// What tungstenite takes at once. It fills the whole buffer with zeroes each time, so it is small.
const BUFFER_BYTES: usize = 512;
/// The opcode of a close frame (RFC 6455, section 5.5.1).
const CLOSE: u8 = 8;

/// What came in.
#[derive(Debug)]
pub enum Incoming {
    /// A command, we suppose, and what it takes of the room for all until it is done.
    Text(Utf8Bytes, Option<Box<Share>>),
    /// Bytes, which no command is made of, and what they take.
    Binary(Bytes, Option<Box<Share>>),
    /// A ping or a pong; it is answered already.
    Control,
}

/// Makes messages of what is read.
#[derive(Debug)]
pub struct Messages {
    rules: Rules,
    decoder: Option<Box<Decoder>>,
}

/// What may come in.
#[derive(Debug, Clone)]
pub struct Rules {
    /// True if the client may send compressed messages.
    pub takes_deflate: bool,
    /// Largest message, in bytes.
    pub message_bytes_max: usize,
    /// By which way messages come in.
    pub inlet: Inlet,
}

impl Messages {
    /// Nothing came in yet.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            decoder: None,
        }
    }

    /// Takes in what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let rules = &self.rules;
            let decoder = self.decoder.get_or_insert_with(|| Decoder::new(rules));
            decoder.inbound.feed(bytes);
        }
    }

    /// The next message of what was read, while answers to control frames are queued. Pending says that more has to be read,
    /// and wakes nobody.
    pub fn next(&mut self, outbound: &mut Outbound) -> Poll<Result<Incoming, Gone>> {
        let Some(decoder) = &mut self.decoder else {
            return Poll::Pending;
        };
        let next = decoder.next(outbound);
        match &next {
            Poll::Pending if decoder.inbound.is_at_rest() => self.decoder = None,
            Poll::Pending => {
                decoder.waits_since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(Ok(Incoming::Control)) if decoder.inbound.is_within_message() => {}
            Poll::Ready(_) => decoder.waits_since = None,
        }
        next
    }

    /// True if the rest of a message is waited for since longer than this.
    pub fn is_late(&self, within: Duration) -> bool {
        let waits_since = self.decoder.as_ref().and_then(|it| it.waits_since);
        waits_since.is_some_and(|since| since.elapsed() > within)
    }

    /// Counts the time for the rest of a message anew.
    pub fn waits_anew(&mut self) {
        if let Some(decoder) = &mut self.decoder {
            decoder.waits_since = None;
        }
    }

    /// Queues the reply to the client's close frame.
    pub fn reply_to_close(&mut self, outbound: &mut Outbound) {
        if let Some(decoder) = &mut self.decoder {
            decoder.flush(outbound);
        }
    }
}

/// What takes messages apart: our half, and tungstenite's.
#[derive(Debug)]
struct Decoder {
    inbound: Inbound,
    context: WebSocketContext,
    /// When the rest of a message was found missing.
    waits_since: Option<Instant>,
}

impl Decoder {
    fn new(rules: &Rules) -> Box<Self> {
        let bytes_max = rules.message_bytes_max;
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(bytes_max))
            .max_frame_size(Some(bytes_max))
            // Our half takes the masks off, and refuses frames that have none.
            .accept_unmasked_frames(true);
        Box::new(Self {
            inbound: Inbound::new(rules.takes_deflate, bytes_max, rules.inlet.clone()),
            context: WebSocketContext::new(Role::Server, Some(config)),
            waits_since: None,
        })
    }

    fn next(&mut self, outbound: &mut Outbound) -> Poll<Result<Incoming, Gone>> {
        let mut between = Between {
            inbound: &mut self.inbound,
            outbound,
            fault: None,
        };
        let next = match self.context.read(&mut between) {
            Ok(Message::Text(text)) => {
                let share = self.inbound.take_share(text.len());
                Ok(Incoming::Text(text, share))
            }
            Ok(Message::Binary(bytes)) => {
                let share = self.inbound.take_share(bytes.len());
                Ok(Incoming::Binary(bytes, share))
            }
            Ok(Message::Close(frame)) => {
                let code = frame.map_or(NO_CODE, |frame| frame.code.into());
                Err(Gone::Closed(code))
            }
            Ok(_) => Ok(Incoming::Control),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Poll::Pending;
            }
            Err(error) => Err(between.fault.unwrap_or_else(|| error.into())),
        };
        Poll::Ready(next)
    }

    /// Queues what tungstenite still holds back.
    fn flush(&mut self, outbound: &mut Outbound) {
        let flushed = self.context.flush(&mut Between {
            inbound: &mut self.inbound,
            outbound,
            fault: None,
        });
        // After a close frame it says that the connection is closed.
        tracing::trace!(?flushed, "the client closed");
    }
}

/// What tungstenite takes for a connection: it reads what our half has decoded, and its own frames join the queue.
struct Between<'a> {
    inbound: &'a mut Inbound,
    outbound: &'a mut Outbound,
    /// What the client did wrong, for who sees tungstenite's error.
    fault: Option<Gone>,
}

impl Read for Between<'_> {
    fn read(&mut self, mut buffer: &mut [u8]) -> io::Result<usize> {
        match self.inbound.take(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(count) => Ok(count),
            Err(gone) => {
                self.fault = Some(gone);
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }
}

impl Write for Between<'_> {
    /// tungstenite writes whole frames only, because its own buffer has no size: pongs, and the reply to a close frame.
    fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
        let is_close = frame.first().is_some_and(|first| first & 0x0f == CLOSE);
        let copy = Bytes::copy_from_slice(frame);
        if is_close {
            self.outbound.push_last(copy);
        } else {
            self.outbound.push_control(copy);
        }
        Ok(frame.len())
    }

    /// Nothing: the connection writes the queue itself, and only there a peer that takes nothing is noticed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::inbound::tests::masked;
    use super::*;
    use crate::config::Config;
    use crate::limits::Limits;
    use std::task::{Context, Waker};

    fn messages() -> Messages {
        Messages::new(Rules {
            takes_deflate: false,
            message_bytes_max: 1000,
            inlet: Limits::new(&Config::default()).common_inlet(),
        })
    }

    /// What waits to be written.
    fn written(outbound: &mut Outbound) -> Vec<u8> {
        let mut written = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        while outbound.bytes() > 0 {
            assert!(outbound.poll_write(&mut written, &mut cx).is_ready());
        }
        written
    }

    /// Feeds bytes one by one. Returns the texts, with after how many bytes each came, and the lengths after which something
    /// was kept.
    fn one_by_one(bytes: &[u8], outbound: &mut Outbound) -> (Vec<(usize, String)>, Vec<usize>) {
        let (mut messages, mut texts, mut kept) = (messages(), Vec::new(), Vec::new());
        for (index, byte) in bytes.iter().enumerate() {
            messages.feed(&[*byte]);
            while let Poll::Ready(next) = messages.next(outbound) {
                if let Incoming::Text(text, _) = next.unwrap() {
                    texts.push((index + 1, text.to_string()));
                }
            }
            if messages.decoder.is_some() {
                kept.push(index + 1);
            }
        }
        (texts, kept)
    }

    #[test]
    fn between_messages_nothing_is_kept_and_within_one_all_is() {
        let (text, ping) = (masked(0x81, b"abc"), masked(0x89, b"p"));
        let (begin, end) = (masked(0x01, b"de"), masked(0x80, b"f"));
        let bytes = [&text[..], &ping, &begin, &ping, &end].concat();
        let mut outbound = Outbound::default();
        let (texts, kept) = one_by_one(&bytes, &mut outbound);
        assert_eq!(
            texts,
            [
                (text.len(), "abc".to_owned()),
                (bytes.len(), "def".to_owned())
            ]
        );
        assert_eq!(written(&mut outbound), b"\x8a\x01p\x8a\x01p");
        let at_rest = [text.len(), text.len() + ping.len(), bytes.len()];
        let expected = (1..bytes.len()).filter(|length| !at_rest.contains(length));
        assert_eq!(kept, expected.collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn the_rest_of_a_message_is_late_and_the_next_one_is_not() {
        const WITHIN: Duration = Duration::from_secs(30);
        let (mut messages, mut outbound) = (messages(), Outbound::default());
        let text = masked(0x81, b"abc");
        for _ in 0..2 {
            messages.feed(&text[..3]);
            assert!(messages.next(&mut outbound).is_pending());
            tokio::time::advance(WITHIN).await;
            assert!(!messages.is_late(WITHIN));
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(messages.is_late(WITHIN));
            // The next one is there as far as its head.
            messages.feed(&[&text[3..], &text[..1]].concat());
            assert!(messages.next(&mut outbound).is_ready());
            assert!(messages.next(&mut outbound).is_pending());
            assert!(!messages.is_late(WITHIN));
            messages.feed(&text[1..]);
            assert!(messages.next(&mut outbound).is_ready());
            assert!(messages.next(&mut outbound).is_pending());
            tokio::time::advance(2 * WITHIN).await;
            assert!(!messages.is_late(WITHIN), "it is at rest");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_within_a_message_do_not_make_it_younger() {
        let (mut messages, mut outbound) = (messages(), Outbound::default());
        messages.feed(&masked(0x01, b"abc"));
        for _ in 0..3 {
            assert!(messages.next(&mut outbound).is_pending());
            tokio::time::advance(Duration::from_secs(10)).await;
            messages.feed(&masked(0x89, b""));
            assert!(messages.next(&mut outbound).is_ready());
        }
        assert!(messages.is_late(Duration::from_secs(29)));
    }

    #[tokio::test(start_paused = true)]
    async fn pings_that_come_in_pieces_are_no_message_that_is_late() {
        const WITHIN: Duration = Duration::from_secs(30);
        let (mut messages, mut outbound) = (messages(), Outbound::default());
        let ping = masked(0x89, b"p");
        let (begin, end) = ping.split_at(3);
        messages.feed(begin);
        for _ in 0..10 {
            assert!(messages.next(&mut outbound).is_pending());
            tokio::time::advance(WITHIN / 2).await;
            assert!(!messages.is_late(WITHIN));
            messages.feed(&[end, begin].concat());
            assert!(messages.next(&mut outbound).is_ready());
        }
    }

    #[test]
    fn a_character_in_two_frames_is_one_character_and_half_of_one_is_none() {
        let halves = ["é".as_bytes()[..1].to_vec(), "é".as_bytes()[1..].to_vec()];
        let whole = [masked(0x01, &halves[0]), masked(0x80, &halves[1])].concat();
        let (texts, _) = one_by_one(&whole, &mut Outbound::default());
        assert_eq!(texts, [(whole.len(), "é".to_owned())]);
        let mut messages = messages();
        messages.feed(&masked(0x81, &halves[0]));
        let next = messages.next(&mut Outbound::default());
        assert!(matches!(next, Poll::Ready(Err(Gone::Misbehaved(1007)))));
    }

    #[test]
    fn the_reply_to_a_close_frame_is_the_last_thing_that_goes_out() {
        let mut messages = messages();
        let mut outbound = Outbound::default();
        messages.feed(&[masked(0x89, b""), masked(0x88, b"\x03\xe8bye")].concat());
        let mut next = || messages.next(&mut outbound);
        assert!(matches!(next(), Poll::Ready(Ok(Incoming::Control))));
        assert!(matches!(next(), Poll::Ready(Err(Gone::Closed(1000)))));
        messages.reply_to_close(&mut outbound);
        outbound.push(Bytes::from_static(b"late"));
        assert_eq!(written(&mut outbound), b"\x8a\x00\x88\x05\x03\xe8bye");
    }
}
