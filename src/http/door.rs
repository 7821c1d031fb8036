//! Whose requests are let in, by where they come from: the rules of open mode and of the listener for administrators, and
//! origins.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::header::{FORWARDED, HOST, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, uri::Authority};

use crate::code::Code;
use crate::config;
use crate::gateway::Gateway;
use crate::peer::{Entrance, Peer};
use crate::problem::Problem;

use super::route;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Checks where a request comes from.
///
/// # Errors
/// `forbidden`, with the rule that was broken.
pub fn admit(gateway: &Gateway, peer: Peer, parts: &Parts) -> Result<(), Problem> {
    if peer.entrance == Entrance::Admin {
        return check_admin(&gateway.config().server, parts);
    }
    if gateway.auth.is_open() {
        check_open_mode(parts)?;
    }
    match route::origin(&parts.headers)? {
        Some(origin) if !is_allowed(origin, &gateway.config().server.origins, host(parts)) => Err(
            forbidden("pages of this origin may not use this gateway: add it to server.origins"),
        ),
        _ => Ok(()),
    }
}

/// In open mode everybody may do everything, so only people at this machine are let in. A page elsewhere can make a
/// browser send requests here, under a name of its own that it points here (DNS rebinding) or across sites; a proxy can
/// pass on requests from anywhere.
fn check_open_mode(parts: &Parts) -> Result<(), Problem> {
    if !host(parts).is_some_and(is_local) {
        return Err(forbidden(
            "in open mode Host must be localhost, 127.0.0.1 or [::1]: configure auth to serve others",
        ));
    }
    if is_forwarded(&parts.headers) {
        return Err(forbidden(
            "in open mode requests may not come through a proxy: configure auth to serve others",
        ));
    }
    let has_origin = parts.headers.contains_key(http::header::ORIGIN);
    // With an Origin, the list of origins decides.
    if says(parts, &SEC_FETCH_SITE, "cross-site") && !has_origin && !follows_a_link(parts) {
        return Err(forbidden(
            "in open mode pages of other sites may not use this gateway",
        ));
    }
    Ok(())
}

/// Whoever reaches the listener for administrators is one, so it takes care who does. It is asked for by its address or by
/// a name that was configured: a page elsewhere whose name points here (DNS rebinding) has another one. No page but its
/// own may use it, and no proxy may pass requests on to it, because then anybody might be behind them.
fn check_admin(server: &config::Server, parts: &Parts) -> Result<(), Problem> {
    let host = host(parts);
    if !host
        .and_then(host_name)
        .is_some_and(|name| is_admin_name(name, server))
    {
        return Err(forbidden(
            "the admin listener is asked for by its address, by localhost, or by a name in server.admin_hosts",
        ));
    }
    if is_forwarded(&parts.headers) {
        return Err(forbidden(
            "requests to the admin listener may not come through a proxy: ask it directly",
        ));
    }
    let origin = route::origin(&parts.headers)?;
    let is_foreign = origin.is_some_and(|origin| !is_allowed(origin, &[], host));
    // A page of another port of this host is of the same site.
    let is_elsewhere = ["cross-site", "same-site"]
        .iter()
        .any(|site| says(parts, &SEC_FETCH_SITE, site));
    if is_foreign || (is_elsewhere && !follows_a_link(parts)) {
        return Err(forbidden(
            "pages of other origins may not use the admin listener",
        ));
    }
    Ok(())
}

/// An address, `localhost`, or a name that was configured.
fn is_admin_name(name: &str, server: &config::Server) -> bool {
    let is_address = name.parse::<Ipv4Addr>().is_ok()
        || name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .is_some_and(|name| name.parse::<Ipv6Addr>().is_ok());
    let listens = server.admin_listen.iter();
    let listens = listens.filter_map(|listen| Some(listen.rsplit_once(':')?.0));
    let mut names = server.admin_hosts.iter().map(String::as_str).chain(listens);
    is_address || is_local_name(name) || names.any(|known| known.eq_ignore_ascii_case(name))
}

fn says(parts: &Parts, header: &HeaderName, word: &str) -> bool {
    let mut values = parts.headers.get_all(header).iter();
    values.any(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
}

/// A person follows a link: the page that has it sees nothing of the answer.
fn follows_a_link(parts: &Parts) -> bool {
    parts.method == Method::GET && says(parts, &SEC_FETCH_MODE, "navigate")
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| *name == FORWARDED || name.as_str().starts_with("x-forwarded-"))
}

