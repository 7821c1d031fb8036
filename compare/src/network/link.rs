//! A line that holds bytes back: one way, in order, with a bound on what is under way.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until};

/// Most bytes under way in one direction of one connection. At the limit nothing more is taken, as if a router were full.
pub const UNDER_WAY_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes that are taken as one piece, so that a slow line passes them on bit by bit.
const PIECE_BYTES: usize = 1448;
/// A line without a rate takes more at once.
const FAST_PIECE_BYTES: usize = 16 * 1024;

/// What a line does to bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    delay: Duration,
    jitter: Duration,
    bits_per_s: Option<f64>,
}

impl Link {
    /// A line with a delay in one way, up to so much more drawn for each piece, and a rate if it has one.
    pub fn new(one_way_ms: f64, jitter_ms: f64, bits_per_s: Option<f64>) -> Self {
        Self {
            delay: Duration::from_secs_f64(one_way_ms / 1000.0),
            jitter: Duration::from_secs_f64(jitter_ms / 1000.0),
            bits_per_s,
        }
    }

    /// What a round trip takes at least.
    pub fn round_trip(&self) -> Duration {
        self.delay * 2
    }

    fn piece_bytes(&self) -> usize {
        if self.bits_per_s.is_some() {
            PIECE_BYTES
        } else {
            FAST_PIECE_BYTES
        }
    }
}

/// Whether lines hold bytes back yet: until then they take no time, so that many clients attach soon without attaching at once.
#[derive(Debug, Clone, Default)]
pub struct Hold(Arc<AtomicBool>);

impl Hold {
    /// From now on every piece takes its time.
    pub fn begin(&self) {
        // Nothing else is told by it.
        self.0.store(true, Ordering::Relaxed);
    }

    /// True if it began.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// When each piece arrives.
#[derive(Debug)]
struct Schedule {
    link: Link,
    hold: Hold,
    random: fastrand::Rng,
    /// When the line has sent all that it took.
    free_at: Option<Instant>,
    /// When the piece before arrives.
    last_due: Option<Instant>,
}

impl Schedule {
    /// A piece was taken at a moment: when it arrives. Never before the piece before it.
    fn due(&mut self, taken: Instant, bytes: usize) -> Instant {
        if !self.hold.has_begun() {
            return taken;
        }
        let begins = self.free_at.map_or(taken, |free| free.max(taken));
        let takes = self
            .link
            .bits_per_s
            .map_or(0.0, |rate| bytes as f64 * 8.0 / rate);
        let sent = begins + Duration::from_secs_f64(takes);
        self.free_at = Some(sent);
        let due = sent + self.link.delay + self.link.jitter.mul_f64(self.random.f64());
        let due = self.last_due.map_or(due, |last| last.max(due));
        self.last_due = Some(due);
        due
    }
}

/// Carries bytes from one side to the other until either ends. Nothing counts as taken before `open_at`, and nothing is held back
/// before `hold` begins.
pub async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    link: Link,
    hold: Hold,
    seed: u64,
    open_at: Instant,
) -> io::Result<()> {
    let mut schedule = Schedule {
        link,
        hold,
        random: fastrand::Rng::with_seed(seed),
        free_at: None,
        last_due: None,
    };
    let mut under_way = VecDeque::<(Instant, Bytes)>::new();
    let mut under_way_bytes = 0;
    let mut room = BytesMut::new();
    let mut has_ended = false;
    while !(has_ended && under_way.is_empty()) {
        let may_read = !has_ended && under_way_bytes < UNDER_WAY_BYTES_MAX;
        let next_due = under_way.front().map(|(due, _)| *due);
        room.reserve(link.piece_bytes());
        tokio::select! {
            // What is due goes first.
            biased;
            () = sleep_until(next_due.unwrap_or(open_at)), if next_due.is_some() => {
                let Some((_, bytes)) = under_way.pop_front() else { continue };
                under_way_bytes -= bytes.len();
                to.write_all(&bytes).await?;
                to.flush().await?;
            }
            read = read_piece(&mut from, &mut room, link.piece_bytes()), if may_read => {
                let bytes = read?;
                has_ended = bytes.is_empty();
                if !has_ended {
                    under_way_bytes += bytes.len();
                    let due = schedule.due(Instant::now().max(open_at), bytes.len());
                    under_way.push_back((due, bytes));
                }
            }
        }
    }
    to.shutdown().await
}

