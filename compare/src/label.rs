//! What a cell, and what is varied, is called on the command line, in warnings and in tables.

use std::fmt;
use std::str::FromStr;

use crate::cell::{Cell, Network, Protocol, Rate, Transport};
use crate::text;

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::LongPoll => "longpoll",
            Self::Poll => "poll",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "h1",
            Self::Http1Tls => "h1+tls",
            Self::Http2Tls => "h2+tls",
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("idle"),
            Self::Steady { per_s } => write!(f, "{per_s}/s"),
            Self::Bursts { size, every_s } => write!(f, "bursts of {size} every {every_s} s"),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loopback => f.write_str("loopback"),
            Self::Delay {
                one_way_ms,
                jitter_ms,
                bits_per_s,
            } => {
                write!(f, "{one_way_ms} ms")?;
                if *jitter_ms > 0.0 {
                    write!(f, " + {jitter_ms} ms")?;
                }
                bits_per_s.map_or(Ok(()), |bits| write!(f, ", {} Mbit/s", bits / 1e6))
            }
            Self::Loss {
                percent,
                one_way_ms,
            } => write!(f, "{percent} % loss, {one_way_ms} ms"),
        }
    }
}

/// A cell in one line.
pub fn of(cell: &Cell) -> String {
    let mut label = format!(
        "{} {}, {}, {}, {}",
        cell.transport,
        cell.protocol,
        cell.rate,
        text::payload(cell.payload_bytes),
        text::subscribers(cell.subscribers)
    );
    if let Some(interval) = cell.poll_interval_s {
        label.push_str(&format!(", every {interval} s"));
    }
    if cell.deflate {
        label.push_str(", deflate");
    }
    if cell.network != Network::Loopback {
        label.push_str(&format!(", {}", cell.network));
    }
    label
}

/// A rate as `--rate` takes it: `idle`, messages in a second, `bursts`, or `bursts:SIZE:SECONDS`.
pub fn rate(text: &str) -> Result<Rate, String> {
    /// What `bursts` alone means.
    const BURST: Rate = Rate::Bursts {
        size: 64,
        every_s: 1.0,
    };
    if text == "idle" {
        return Ok(Rate::Idle);
    }
    if text == "bursts" {
        return Ok(BURST);
    }
    if let Some((size, every_s)) = text
        .strip_prefix("bursts:")
        .and_then(|rest| rest.split_once(':'))
    {
        let size = whole(size, 1..=10_000)?;
        let every_s = number(every_s, 0.01..=3600.0)?;
        return Ok(Rate::Bursts { size, every_s });
    }
    number(text.strip_suffix("/s").unwrap_or(text), 0.01..=10_000.0)
        .map(|per_s| Rate::Steady { per_s })
        .map_err(|expected| format!("{expected}, idle, bursts, or bursts:SIZE:SECONDS"))
}

/// A size as `--size` takes it: bytes, or KiB with that behind.
pub fn size(text: &str) -> Result<usize, String> {
    let (text, unit) = match text.strip_suffix("KiB") {
        Some(text) => (text, 1024),
        None => (text, 1),
    };
    let allowed = crate::payload::BYTES_MIN..=65_536;
    let bytes = usize::from_str(text)
        .ok()
        .and_then(|bytes| bytes.checked_mul(unit))
        .filter(|bytes| allowed.contains(bytes));
    bytes.ok_or_else(|| {
        format!(
            "a payload has {} to {} bytes: write 1024 or 1KiB",
            allowed.start(),
            allowed.end()
        )
    })
}

/// Subscribers as `--subscribers` takes them.
pub fn subscribers(text: &str) -> Result<usize, String> {
    whole(text, 1..=20_000)
}

/// An interval as `--interval` takes it. Connections that are quiet for longer are closed by the gateway.
pub fn interval(text: &str) -> Result<f64, String> {
    number(text, 0.01..=60.0)
}

