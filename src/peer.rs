//! Who is at the other end of a TCP connection.

use std::net::{IpAddr, SocketAddr};

/// Who is at the other end of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from. An IPv4 address is one even if it came over an IPv6 socket.
    pub address: IpAddr,
    /// True if the connection is encrypted.
    pub secure: bool,
}

impl Peer {
    /// A peer as it was accepted.
    pub fn new(address: SocketAddr, secure: bool) -> Self {
        Self {
            address: address.ip().to_canonical(),
            secure,
        }
    }
}