/// Cancel safe: a read either happens or does not.
async fn read_piece(
    from: &mut (impl AsyncRead + Unpin),
    room: &mut BytesMut,
    most: usize,
) -> io::Result<Bytes> {
    let read = from.take(most as u64).read_buf(room).await?;
    Ok(room.split_to(read).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;
    use tokio::time::timeout;

    const SEED: u64 = 5;

    /// A line between two ends in memory.
    fn line(link: Link) -> (tokio::io::DuplexStream, tokio::io::DuplexStream) {
        let hold = Hold::default();
        hold.begin();
        line_that_waits_for(hold, link)
    }

    fn line_that_waits_for(
        hold: Hold,
        link: Link,
    ) -> (tokio::io::DuplexStream, tokio::io::DuplexStream) {
        let (near, from) = duplex(64 * 1024);
        let (to, far) = duplex(64 * 1024);
        tokio::spawn(carry(from, to, link, hold, SEED, Instant::now()));
        (near, far)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_held_back_before_it_begins() {
        let hold = Hold::default();
        let (mut near, mut far) =
            line_that_waits_for(hold.clone(), Link::new(50.0, 5.0, Some(1e3)));
        let start = Instant::now();
        near.write_all(b"x").await.expect("room");
        far.read_u8().await.expect("a byte");
        assert_eq!(start.elapsed(), Duration::ZERO);
        hold.begin();
        near.write_all(b"y").await.expect("room");
        far.read_u8().await.expect("a byte");
        let took = start.elapsed();
        // A byte takes 8 ms of sending, and one way.
        assert!(took >= Duration::from_millis(58), "it took {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_after_the_delay_and_not_before() {
        let (mut near, mut far) = line(Link::new(50.0, 0.0, None));
        let start = Instant::now();
        near.write_all(b"hello").await.expect("room");
        let mut bytes = [0; 5];
        far.read_exact(&mut bytes).await.expect("bytes");
        assert_eq!(
            (&bytes, start.elapsed()),
            (b"hello", Duration::from_millis(50))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_that_of_a_line_and_not_of_a_queue() {
        let (mut near, mut far) = line(Link::new(50.0, 0.0, None));
        let start = Instant::now();
        for _ in 0..3 {
            near.write_all(b"x").await.expect("room");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for expected_ms in [50, 60, 70] {
            far.read_u8().await.expect("a byte");
            assert_eq!(start.elapsed(), Duration::from_millis(expected_ms));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_lets_so_many_bits_pass_in_a_second() {
        let (mut near, mut far) = line(Link::new(0.0, 0.0, Some(1_000_000.0)));
        let start = Instant::now();
        tokio::spawn(async move { near.write_all(&[7; 125_000]).await.expect("room") });
        let mut all = vec![0; 125_000];
        far.read_exact(&mut all).await.expect("bytes");
        let took = start.elapsed().as_secs_f64();
        assert!((0.999..1.05).contains(&took), "a megabit took {took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_spreads_pieces_and_keeps_their_order() {
        let (mut near, mut far) = line(Link::new(10.0, 20.0, None));
        let start = Instant::now();
        tokio::spawn(async move {
            for number in 0..100u8 {
                near.write_all(&[number]).await.expect("room");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let mut took = Vec::new();
        for number in 0..100u8 {
            assert_eq!(far.read_u8().await.expect("a byte"), number);
            took.push(start.elapsed().as_millis() as u64 - u64::from(number));
        }
        let (least, most) = (
            took.iter().min().expect("some"),
            took.iter().max().expect("some"),
        );
        // The timers' grain is a millisecond.
        assert!(
            *least >= 10 && *most <= 31 && most - least > 5,
            "{least} to {most} ms"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_is_under_way_than_may_be() {
        let (mut near, _far) = line(Link::new(3_600_000.0, 0.0, None));
        let mut taken = 0;
        let piece = [0; 4096];
        while timeout(Duration::from_secs(1), near.write_all(&piece))
            .await
            .is_ok()
        {
            taken += piece.len();
            assert!(taken < 2 * UNDER_WAY_BYTES_MAX, "{taken} bytes were taken");
        }
        assert!(
            taken >= UNDER_WAY_BYTES_MAX,
            "only {taken} bytes were taken"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_comes_after_what_was_sent_before_it() {
        let (mut near, mut far) = line(Link::new(50.0, 0.0, None));
        near.write_all(b"bye").await.expect("room");
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.expect("bytes");
        assert_eq!(all, b"bye");
    }
}
