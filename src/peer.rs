//! Who is at the other end of a TCP connection, or behind the proxy that is.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;

use crate::config::Network;

/// Who is at the other end of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from. An IPv4 address is one even if it came over an IPv6 socket.
    pub address: IpAddr,
    /// True if the connection is encrypted.
    pub secure: bool,
    /// Which listener it came by. Nothing that a request says can change it.
    pub entrance: Entrance,
}

/// Which listener a connection came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entrance {
    /// One for everybody.
    Public,
    /// One for administrators: whoever reaches it is one.
    Admin,
}

/// Where proxies write who sent what they pass on, the nearest one last.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// Where proxies write the scheme that was asked for.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

impl Peer {
    /// A peer as it was accepted.
    pub fn new(address: SocketAddr, secure: bool) -> Self {
        Self {
            address: address.ip().to_canonical(),
            secure,
            entrance: Entrance::Public,
        }
    }

    /// The same, by another listener.
    pub fn by(self, entrance: Entrance) -> Self {
        Self { entrance, ..self }
    }

    /// Who sent a request with these headers. Only a trusted proxy is believed, and of what it passes on only what it or
    /// another trusted one wrote: the list of addresses is read from its end up to the first that is not trusted. What is
    /// no address ends it too.
    pub fn forwarded(self, trusted: &[Network], headers: &HeaderMap) -> Self {
        let is_trusted = |address| trusted.iter().any(|proxy| proxy.contains(address));
        if !is_trusted(self.address) {
            return self;
        }
        let mut client = self;
        // The last value is the one that the nearest proxy wrote.
        client.secure = match words(headers, FORWARDED_PROTO).next() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => self.secure,
        };
        let mut before = words(headers, FORWARDED_FOR);
        while is_trusted(client.address)
            && let Some(address) = before.next().and_then(address)
        {
            client.address = address;
        }
        client
    }
}

/// The members of a list over all lines of a header (RFC 9110, section 5.3), the last one first.
fn words<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        // A line that is no text is a member that is no address.
        .map(|value| value.to_str().unwrap_or("?"))
        .collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.rsplit(',').map(str::trim))
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(word: &str) -> Option<IpAddr> {
    let bare = || word.parse::<IpAddr>().ok();
    let with_port = || word.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || {
        let inner = word.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    };
    let address = bare().or_else(with_port).or_else(bracketed)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    /// Who a request from 10.0.0.1 is from, where 10.0.0.0/8 and fd00::/8 are trusted.
    fn through(lines: &[&str]) -> String {
        let lines: Vec<_> = lines.iter().map(|line| (FORWARDED_FOR, *line)).collect();
        seen("10.0.0.1:1", &headers(&lines)).address.to_string()
    }

    fn seen(peer: &str, headers: &HeaderMap) -> Peer {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().unwrap());
        Peer::new(peer.parse().unwrap(), false).forwarded(&trusted, headers)
    }

    #[test]
    fn the_rightmost_address_that_is_not_trusted_counts() {
        assert_eq!(through(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(through(&["203.0.113.9, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(through(&["203.0.113.9, 192.0.2.1 ,10.0.0.2"]), "192.0.2.1");
        assert_eq!(
            through(&["203.0.113.9", "192.0.2.1,10.0.0.2", "10.0.0.3"]),
            "192.0.2.1"
        );
        assert_eq!(through(&["10.0.0.4, 10.0.0.3"]), "10.0.0.4");
        assert_eq!(through(&[]), "10.0.0.1");
    }

    #[test]
    fn ports_and_brackets_are_taken_off() {
        assert_eq!(through(&["192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(through(&["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(through(&["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(through(&["2001:db8::1"]), "2001:db8::1");
        assert_eq!(through(&["::ffff:192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn garbage_ends_the_list() {
        for garbage in [
            "unknown",
            "",
            "_hidden",
            "192.0.2.256",
            "[192.0.2.1]",
            "10.0.0",
            "1",
        ] {
            let line = format!("192.0.2.1, {garbage}, 10.0.0.2");
            assert_eq!(through(&[&line]), "10.0.0.2", "{garbage}");
        }
        assert_eq!(through(&["192.0.2.1, \u{e9}"]), "10.0.0.1", "no text");
    }

    #[test]
    fn nobody_else_is_believed() {
        let said = headers(&[(FORWARDED_FOR, "192.0.2.1"), (FORWARDED_PROTO, "https")]);
        for peer in ["203.0.113.1:1", "[2001:db8::1]:1"] {
            let before = Peer::new(peer.parse().unwrap(), false);
            assert_eq!(seen(peer, &said), before);
        }
        assert_eq!(
            seen("[::ffff:10.0.0.1]:1", &said).address.to_string(),
            "192.0.2.1"
        );
    }

    #[test]
    fn the_nearest_proxy_says_whether_it_is_encrypted() {
        let secure = |value| seen("10.0.0.1:1", &headers(&[(FORWARDED_PROTO, value)])).secure;
        assert!(secure("https") && secure("http, https"));
        assert!(!secure("http") && !secure("https, http") && !secure("nonsense"));
    }
}
