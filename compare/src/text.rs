//! Figures and cells in words: three digits that count, a unit, and the names that people use.

use crate::cell::{Network, Protocol, Rate, Transport};
use crate::condition::{Choice, Condition};
use crate::metric::Metric;
use crate::results::Figure;

/// A number with about three digits that count: `1,234`, `12.3`, `1.23`, `0.012`.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "–".to_owned()
    } else if size == 0.0 {
        "0".to_owned()
    } else if size >= 99.95 {
        with_separators(value)
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else if size >= 0.9995 {
        format!("{value:.2}")
    } else if size >= 0.00995 {
        format!("{value:.3}")
    } else if size >= 0.0001 {
        format!("{value:.4}")
    } else {
        "<0.0001".to_owned()
    }
}

fn with_separators(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

/// A count with separators.
pub fn count(value: u64) -> String {
    with_separators(value as f64)
}

/// A metric's value with the unit that suits it: `83 µs`, `1.24 ms`, `2.51 s`.
pub fn with_unit(metric: Metric, value: f64) -> String {
    use Metric::*;
    match metric {
        P50 | P90 | P99 | P999 | Slowest | ColdStart | Resume => milliseconds(value),
        BytesDown | BytesUp | Bytes | Handshake | IdleBytes => bytes(value),
        Packets | Requests | Connections | WakeUps => number(value),
        Cpu => milliseconds(value / 1000.0),
        Memory if value >= 1024.0 => format!("{} MiB", number(value / 1024.0)),
        Memory => format!("{} KiB", number(value)),
        Achieved => format!("{}/s", number(value)),
        LoadCpu => format!("{} %", number(value * 100.0)),
    }
}

/// The value of a figure by its name in [`crate::results::Expectation`], with its unit where it has one.
pub fn of_figure(field: &str, value: f64) -> String {
    let metric = Metric::by_field(field);
    let metric = metric.or_else(|| field.starts_with("bytes.").then_some(Metric::Bytes));
    metric.map_or_else(|| number(value), |metric| with_unit(metric, value))
}

/// So many of something.
pub fn counted(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number as u64))
}

/// A time with the unit that suits it.
pub fn milliseconds(value: f64) -> String {
    match value {
        0.0 => "0 ms".to_owned(),
        v if v < 0.9995 => format!("{} µs", number(v * 1000.0)),
        v if v < 999.5 => format!("{} ms", number(v)),
        v => format!("{} s", number(v / 1000.0)),
    }
}

/// Bytes, from a thousand on in kB: the columns have no larger unit, and a figure reads the same everywhere.
fn bytes(value: f64) -> String {
    match value {
        v if v < 999.5 => format!("{} B", number(v)),
        v => format!("{} kB", number(v / 1e3)),
    }
}

/// A figure in its column's unit: the median.
pub fn in_column(metric: Metric, figure: Figure) -> String {
    number(figure.median * metric.column_factor())
}

/// The spread of a figure in its column's unit; nothing if all repeats gave the same.
pub fn spread_in_column(metric: Metric, figure: Figure) -> Option<String> {
    let min = number(figure.min * metric.column_factor());
    let max = number(figure.max * metric.column_factor());
    (min != max).then(|| format!("{min}–{max}"))
}

/// Names as people list them: `a, b and c`.
pub fn list(names: &[String], last: &str) -> String {
    match names {
        [others @ .., end] if !others.is_empty() => {
            format!("{} {last} {end}", others.join(", "))
        }
        _ => names.concat(),
    }
}

/// A transport's name.
pub fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::WebSocket => "WebSocket",
        Transport::Sse => "SSE",
        Transport::LongPoll => "long poll",
        Transport::Poll => "short poll",
    }
}

/// A transport with its settings: `short poll (1 s)`.
pub fn choice(choice: &Choice) -> String {
    let interval = choice.poll_interval_s.map(seconds);
    let deflate = choice.deflate.then(|| "deflate".to_owned());
    let settings: Vec<String> = interval.into_iter().chain(deflate).collect();
    match settings.is_empty() {
        true => transport(choice.transport).to_owned(),
        false => format!("{} ({})", transport(choice.transport), settings.join(", ")),
    }
}

/// A protocol's name.
pub fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "HTTP/1.1",
        Protocol::Http1Tls => "HTTP/1.1 + TLS",
        Protocol::Http2Tls => "HTTP/2 + TLS",
    }
}

/// A rate: `10/s`.
pub fn rate(rate: &Rate) -> String {
    match *rate {
        Rate::Idle => "idle".to_owned(),
        Rate::Steady { per_s } => format!("{}/s", plain(per_s)),
        Rate::Bursts { size, every_s } => format!("bursts of {size} every {}", seconds(every_s)),
    }
}

