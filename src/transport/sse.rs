//! Server-Sent Events (WHATWG HTML, section 9.2): read, wait, repeat, as the body of an answer.

use std::fmt::Write as _;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::attachments::Attachment;
use crate::bus::cursor::CursorPrefix;
use crate::bus::{Batch, Budget, ChannelName, Item, Position, Start};
use crate::code::{Code, End};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::protocol::event;
use crate::protocol::printed::Pieces;
use crate::session::Session;

use super::{Client, Transport};

/// How much one chunk may hold, about. hyper writes a chunk whole, so this bounds what waits for a slow reader. A message
/// that is larger is handed out in several, which are slices of what all readers share.
const CHUNK_BYTES: usize = 64 * 1024;
/// The most messages in a chunk.
const CHUNK_MESSAGES: usize = 256;
/// `retry:` for a client that must not come back: the largest that browsers take.
const RETRY_NEVER_MS: u64 = 2_147_483_647;
/// An `EventSource` comes back this long after an end that said nothing, up to twice as long.
const RETRY_MS: u64 = 1000;
/// A real event, because comments and events without data are invisible to `EventSource`.
const PING: &[u8] = b"event: ping\ndata: {}\n\n";

/// The stream of one client.
#[derive(Debug)]
pub struct SseStream {
    gateway: Arc<Gateway>,
    attachment: Attachment,
    session: Session,
    prefix: CursorPrefix,
    /// Where the client stands after the last event that was encoded, for the `id:` lines.
    positions: Vec<Position>,
    chunk: Budget,
    state: State,
}

#[derive(Debug)]
enum State {
    /// This goes out first.
    Begin(Bytes),
    Live,
    /// The rest of a batch with a large message.
    Sending(Pieces),
    /// With the code of the end.
    Ended(Code),
}

impl SseStream {
    /// A stream over several channels, which begins with `welcome`, after the older attachment of its session is gone.
    ///
    /// # Errors
    /// `unavailable` if the broker cannot be reached, `overloaded` if too many clients are present; the end of the
    /// attachment, if it came meanwhile.
    pub async fn open(
        gateway: &Arc<Gateway>,
        client: &Client,
        mut attachment: Attachment,
        channels: Vec<ChannelName>,
        starts: Vec<Start>,
    ) -> Result<Self, Problem> {
        if let Some(older) = attachment.take_over() {
            older.gone().await;
        }
        let signal = Arc::clone(attachment.signal());
        let session = Session::new(gateway.bus.clone(), signal);
        let guest = client.guest(&gateway.presence, Transport::Sse);
        let session = session.join_all(guest, &channels, &starts).await?;
        if let Some(end) = attachment.signal().asked_end() {
            attachment.ended(end.code);
            return Err(end.into());
        }
        let prefix = CursorPrefix::new(&channels);
        let positions: Vec<Position> = session.readers().map(|reader| reader.position).collect();
        let named: Vec<_> = channels.iter().zip(positions.iter().copied()).collect();
        let heartbeat_s = gateway.config().timeouts.heartbeat_s;
        let data = event::welcome(
            client.public_id,
            client.principal.user.as_ref(),
            heartbeat_s,
            &named,
        );
        let begin = welcome(&data, &prefix, &positions);
        let chunk = chunk_budget(prefix.print(&positions).len());
        let gateway = Arc::clone(gateway);
        Ok(Self {
            gateway,
            attachment,
            session,
            prefix,
            positions,
            chunk,
            state: State::Begin(begin.into()),
        })
    }

