//! Whom a limit counts.

use std::net::{IpAddr, Ipv4Addr};

use crate::bus::UserName;

/// An address as limits count it. Of IPv6 it is the first 64 bits: whoever has one address has its whole network (RFC
/// 4291, section 2.5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressKey {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// All IPv6 addresses that begin with these bytes.
    V6([u8; 8]),
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Who publishes: a user, or whoever is at an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Publisher {
    /// Somebody with a name.
    User(UserName),
    /// Anybody from here.
    Address(AddressKey),
}

/// On whose account an attachment goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The address, unless it is exempt.
    pub address: Option<AddressKey>,
    /// The user, if there is one.
    pub user: Option<UserName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: &str) -> AddressKey {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_ipv6_network_is_one_and_an_ipv4_address_is_one() {
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:0:0:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("0.0.0.1"), key("::1"));
    }
}
