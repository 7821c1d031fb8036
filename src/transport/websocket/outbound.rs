//! What goes out: a queue of shared frames, written in as few calls as the socket allows.
//!
//! Every entry is a whole frame, so frames never interleave. Control frames go before the messages that wait, at the next
//! end of a frame: a ping is answered in the middle of a backlog, and between the fragments of a long message.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// The most slices of one write. Linux takes 1024; past 64 nothing is gained.
const SLICES_MAX: usize = 64;
/// How much is copied together for a socket that takes one slice at a time.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// How many frames of a long answer wait to be written.
const ANSWER_FRAMES: usize = 4;
/// What a frame costs beyond its bytes: its place in the queue and its allocation.
const FRAME_COST_BYTES: usize = 64;
/// The opcode of a fragment that is not the first of its message (RFC 6455, section 5.4).
const CONTINUATION: u8 = 0;

/// Room in the queue that an idle socket keeps, so that a message now and then costs no allocation.
const IDLE_FRAMES: usize = 4;

/// The outbound half of a WebSocket.
#[derive(Debug, Default)]
pub struct Outbound {
    frames: VecDeque<Bytes>,
    /// How much of the first frame is written.
    written: usize,
    bytes: usize,
    /// How many control frames stand before the messages.
    controls: usize,
    /// How many messages' frames there are up to the end of the last large answer, which is held until then.
    answer_frames: usize,
    /// A long answer after the frames. It becomes frames as they are written, so that no client makes us hold a copy of it.
    answer: Option<Answer>,
    /// True if the first frame is a message of which a part is written.
    message_begun: bool,
    /// After our close frame nothing may follow (RFC 6455, section 5.5.1).
    closed: bool,
}

/// What is left of a long answer: frames that are made when they are asked for.
struct Answer(Box<dyn Iterator<Item = Bytes> + Send>);

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

impl Outbound {
    /// Queues a long answer as frames that are made when their turn comes. Who queues a message before all are written pays
    /// for that: they are made then.
    pub fn push_answer(&mut self, frames: impl Iterator<Item = Bytes> + Send + 'static) {
        self.finish_answer();
        if !self.closed {
            self.answer = Some(Answer(Box::new(frames)));
        }
    }

    /// Makes frames of all that is left of a long answer: nothing may stand between its fragments (RFC 6455, section 5.4).
    fn finish_answer(&mut self) {
        while self.answer.is_some() {
            self.push_answer_frame();
        }
    }

    /// Queues the next frame of a long answer, if there is one.
    fn push_answer_frame(&mut self) {
        let Some(mut answer) = self.answer.take() else {
            return;
        };
        if let Some(frame) = answer.0.next() {
            self.push(frame);
            self.answer = Some(answer);
        }
    }

    /// Queues a frame of a message.
    pub fn push(&mut self, frame: Bytes) {
        self.finish_answer();
        if !self.closed {
            self.bytes += frame.len() + FRAME_COST_BYTES;
            self.frames.push_back(frame);
        }
    }

    /// Queues a control frame before the messages.
    pub fn push_control(&mut self, frame: Bytes) {
        if !self.closed {
            self.bytes += frame.len() + FRAME_COST_BYTES;
            self.frames
                .insert(usize::from(self.message_begun) + self.controls, frame);
            self.controls += 1;
        }
    }

    /// Marks what was queued last as the end of a large answer.
    pub fn mark_answer(&mut self) {
        self.answer_frames = self.frames.len() - self.controls;
    }

    /// True until the last frame of a large answer is written, or of one that becomes frames on the way, queued. The frames
    /// of the former share one buffer, so all of it is held.
    pub fn holds_answer(&self) -> bool {
        self.answer_frames > 0 || self.answer.is_some()
    }

    /// True while nothing may be queued but control frames, or at a price: see [`Outbound::push_answer`].
    pub fn is_answering(&self) -> bool {
        self.answer.is_some()
    }

    /// Drops the messages that are not begun. Of one that is, the rest is still to be written, all its fragments: no other
    /// message may come between them (RFC 6455, section 5.4).
    pub fn drop_messages(&mut self) {
        let first_control = usize::from(self.message_begun);
        let controls = first_control..first_control + self.controls;
        let (mut index, mut is_begun, mut messages) = (0, true, 0);
        let (message_begun, bytes) = (self.message_begun, &mut self.bytes);
        self.frames.retain(|frame| {
            let at = index;
            index += 1;
            if controls.contains(&at) {
                return true;
            }
            let goes_on = frame
                .first()
                .is_some_and(|head| head & 0x0f == CONTINUATION);
            is_begun &= goes_on || (message_begun && at == 0);
            if is_begun {
                messages += 1;
            } else {
                *bytes -= frame.len() + FRAME_COST_BYTES;
            }
            is_begun
        });
        self.answer_frames = self.answer_frames.min(messages);
    }

