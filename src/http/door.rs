//! Whose requests are let in, by where they come from: the rules of open mode, and origins.

use http::header::{FORWARDED, HOST, HeaderMap};
use http::request::Parts;
use http::{Method, uri::Authority};

use crate::code::Code;
use crate::gateway::Gateway;
use crate::problem::Problem;

use super::route;

/// Checks where a request comes from.
///
/// # Errors
/// `forbidden`, with the rule that was broken.
pub fn admit(gateway: &Gateway, parts: &Parts) -> Result<(), Problem> {
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
    let is_local = host(parts).and_then(host_name).is_some_and(is_local_name);
    if !is_local {
        return Err(forbidden(
            "in open mode Host must be localhost, 127.0.0.1 or [::1]: configure auth to serve others",
        ));
    }
    if is_forwarded(&parts.headers) {
        return Err(forbidden(
            "in open mode requests may not come through a proxy: configure auth to serve others",
        ));
    }
    let says = |name: &str, word: &str| {
        let mut values = parts.headers.get_all(name).iter();
        values.any(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
    };
    let follows_a_link = parts.method == Method::GET && says("sec-fetch-mode", "navigate");
    let has_origin = parts.headers.contains_key(http::header::ORIGIN);
    // With an Origin, the list of origins decides.
    if says("sec-fetch-site", "cross-site") && !has_origin && !follows_a_link {
        return Err(forbidden(
            "in open mode pages of other sites may not use this gateway",
        ));
    }
    Ok(())
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

fn is_local_name(name: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|local| name.eq_ignore_ascii_case(local))
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
        let is_local = |host: &str| host_name(host).is_some_and(is_local_name);
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
        ] {
            assert!(!is_local(host), "{host}");
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
