//! A page as text in pieces: the messages in it are those of the channel, and not copied before somebody takes them.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A text of at most so many bytes is one piece: it is no more than its pieces are.
pub const WHOLE_BYTES_MAX: usize = 16 * 1024;

/// JSON in pieces. A client that takes nothing makes the gateway hold the pieces, which others hold too, and not a copy of
/// up to a whole page for each request.
#[derive(Debug)]
pub enum Printed {
    /// A short one.
    Whole(Bytes),
    /// A long one.
    Pieces(Pieces),
}

/// The pieces of a long one.
#[derive(Debug, Default)]
pub struct Pieces {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

impl Printed {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Whole(whole) => whole.len(),
            Self::Pieces(pieces) => pieces.len(),
        }
    }

    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of it in one piece.
    pub fn all(self) -> Bytes {
        match self {
            Self::Whole(whole) => whole,
            Self::Pieces(mut pieces) => pieces.take(usize::MAX),
        }
    }
}

impl From<Printed> for Pieces {
    fn from(printed: Printed) -> Self {
        match printed {
            Printed::Whole(whole) => {
                let mut pieces = Self::default();
                pieces.push(whole);
                pieces
            }
            Printed::Pieces(pieces) => pieces,
        }
    }
}

impl Pieces {
    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// True if nothing is left.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Adds a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Takes what comes next, at most so many bytes. What is part of one piece is shared, the rest is put together.
    pub fn take(&mut self, bytes_max: usize) -> Bytes {
        let bytes = self.bytes.min(bytes_max);
        self.bytes -= bytes;
        if let Some(piece) = self.pieces.front_mut().filter(|piece| piece.len() >= bytes) {
            let taken = piece.split_to(bytes);
            if piece.is_empty() {
                self.pieces.pop_front();
            }
            return taken;
        }
        let mut taken = BytesMut::with_capacity(bytes);
        while taken.len() < bytes
            && let Some(piece) = self.pieces.front_mut()
        {
            taken.extend_from_slice(&piece.split_to(piece.len().min(bytes - taken.len())));
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        taken.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_in_any_portions() {
        for portion in 1..12 {
            let mut printed = Pieces::default();
            for piece in ["ab", "", "c", "defgh"] {
                printed.push(Bytes::from_static(piece.as_bytes()));
            }
            assert_eq!(printed.len(), 8);
            let mut all = Vec::new();
            while !printed.is_empty() {
                let taken = printed.take(portion);
                assert!(!taken.is_empty() && taken.len() <= portion);
                all.extend_from_slice(&taken);
            }
            assert_eq!(all, b"abcdefgh");
            assert_eq!(printed.take(portion), Bytes::new());
        }
    }
}
