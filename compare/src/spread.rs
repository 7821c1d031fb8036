//! How far the repeats of a cell are apart: a figure that differs widely between them is doubtful.

use crate::metric::Metric;
use crate::results::{Figure, Figures, Warning};
use crate::text;
use crate::warning::warning;

/// A spread that is this much of the median is wide.
const WIDE: f64 = 0.5;

/// What is watched, and the difference below which it is noise of the machine, or of where a window cuts, however large it is
/// beside a small median.
const WATCHED: [(Metric, f64); 16] = [
    (Metric::P50, 0.3),
    (Metric::P90, 0.3),
    (Metric::P99, 0.3),
    (Metric::P999, 0.3),
    (Metric::ColdStart, 0.5),
    (Metric::Resume, 0.5),
    (Metric::BytesDown, 16.0),
    (Metric::BytesUp, 16.0),
    (Metric::Handshake, 64.0),
    (Metric::Packets, 0.2),
    (Metric::Requests, 0.1),
    (Metric::Connections, 0.0),
    (Metric::IdleBytes, 100.0),
    (Metric::WakeUps, 0.5),
    (Metric::Cpu, 2.0),
    (Metric::Memory, 1.0),
];

/// All that differs widely, in one warning.
pub fn wide(figures: &Figures) -> Option<Warning> {
    let is_idle = figures.idle_bytes_per_hour.is_some();
    let watched = WATCHED
        .iter()
        // How often messages that come by chance are so far apart that a client falls asleep is chance, too.
        .filter(|(metric, _)| *metric != Metric::WakeUps || is_idle);
    let said: Vec<String> = watched
        .filter_map(|(metric, least)| {
            let figure = metric.among(figures)?;
            is_wide(&figure, *least).then(|| in_words(*metric, figure))
        })
        .collect();
    (!said.is_empty()).then(|| {
        let said = said.join(", ");
        let message =
            format!("between repeats these differed by over half of their medians: {said}");
        warning("wide_spread", false, message)
    })
}

fn is_wide(figure: &Figure, least: f64) -> bool {
    let spread = figure.max - figure.min;
    spread > least && spread > figure.median * WIDE
}

fn in_words(metric: Metric, figure: Figure) -> String {
    let [min, max, median] =
        [figure.min, figure.max, figure.median].map(|value| text::with_unit(metric, value));
    format!("{} {min} to {max} ({median})", metric.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Transport;
    use crate::results::Bytes;
    use crate::sample;

    fn figure(median: f64, min: f64, max: f64) -> Option<Figure> {
        Some(Figure { median, min, max })
    }

    /// What is said of figures.
    fn said(figures: &Figures) -> String {
        wide(figures).map_or_else(String::new, |warning| warning.message)
    }

    #[test]
    fn what_spreads_is_named_with_its_ends() {
        let figures = Figures {
            latency_p50_ms: figure(1.0, 0.9, 1.1),
            latency_p999_ms: figure(2.0, 1.34, 4.09),
            ..Figures::default()
        };
        let said = said(&figures);
        assert!(
            said.ends_with(": p99.9 latency 1.34 ms to 4.09 ms (2.00 ms)"),
            "{said}"
        );
    }

    #[test]
    fn starts_and_what_waiting_costs_are_watched() {
        let idle = Figures {
            cold_start_ms: figure(1.0, 0.9, 2.0),
            resume_ms: figure(1.0, 0.9, 2.1),
            idle_bytes_per_hour: figure(1000.0, 900.0, 2000.0),
            wakeups_per_minute: figure(2.4, 2.4, 6.0),
            ..Figures::default()
        };
        let said = said(&idle);
        for metric in [
            Metric::ColdStart,
            Metric::Resume,
            Metric::IdleBytes,
            Metric::WakeUps,
        ] {
            assert!(said.contains(metric.name()), "{} in {said}", metric.name());
        }
    }

    #[test]
    fn bytes_are_watched() {
        let mut figures = sample::cell(Transport::LongPoll).figures;
        assert_eq!(said(&figures), "");
        let mut bytes: Bytes = figures.bytes.expect("a sample has bytes");
        bytes.down.headers.max *= 2.0;
        bytes.up.headers.max *= 2.0;
        figures.bytes = Some(bytes);
        let said = said(&figures);
        assert!(
            said.contains("bytes down per message") && said.contains("bytes up per message"),
            "{said}"
        );
    }

    #[test]
    fn a_wide_spread_of_little_is_noise() {
        let figures = Figures {
            cold_start_ms: figure(0.1, 0.05, 0.3),
            requests_per_message: figure(0.1, 0.05, 0.15),
            ..Figures::default()
        };
        assert_eq!(said(&figures), "");
    }

    #[test]
    fn how_often_a_loaded_client_falls_asleep_is_chance() {
        let figures = Figures {
            wakeups_per_minute: figure(60.0, 60.0, 180.0),
            ..Figures::default()
        };
        assert_eq!(said(&figures), "");
    }
}