    /// The next chunk of the body; nothing after the end. Cancel safe.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match std::mem::replace(&mut self.state, State::Live) {
            State::Begin(bytes) => {
                self.count(0, bytes.len());
                Poll::Ready(Some(bytes))
            }
            State::Live => self.poll_live(cx).map(Some),
            State::Sending(rest) => Poll::Ready(Some(self.send(rest))),
            State::Ended(code) => {
                self.state = State::Ended(code);
                Poll::Ready(None)
            }
        }
    }

    /// What is left to hand out, once the stream is to end; for those who cannot hand out the next chunk yet. Nothing but the
    /// end is looked for. Cancel safe.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Vec<Bytes>> {
        const NOTHING: Budget = Budget {
            messages: 0,
            bytes: 0,
        };
        let Err(end) = ready!(self.session.poll_next(cx, NOTHING)) else {
            return Poll::Pending;
        };
        let mut rest = Vec::new();
        loop {
            // What was begun goes out whole, and the welcome before all else.
            match std::mem::replace(&mut self.state, State::Live) {
                State::Begin(bytes) => rest.push(bytes),
                State::Sending(pieces) => rest.push(self.send(pieces)),
                State::Live | State::Ended(_) => break,
            }
        }
        rest.push(self.end(&end));
        Poll::Ready(rest)
    }

    /// True once its last chunk was handed out.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// The client took nothing for too long, and its connection is about to be cut.
    pub fn stalled(&mut self) {
        self.attachment.ended(Code::Slow);
    }

    /// True after an end with which the client is sent elsewhere.
    pub fn is_sent_away(&self) -> bool {
        matches!(self.state, State::Ended(Code::Shutdown))
    }

    fn poll_live(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        match self.session.poll_next(cx, self.chunk) {
            Poll::Ready(Ok(batch)) => Poll::Ready(self.encode(&batch)),
            Poll::Ready(Err(end)) => Poll::Ready(self.end(&end)),
            Poll::Pending if self.session.take_beats().ping => {
                Poll::Ready(Bytes::from_static(PING))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// The last chunk.
    fn end(&mut self, end: &End) -> Bytes {
        self.state = State::Ended(end.code);
        self.attachment.ended(end.code);
        farewell(end).into()
    }

    /// A batch as one chunk, or as the first of several. The JSON is shared by all readers; the `id:` line is this one's own.
    fn encode(&mut self, batch: &Batch) -> Bytes {
        // Without a large message it stays empty, and takes no memory.
        let mut printed = Pieces::default();
        let mut chunk = Vec::with_capacity(batch.items.len() * 256);
        for (index, item) in &batch.items {
            let position = &mut self.positions[*index as usize];
            match item {
                Item::Message(publication) => {
                    position.offset = publication.offset;
                    push_id(&mut chunk, &self.prefix, &self.positions);
                    chunk.extend_from_slice(b"data: ");
                    if publication.sse_data().len() > CHUNK_BYTES {
                        printed.push(std::mem::take(&mut chunk).into());
                        printed.push(publication.shared_sse_data());
                    } else {
                        chunk.extend_from_slice(publication.sse_data());
                    }
                }
                Item::Gap(gap) => {
                    *position = gap.lost.resume;
                    self.gateway.metrics.count_gap(gap.lost.reason);
                    chunk.extend_from_slice(b"event: gap\n");
                    push_id(&mut chunk, &self.prefix, &self.positions);
                    push_data(&mut chunk, &event::gap(gap));
                }
            }
        }
        self.count(batch.items.len() as u64, printed.len() + chunk.len());
        if printed.is_empty() {
            return chunk.into();
        }
        printed.push(chunk.into());
        self.send(printed)
    }

    /// Hands out the next chunk of a batch with a large message.
    fn send(&mut self, mut rest: Pieces) -> Bytes {
        let chunk = rest.take(CHUNK_BYTES);
        if !rest.is_empty() {
            self.state = State::Sending(rest);
        }
        chunk
    }

    fn count(&self, messages: u64, bytes: usize) {
        let counted = self.gateway.metrics.transport(Transport::Sse);
        counted.messages.inc_by(messages);
        counted.bytes.inc_by(bytes as u64);
    }
}

/// The last event of a stream, and when to come back. An `EventSource` comes back after any end, so a final one asks for
/// the longest delay there is.
pub fn farewell(end: &End) -> Vec<u8> {
    let retry_ms = match end.retry_after {
        _ if !end.code.reconnect() => RETRY_NEVER_MS,
        Some(after) => after.as_millis() as u64,
        None => jittered_retry_ms(),
    };
    let mut chunk = format!("retry: {retry_ms}\nevent: disconnect\n").into_bytes();
    push_data(&mut chunk, &event::disconnect(end));
    chunk
}

/// The budget of a chunk in which every message brings along a cursor of this length.
fn chunk_budget(cursor_bytes: usize) -> Budget {
    let messages = (CHUNK_BYTES / (cursor_bytes + 64)).clamp(1, CHUNK_MESSAGES);
    Budget {
        messages,
        bytes: CHUNK_BYTES,
    }
}

fn welcome(data: &[u8], prefix: &CursorPrefix, positions: &[Position]) -> Vec<u8> {
    let mut head = String::new();
    // Writing to a String cannot fail.
    let _ = write!(head, "retry: {}\nevent: welcome\n", jittered_retry_ms());
    let mut chunk = head.into_bytes();
    push_id(&mut chunk, prefix, positions);
    push_data(&mut chunk, data);
    chunk
}

fn jittered_retry_ms() -> u64 {
    RETRY_MS + fastrand::u64(..RETRY_MS)
}

fn push_id(chunk: &mut Vec<u8>, prefix: &CursorPrefix, positions: &[Position]) {
    chunk.extend_from_slice(b"id: ");
    prefix.print_to(chunk, positions);
    chunk.push(b'\n');
}

/// JSON is one line, so one `data:` line holds it.
fn push_data(chunk: &mut Vec<u8>, json: &[u8]) {
    chunk.extend_from_slice(b"data: ");
    chunk.extend_from_slice(json);
    chunk.extend_from_slice(b"\n\n");
}