    /// Queues the last frame; what is pushed later is dropped.
    pub fn push_last(&mut self, frame: Bytes) {
        self.push(frame);
        self.closed = true;
    }

    /// True if nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.answer.is_none()
    }

    /// What waits to be written, in bytes of memory: a pong of two bytes takes a place in the queue, too.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes what one call takes. Returns how much; nothing if the queue is empty. Cancel safe.
    pub fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        while self.answer.is_some() && self.frames.len() - self.controls < ANSWER_FRAMES {
            self.push_answer_frame();
        }
        if self.frames.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let written = match self.frames.front() {
            // The plain call is the cheaper one.
            Some(only) if self.frames.len() == 1 => {
                ready!(Pin::new(io).poll_write(cx, &only[self.written..]))?
            }
            _ if io.is_write_vectored() => ready!(self.poll_write_vectored(io, cx))?,
            _ => ready!(Pin::new(io).poll_write(cx, &self.copied()))?,
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored<S: AsyncWrite + Unpin>(
        &self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut used = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(if used == 0 {
                &frame[self.written..]
            } else {
                frame
            });
            used += 1;
        }
        Pin::new(io).poll_write_vectored(cx, &slices[..used])
    }

    /// The front of the queue in one piece.
    fn copied(&self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(self.bytes.min(COPY_BYTES_MAX));
        for (i, frame) in self.frames.iter().enumerate() {
            let rest = if i == 0 {
                &frame[self.written..]
            } else {
                frame
            };
            let fits = rest.len().min(COPY_BYTES_MAX - copy.len());
            copy.extend_from_slice(&rest[..fits]);
            if copy.len() == COPY_BYTES_MAX {
                break;
            }
        }
        copy
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        written += self.written;
        while let Some(first) = self.frames.front().filter(|first| first.len() <= written) {
            written -= first.len();
            self.frames.pop_front();
            self.bytes -= FRAME_COST_BYTES;
            if self.message_begun || self.controls == 0 {
                self.answer_frames = self.answer_frames.saturating_sub(1);
            }
            if self.message_begun {
                self.message_begun = false;
            } else {
                self.controls = self.controls.saturating_sub(1);
            }
        }
        self.written = written;
        self.message_begun = written > 0 && (self.message_begun || self.controls == 0);
        if self.frames.is_empty() && self.frames.capacity() > IDLE_FRAMES {
            // A backlog that is gone leaves nothing behind.
            self.frames = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time.
    struct Drip {
        taken: Vec<u8>,
        at_once: usize,
        vectored: bool,
    }

    impl AsyncWrite for Drip {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.at_once);
            self.taken.extend_from_slice(&bytes[..count]);
            Poll::Ready(Ok(count))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices
                .iter()
                .flat_map(|slice| slice.iter().copied())
                .collect();
            let count = all.len().min(self.at_once);
            self.taken.extend_from_slice(&all[..count]);
            Poll::Ready(Ok(count))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn write(outbound: &mut Outbound, drip: &mut Drip, times: usize) {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for _ in 0..times {
            assert!(outbound.poll_write(drip, &mut cx).is_ready());
        }
    }

    #[test]
    fn control_frames_go_first_and_frames_stay_whole() {
        for vectored in [true, false] {
            let mut drip = Drip {
                taken: Vec::new(),
                at_once: 2,
                vectored,
            };
            let mut outbound = Outbound::default();
            outbound.push("AAAA".into());
            outbound.push("BBBB".into());
            write(&mut outbound, &mut drip, 1);
            outbound.push_control("1".into());
            outbound.push_control("2".into());
            write(&mut outbound, &mut drip, 2);
            outbound.push_control("3".into());
            outbound.push("CC".into());
            write(&mut outbound, &mut drip, 4);
            assert!(outbound.is_empty() && outbound.bytes() == 0);
            assert_eq!(
                String::from_utf8(drip.taken).unwrap(),
                "AAAA123BBBBCC",
                "vectored: {vectored}"
            );
        }
    }

    #[test]
    fn any_sequence_of_partial_writes_keeps_frames_whole() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..500 {
            let mut drip = Drip {
                taken: Vec::new(),
                at_once: 1,
                vectored: random.bool(),
            };
            let mut outbound = Outbound::default();
            let (mut messages, mut controls) = (0_u8, 0_u8);
            for _ in 0..40 {
                drip.at_once = random.usize(1..9);
                match random.u8(..3) {
                    0 => {
                        messages += 1;
                        outbound.push(vec![messages; random.usize(1..6)].into());
                    }
                    1 => {
                        controls += 1;
                        outbound.push_control(vec![100 + controls; random.usize(1..6)].into());
                    }
                    _ => write(&mut outbound, &mut drip, 1),
                }
            }
            drip.at_once = 1000;
            write(&mut outbound, &mut drip, 2);
            drip.taken.dedup();
            let (controls_seen, messages_seen): (Vec<u8>, Vec<u8>) =
                drip.taken.iter().partition(|byte| **byte > 100);
            assert_eq!(
                messages_seen,
                (1..=messages).collect::<Vec<_>>(),
                "each message once, whole, in order"
            );
            assert_eq!(controls_seen, (101..=100 + controls).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_long_answer_becomes_frames_on_the_way_and_stays_in_one_piece() {
        for vectored in [true, false] {
            let mut drip = Drip {
                taken: Vec::new(),
                at_once: 3,
                vectored,
            };
            let mut outbound = Outbound::default();
            outbound.push("BB".into());
            let answer = ["aa", "bb", "cc", "dd", "ee", "ff"].map(Bytes::from);
            outbound.push_answer(answer.into_iter());
            assert!(outbound.holds_answer() && outbound.bytes() < 2 + 2 * FRAME_COST_BYTES);
            write(&mut outbound, &mut drip, 1);
            outbound.push_control("1".into());
            write(&mut outbound, &mut drip, 1);
            assert!(outbound.is_answering());
            outbound.push_last("CC".into());
            assert!(!outbound.is_answering());
            write(&mut outbound, &mut drip, 10);
            assert!(outbound.is_empty() && outbound.bytes() == 0);
            let wanted = "BBaa1bbccddeeffCC".as_bytes();
            assert_eq!(drip.taken, wanted, "vectored: {vectored}");
        }
    }

    #[test]
    fn nothing_follows_the_last_frame() {
        let mut outbound = Outbound::default();
        outbound.push_last("bye".into());
        outbound.push("late".into());
        outbound.push_control("late".into());
        assert_eq!(outbound.bytes(), 3 + FRAME_COST_BYTES);
    }

    /// What is written if the messages are dropped after so many bytes, of a message of three fragments between two others
    /// and of control frames.
    fn written_if_dropped_after(bytes: usize) -> Vec<u8> {
        let mut drip = Drip {
            taken: Vec::new(),
            at_once: 1,
            vectored: true,
        };
        let mut outbound = Outbound::default();
        for head in [0x81, 0x01, 0x00, 0x80, 0x81] {
            outbound.push(vec![head, head].into());
        }
        write(&mut outbound, &mut drip, bytes);
        outbound.push_control(vec![0x8a, 0x8a].into());
        outbound.drop_messages();
        outbound.push_last(vec![0x88].into());
        while !outbound.is_empty() {
            write(&mut outbound, &mut drip, 1);
        }
        assert_eq!(outbound.bytes(), 0);
        drip.taken
    }

    #[test]
    fn messages_that_are_not_begun_are_dropped_and_others_are_finished() {
        const A: [u8; 2] = [0x81; 2];
        const B: [[u8; 2]; 3] = [[0x01; 2], [0x00; 2], [0x80; 2]];
        const PONG: [u8; 2] = [0x8a; 2];
        let cases: [(usize, &[[u8; 2]]); 9] = [
            (0, &[PONG]),
            (1, &[A, PONG]),
            (2, &[A, PONG]),
            (3, &[A, B[0], PONG, B[1], B[2]]),
            (4, &[A, B[0], PONG, B[1], B[2]]),
            (5, &[A, B[0], B[1], PONG, B[2]]),
            (7, &[A, B[0], B[1], B[2], PONG]),
            (8, &[A, B[0], B[1], B[2], PONG]),
            (9, &[A, B[0], B[1], B[2], A, PONG]),
        ];
        for (bytes, expected) in cases {
            let mut expected = expected.concat();
            expected.push(0x88);
            assert_eq!(written_if_dropped_after(bytes), expected, "after {bytes}");
        }
    }

    #[test]
    fn a_control_frame_that_is_begun_is_finished_when_messages_are_dropped() {
        let mut drip = Drip {
            taken: Vec::new(),
            at_once: 1,
            vectored: false,
        };
        let mut outbound = Outbound::default();
        outbound.push_control("1234".into());
        outbound.push("AAAA".into());
        write(&mut outbound, &mut drip, 2);
        outbound.drop_messages();
        outbound.push("BB".into());
        write(&mut outbound, &mut drip, 4);
        assert!(outbound.is_empty() && outbound.bytes() == 0);
        assert_eq!(drip.taken, b"1234BB");
    }

    #[test]
    fn many_small_frames_cost_what_they_take() {
        let mut outbound = Outbound::default();
        for _ in 0..1000 {
            outbound.push_control(Bytes::from_static(&[0x8a, 0]));
        }
        assert!(outbound.bytes() >= 1000 * size_of::<Bytes>());
    }
}
