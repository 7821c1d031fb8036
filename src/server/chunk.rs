//! A chunk of a body over HTTP/1.1 (RFC 9112, section 7.1), on its way out.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// A chunk that goes out: the size of its data in hexadecimal digits, the data, and the ends of two lines. Without data it
/// is the last one, with no trailers behind it.
pub struct Chunk {
    data: Bytes,
    /// How much of all that was written.
    written: usize,
}

/// So long may the line with the size be.
const SIZE_LINE_BYTES_MAX: usize = usize::BITS as usize / 4 + LINE_END.len();
const LINE_END: &[u8] = b"\r\n";

impl Chunk {
    /// A chunk with this data, of which there is some.
    pub fn of(data: Bytes) -> Self {
        Self { data, written: 0 }
    }

    /// The chunk that ends a body.
    pub fn last() -> Self {
        Self::of(Bytes::new())
    }

    /// True for the one that ends a body.
    pub fn is_last(&self) -> bool {
        self.data.is_empty()
    }

    /// Writes the rest of it. Ready once all of it is written. Cancel safe.
    pub fn poll_write<S>(&mut self, io: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncWrite + Unpin,
    {
        let mut room = [0; SIZE_LINE_BYTES_MAX];
        let mut left = &mut room[..];
        write!(left, "{:X}\r\n", self.data.len())?;
        let line_bytes = SIZE_LINE_BYTES_MAX - left.len();
        let bytes = line_bytes + self.data.len() + LINE_END.len();
        while self.written < bytes {
            let mut slices = [&room[..line_bytes], &self.data, LINE_END].map(IoSlice::new);
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, self.written);
            match ready!(Pin::new(&mut *io).poll_write_vectored(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer that takes so many bytes at a time.
    struct Narrow(Vec<u8>, usize);

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.1);
            self.0.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = all.len().min(self.1);
            self.0.extend_from_slice(&all[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_chunk_goes_out_whole_however_little_is_taken_at_a_time() {
        for at_a_time in 1..=32 {
            let mut narrow = Narrow(Vec::new(), at_a_time);
            for mut chunk in [Chunk::of(Bytes::from_static(&[b'x'; 27])), Chunk::last()] {
                std::future::poll_fn(|cx| chunk.poll_write(&mut narrow, cx))
                    .await
                    .unwrap();
            }
            let out = String::from_utf8(narrow.0).unwrap();
            assert_eq!(out, format!("1B\r\n{}\r\n0\r\n\r\n", "x".repeat(27)));
        }
    }

    #[test]
    fn the_largest_size_has_room() {
        let line = format!("{:X}\r\n", usize::MAX);
        assert_eq!(line.len(), SIZE_LINE_BYTES_MAX);
    }
}