/// The host that the client wants: of the request line if it is there, else the header (RFC 9112, section 3.2.2).
fn host(parts: &Parts) -> Option<&str> {
    if let Some(authority) = parts.uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

fn host_name(host: &str) -> Option<&str> {
    let (start, _) = split_port(host)?;
    Some(start)
}

/// A host and its port, if it is well formed. User information is not.
fn split_port(host: &str) -> Option<(&str, Option<&str>)> {
    let authority: Authority = host.parse().ok()?;
    if host.contains('@') {
        return None;
    }
    let name = &host[..authority.host().len()];
    Some((name, host[name.len()..].strip_prefix(':')))
}

/// The names of this machine.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

fn is_local_name(name: &str) -> bool {
    LOCAL_NAMES
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local))
}

/// A host with a local name. Each request asks, so the usual spelling is known without reading it in full.
fn is_local(host: &str) -> bool {
    let is_port = |port: &str| {
        let digits = port.strip_prefix(':').unwrap_or_default();
        (1..=5).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut rests = LOCAL_NAMES
        .iter()
        .filter_map(|name| host.strip_prefix(name));
    rests.any(|rest| rest.is_empty() || is_port(rest)) || host_name(host).is_some_and(is_local_name)
}

/// With a list, the list decides; without one, only pages of the same host are allowed.
fn is_allowed(origin: &str, origins: &[String], host: Option<&str>) -> bool {
    if !origins.is_empty() {
        return origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
    }
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => "80",
        "https" => "443",
        _ => return false,
    };
    let normal = |authority: &str| {
        let (name, port) = split_port(authority)?;
        Some((
            name.to_ascii_lowercase(),
            port.unwrap_or(default_port).to_owned(),
        ))
    };
    let host = host.and_then(normal);
    host.is_some() && host == normal(authority)
}

fn forbidden(message: &'static str) -> Problem {
    Problem::new(Code::Forbidden, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names_are_three() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "[::2]",
            "localhost@evil.example",
            "user@localhost",
            "::1",
            "localhost:80:80",
            "localhostx",
            "127.0.0.1x:80",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn the_admin_listener_goes_by_addresses_and_names_that_were_configured() {
        let server = config::Server {
            admin_listen: vec!["gateway:9100".to_owned(), "[::]:9100".to_owned()],
            admin_hosts: vec!["Gateway.internal".to_owned()],
            ..config::Server::default()
        };
        let is_one = |host: &str| host_name(host).is_some_and(|name| is_admin_name(name, &server));
        for host in [
            "localhost:9100",
            "127.0.0.2",
            "10.0.0.1:9100",
            "[fd00::1]:9100",
            "gateway:1",
            "gateway.internal",
        ] {
            assert!(is_one(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "10.0.0.1.evil.example:9100",
            "gateway.internal.evil.example",
            "gateway@evil.example",
            "0x7f000001",
            "[fd00::1",
        ] {
            assert!(!is_one(host), "{host}");
        }
    }

    #[test]
    fn without_a_list_only_the_same_host_is_allowed() {
        let allowed = |origin, host| is_allowed(origin, &[], Some(host));
        assert!(allowed("http://localhost:8080", "localhost:8080"));
        assert!(allowed("https://a.example", "A.example:443"));
        assert!(allowed("http://a.example:80", "a.example"));
        for (origin, host) in [
            ("http://localhost:8081", "localhost:8080"),
            ("http://evil.example", "localhost:8080"),
            ("null", "localhost:8080"),
            ("file://", "localhost:8080"),
            ("localhost:8080", "localhost:8080"),
            ("http://localhost:8080.evil.example", "localhost:8080"),
            ("http://", ""),
        ] {
            assert!(!allowed(origin, host), "{origin} at {host}");
        }
        assert!(!is_allowed("http://a", &[], None));
    }

    #[test]
    fn with_a_list_the_list_decides() {
        let origins = ["https://a.example".to_owned()];
        assert!(is_allowed("https://A.example", &origins, Some("gateway")));
        assert!(!is_allowed("https://gateway", &origins, Some("gateway")));
        assert!(!is_allowed(
            "https://a.example.evil",
            &origins,
            Some("gateway")
        ));
    }
}