/// A network as `--network` takes it: `loopback`, `50ms` (with a tenth of it as jitter), `1mbit` (10 ms), or `loss` (1 %,
/// 10 ms).
pub fn network(text: &str) -> Result<Network, String> {
    const ONE_WAY_MS: f64 = 10.0;
    if text == "loopback" {
        return Ok(Network::Loopback);
    }
    if text == "loss" {
        return Ok(Network::Loss {
            percent: 1.0,
            one_way_ms: ONE_WAY_MS,
        });
    }
    if let Some(rate) = text.strip_suffix("mbit") {
        return Ok(Network::Delay {
            one_way_ms: ONE_WAY_MS,
            jitter_ms: 0.0,
            bits_per_s: Some(number(rate, 0.01..=10_000.0)? * 1e6),
        });
    }
    let Some(delay) = text.strip_suffix("ms") else {
        return Err(
            "expected loopback, a delay such as 50ms, a rate such as 1mbit, or loss".to_owned(),
        );
    };
    let one_way_ms = number(delay, 0.0..=10_000.0)?;
    // No delay is no proxy, whose own delay would be all that is measured.
    if one_way_ms == 0.0 {
        return Ok(Network::Loopback);
    }
    Ok(Network::Delay {
        one_way_ms,
        jitter_ms: one_way_ms / 10.0,
        bits_per_s: None,
    })
}

fn number(text: &str, allowed: std::ops::RangeInclusive<f64>) -> Result<f64, String> {
    let expected = || {
        format!(
            "expected a number from {} to {}",
            allowed.start(),
            allowed.end()
        )
    };
    let number = f64::from_str(text).map_err(|_| expected())?;
    if allowed.contains(&number) {
        Ok(number)
    } else {
        Err(expected())
    }
}

fn whole(text: &str, allowed: std::ops::RangeInclusive<usize>) -> Result<usize, String> {
    let number = usize::from_str(text)
        .ok()
        .filter(|number| allowed.contains(number));
    number.ok_or_else(|| {
        format!(
            "expected a whole number from {} to {}",
            allowed.start(),
            allowed.end()
        )
    })
}

/// What `--only` takes: transports and protocols by their names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Only {
    /// Cells of this transport.
    Transport(Transport),
    /// Cells of this protocol.
    Protocol(Protocol),
}

/// A word of `--only`.
pub fn only(text: &str) -> Result<Only, String> {
    Ok(match text {
        "websocket" | "ws" => Only::Transport(Transport::WebSocket),
        "sse" => Only::Transport(Transport::Sse),
        "longpoll" => Only::Transport(Transport::LongPoll),
        "poll" => Only::Transport(Transport::Poll),
        "h1" => Only::Protocol(Protocol::Http1),
        "h1+tls" => Only::Protocol(Protocol::Http1Tls),
        "h2+tls" => Only::Protocol(Protocol::Http2Tls),
        _ => {
            return Err("expected websocket, sse, longpoll, poll, h1, h1+tls or h2+tls".to_owned());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_takes() {
        assert_eq!(rate("10"), Ok(Rate::Steady { per_s: 10.0 }));
        assert_eq!(rate("10/s"), rate("10"));
        assert_eq!(
            rate("bursts:8:0.5"),
            Ok(Rate::Bursts {
                size: 8,
                every_s: 0.5
            })
        );
        assert_eq!((size("1KiB"), size("32")), (Ok(1024), Ok(32)));
        assert!(interval("60").is_ok() && interval("61").is_err());
        assert!(size("5").is_err(), "a number and its check do not fit");
        for refused in ["1.5", "0", "-1", "20001", ""] {
            assert!(subscribers(refused).is_err(), "{refused}");
        }
        assert!(size("32.5").is_err() && size("64KiB").is_ok() && size("65KiB").is_err());
        assert!(
            rate("often").is_err_and(|said| said.ends_with("idle, bursts, or bursts:SIZE:SECONDS"))
        );
        assert!(rate("0").is_err() && rate("nan").is_err() && network("50").is_err());
        let expected = Network::Delay {
            one_way_ms: 50.0,
            jitter_ms: 5.0,
            bits_per_s: None,
        };
        assert_eq!(network("50ms"), Ok(expected));
        assert_eq!(network("0ms"), Ok(Network::Loopback));
    }

    #[test]
    fn a_label_says_what_is_special() {
        let mut cell = crate::cell::tests::cell();
        assert_eq!(of(&cell), "websocket h1, 10/s, 32 B, 10 subscribers");
        (cell.subscribers, cell.payload_bytes) = (1, 16_384);
        assert_eq!(of(&cell), "websocket h1, 10/s, 16 KiB, 1 subscriber");
        (cell.subscribers, cell.payload_bytes) = (10, 32);
        cell.network = Network::Loss {
            percent: 1.0,
            one_way_ms: 10.0,
        };
        cell.deflate = true;
        assert_eq!(
            of(&cell),
            "websocket h1, 10/s, 32 B, 10 subscribers, deflate, 1 % loss, 10 ms"
        );
    }
}
