//! The queue of shared frames in front of a socket, over a sink that takes everything.

use std::hint::black_box;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::table::{Spread, Table};

// The module is private, and needs nothing but its crates. Reading and closing are not measured.
#[allow(dead_code)]
#[path = "../../src/transport/websocket/outbound.rs"]
mod outbound;

use outbound::Outbound;

const FRAME_BYTES: usize = 134;

/// Takes everything at once.
struct Sink;

impl AsyncWrite for Sink {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(black_box(bytes).len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes = black_box(slices).iter().map(|slice| slice.len()).sum();
        Poll::Ready(Ok(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Bursts of one frame and of 64.
pub fn measure(quick: bool) -> Table {
    let title =
        format!("Queue of WebSocket frames: push and write {FRAME_BYTES} bytes each, in ns");
    let mut table = Table::new(&title, &["frames at once", "for each frame"]);
    for burst in [1, 64] {
        let turns = if quick { 3 } else { 9 };
        let costs: Vec<f64> = (0..=turns).map(|_| nanoseconds(burst)).collect();
        // The first turn warms up.
        let spread = Spread::of(costs[1..].to_vec());
        table.row([burst.to_string(), spread.to_string()]);
    }
    table
}

/// The time for each frame.
fn nanoseconds(burst: usize) -> f64 {
    const FRAMES: usize = 4_000_000;
    let shared = Bytes::from(vec![0x81; FRAME_BYTES]);
    let (mut queue, mut sink) = (Outbound::default(), Sink);
    let mut cx = Context::from_waker(Waker::noop());
    let begin = Instant::now();
    for _ in 0..FRAMES / burst {
        for _ in 0..burst {
            queue.push(shared.clone());
        }
        while queue.bytes() > 0 {
            let written = queue.poll_write(&mut sink, &mut cx);
            assert!(matches!(written, Poll::Ready(Ok(_))), "the sink takes all");
        }
    }
    begin.elapsed().as_nanos() as f64 / (FRAMES / burst * burst) as f64
}