/// A network: `50 ms each way`.
pub fn network(network: &Network) -> String {
    match *network {
        Network::Loopback => "loopback".to_owned(),
        Network::Delay {
            one_way_ms,
            jitter_ms,
            bits_per_s,
        } => {
            let mut text = format!("{} ms", plain(one_way_ms));
            if jitter_ms > 0.0 {
                text.push_str(&format!(" + 0–{} ms", plain(jitter_ms)));
            }
            text.push_str(" each way");
            if let Some(bits_per_s) = bits_per_s {
                text.push_str(&format!(", {} Mbit/s", plain(bits_per_s / 1e6)));
            }
            text
        }
        Network::Loss {
            percent,
            one_way_ms,
        } => {
            format!(
                "{} % loss, {} ms each way",
                plain(percent),
                plain(one_way_ms)
            )
        }
    }
}

/// A payload's size: `1 KiB`.
pub fn payload(bytes: usize) -> String {
    if bytes >= 1024 && bytes.is_multiple_of(1024) {
        format!("{} KiB", count((bytes / 1024) as u64))
    } else {
        format!("{} B", count(bytes as u64))
    }
}

/// So many clients.
pub fn subscribers(subscribers: usize) -> String {
    let ending = if subscribers == 1 { "" } else { "s" };
    format!("{} subscriber{ending}", count(subscribers as u64))
}

/// A condition, the protocol first: `HTTP/1.1, 10/s, 32 B, 1 subscriber, loopback`.
pub fn condition(condition: &Condition) -> String {
    format!("{}, {}", protocol(condition.protocol), work(condition))
}

/// A condition without its protocol. Where nothing is published, nothing has a size.
pub fn work(condition: &Condition) -> String {
    let mut parts = vec![rate(&condition.rate)];
    if condition.rate != Rate::Idle {
        parts.push(payload(condition.payload_bytes));
    }
    parts.push(subscribers(condition.subscribers));
    parts.push(network(&condition.network));
    parts.join(", ")
}

/// Seconds as people write them: `0.2 s`, `25 s`, `2 min 05 s`.
pub fn seconds(value: f64) -> String {
    if value < 120.0 {
        return format!("{} s", plain((value * 1000.0).round() / 1000.0));
    }
    let whole = value.round() as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

/// A moment of RFC 3339 in UTC as people write it: `2026-11-25 00:31 UTC`. Anything else stays as it is.
pub fn moment(rfc_3339: &str) -> String {
    let parts = (
        rfc_3339.get(..10),
        rfc_3339.get(10..11),
        rfc_3339.get(11..16),
    );
    match parts {
        (Some(day), Some("T"), Some(time)) if rfc_3339.ends_with('Z') => {
            format!("{day} {time} UTC")
        }
        _ => rfc_3339.to_owned(),
    }
}

/// A setting as it was given, without digits that say nothing.
fn plain(value: f64) -> String {
    if value >= 1000.0 && value.fract() == 0.0 {
        with_separators(value)
    } else {
        format!("{value}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_count() {
        let texts = [
            0.0,
            0.00004,
            0.00214,
            0.0432,
            0.9996,
            1.0,
            12.34,
            99.96,
            123.4,
            1_234_567.0,
        ]
        .map(number);
        assert_eq!(
            texts,
            [
                "0",
                "<0.0001",
                "0.0021",
                "0.043",
                "1.00",
                "1.00",
                "12.3",
                "100",
                "123",
                "1,234,567"
            ]
        );
    }

    #[test]
    fn units_suit_the_size() {
        assert_eq!(with_unit(Metric::P50, 0.083), "83.0 µs");
        assert_eq!(with_unit(Metric::P50, 1.24), "1.24 ms");
        assert_eq!(with_unit(Metric::P99, 2510.0), "2.51 s");
        assert_eq!(with_unit(Metric::Bytes, 312.0), "312 B");
        assert_eq!(with_unit(Metric::IdleBytes, 45_200.0), "45.2 kB");
        assert_eq!(with_unit(Metric::IdleBytes, 1_120_000.0), "1,120 kB");
        assert_eq!(with_unit(Metric::Cpu, 12.3), "12.3 µs");
        assert_eq!(with_unit(Metric::LoadCpu, 0.25), "25.0 %");
    }

    #[test]
    fn cells_are_named_as_people_would() {
        let network = |bits_per_s| Network::Delay {
            one_way_ms: 50.0,
            jitter_ms: 10.0,
            bits_per_s,
        };
        assert_eq!(
            super::network(&network(Some(1e6))),
            "50 ms + 0–10 ms each way, 1 Mbit/s"
        );
        assert_eq!(payload(16_384), "16 KiB");
        assert_eq!(payload(32), "32 B");
        assert_eq!(subscribers(1000), "1,000 subscribers");
        assert_eq!(seconds(125.0), "2 min 05 s");
        assert_eq!(moment("2026-11-25T00:31:07.25Z"), "2026-11-25 00:31 UTC");
        assert_eq!(
            [moment("2026-11-25T00:31:07+01:00"), moment("today")],
            ["2026-11-25T00:31:07+01:00", "today"]
        );
        let bursts = Rate::Bursts {
            size: 64,
            every_s: 1.0,
        };
        assert_eq!(rate(&bursts), "bursts of 64 every 1 s");
    }
}
