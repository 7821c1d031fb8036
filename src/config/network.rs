//! Addresses that belong together, as the configuration writes them: `10.0.0.0/8`, `fd00::/8`, or one address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// All addresses that begin with the same bits (RFC 4632, section 3.1; RFC 4291, section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first address.
    first: IpAddr,
    /// How many bits are the same.
    bits: u8,
}

impl Network {
    /// True if an address belongs to it. An IPv4 address is one even when it is written as IPv6.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
            (_, address) => first_of(address, self.bits) == self.first,
        }
    }
}

/// The address with all but the first bits zero.
fn first_of(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

fn bits_max(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A network that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an address such as 10.0.0.1 or ::1, or a network such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError;

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) if bits.bytes().all(|byte| byte.is_ascii_digit()) => {
                (address, Some(bits.parse().map_err(|_| NetworkError)?))
            }
            Some(_) => return Err(NetworkError),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        // A network of mapped addresses would never match: addresses are compared in their canonical form.
        if address.to_canonical() != address {
            return Err(NetworkError);
        }
        let bits = bits.unwrap_or(bits_max(address));
        if bits > bits_max(address) {
            return Err(NetworkError);
        }
        Ok(Self {
            first: first_of(address, bits),
            bits,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.bits != bits_max(self.first) {
            write!(f, "/{}", self.bits)?;
        }
        Ok(())
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (network, address) in [
            ("10.0.0.0/8", "10.255.0.1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1"),
            ("192.0.2.7", "192.0.2.7"),
            ("0.0.0.0/0", "203.0.113.1"),
            ("fd00::/8", "fdff::1"),
            ("::/0", "2001:db8::1"),
        ] {
            assert!(contains(network, address), "{address} in {network}");
        }
        for (network, address) in [
            ("10.0.0.0/8", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.6"),
            ("fd00::/8", "fe00::1"),
            ("::/0", "10.0.0.1"),
            ("0.0.0.0/0", "::1"),
        ] {
            assert!(!contains(network, address), "{address} in {network}");
        }
    }

    #[test]
    fn a_network_prints_itself_back() {
        for text in ["10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        let strays: Network = "10.1.2.3/8".parse().unwrap();
        assert_eq!(strays.to_string(), "10.0.0.0/8");
        for text in [
            "",
            "localhost",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "::/129",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }
}
