//! The payload of a message: a JSON string that carries its number, and that is known to the byte.

use std::io::Write as _;

use bytes::Bytes;

/// The quotes, the number and its check with what separates them.
pub const BYTES_MIN: usize = 2 + HEAD_BYTES;
/// Eight hexadecimal digits of the number, eight of the check, and a dash after each.
const HEAD_BYTES: usize = 18;
/// What the rest is made of: words, so that compression finds about what it finds in real messages.
const WORDS: [&str; 16] = [
    "price", "order", "alice", "bob", "status", "open", "closed", "room", "update", "user",
    "value", "lobby", "volume", "time", "speed", "goal",
];

/// Makes and checks the payloads of one run.
#[derive(Debug)]
pub struct Payloads {
    seed: u64,
    filler: Vec<u8>,
}

impl Payloads {
    /// Payloads of so many bytes, quotes included; at least [`BYTES_MIN`].
    pub fn new(bytes: usize, seed: u64) -> Self {
        let bytes = bytes.max(BYTES_MIN) - BYTES_MIN;
        let mut random = fastrand::Rng::with_seed(seed);
        let mut filler = Vec::with_capacity(bytes + 16);
        while filler.len() < bytes {
            filler.extend_from_slice(random.choice(WORDS).unwrap_or_default().as_bytes());
            let _ = write!(filler, " {} ", random.u16(..1000));
        }
        filler.truncate(bytes);
        Self { seed, filler }
    }

    /// The payload of message `number`.
    pub fn make(&self, number: u32) -> Bytes {
        let mut payload = Vec::with_capacity(BYTES_MIN + self.filler.len());
        payload.push(b'"');
        // Writing to memory does not fail.
        let _ = write!(payload, "{number:08x}-{:08x}-", self.check_of(number));
        payload.extend_from_slice(&self.filler);
        payload.push(b'"');
        payload.into()
    }

    /// The number of a payload; nothing if it is not one that this made.
    pub fn number(&self, payload: &[u8]) -> Option<u32> {
        let inner = payload.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let (head, filler) = inner.split_at_checked(HEAD_BYTES)?;
        let number = hex(&head[..8])?;
        let check = hex(&head[9..17])?;
        let is_ours = head[8] == b'-'
            && head[17] == b'-'
            && check == self.check_of(number)
            && filler == self.filler;
        is_ours.then_some(number)
    }

    /// Mixed well, so that no other number of this run, and no message of another run, passes for it.
    fn check_of(&self, number: u32) -> u32 {
        fastrand::Rng::with_seed(self.seed ^ (u64::from(number) << 20)).u32(..)
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_has_its_size_and_is_json() {
        for bytes in [BYTES_MIN, 32, 1024, 16_384] {
            let payload = Payloads::new(bytes, 7).make(3);
            assert_eq!(payload.len(), bytes);
            serde_json::from_slice::<String>(&payload).expect("a JSON string");
        }
    }

    #[test]
    fn a_number_is_read_back_and_a_changed_byte_is_seen() {
        let payloads = Payloads::new(100, 7);
        let payload = payloads.make(77);
        assert_eq!(payloads.number(&payload), Some(77));
        for at in 0..payload.len() {
            let mut changed = payload.to_vec();
            changed[at] ^= 1;
            assert_eq!(payloads.number(&changed), None, "byte {at} was changed");
        }
        assert_eq!(payloads.number(&payload[..50]), None);
        assert_eq!(
            Payloads::new(100, 8).number(&payload),
            None,
            "another run's"
        );
    }
}
