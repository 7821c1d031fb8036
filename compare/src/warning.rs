//! What casts doubt on a cell: the load at its limit, messages that went wrong, a machine that did other things.

use crate::cell::{Cell, Rate};
use crate::measure::Repeat;
use crate::results::{Deliveries, Figures, Warning};
use crate::spread;

/// From this share of its core on, the load may have been what was measured.
pub const LOAD_CPU_SHARE_MAX: f64 = 0.85;
/// The code for others that were at work.
pub const BACKGROUND_LOAD: &str = "background_load";
/// From this share on, a gateway's latency is that of a queue.
const SERVER_CPU_SHARE_MAX: f64 = 0.9;
/// Below this share of the offered rate, the publisher did not keep up.
const ACHIEVED_SHARE_MIN: f64 = 0.9;
/// From this share of a core on, others disturb.
pub const OTHERS_CPU_SHARE_MAX: f64 = 0.1;
/// From this share of a core on, the host disturbs.
const STOLEN_SHARE_MAX: f64 = 0.02;

/// All that casts doubt.
pub fn warnings(
    cell: &Cell,
    repeats: &[Repeat],
    deliveries: &Deliveries,
    figures: &Figures,
) -> Vec<Warning> {
    let mut warnings = wrong_messages(deliveries);
    warnings.extend(failures(repeats));
    warnings.extend(overcounted_bytes(repeats));
    warnings.extend(load_at_its_limit(figures));
    warnings.extend(rate_not_reached(cell, repeats, figures));
    warnings.extend(server_at_its_limit(repeats));
    warnings.extend(spread::wide(figures));
    warnings.extend(disturbed(repeats));
    warnings
}

pub(crate) fn warning(code: &str, invalidates: bool, message: String) -> Warning {
    Warning {
        code: code.to_owned(),
        message,
        invalidates,
    }
}

fn wrong_messages(deliveries: &Deliveries) -> Vec<Warning> {
    let Deliveries {
        expected,
        lost,
        repeated,
        out_of_order,
        corrupted,
        ..
    } = *deliveries;
    let all = [
        ("lost_messages", lost, "never came"),
        ("repeated_messages", repeated, "came again"),
        (
            "messages_out_of_order",
            out_of_order,
            "came after a later one",
        ),
        (
            "corrupted_messages",
            corrupted,
            "were not what was published",
        ),
    ];
    let wrong = all.into_iter().filter(|(_, count, _)| *count > 0);
    wrong
        .map(|(code, count, what)| {
            warning(code, true, format!("{count} of {expected} messages {what}"))
        })
        .collect()
}

fn failures(repeats: &[Repeat]) -> Option<Warning> {
    let first = repeats.iter().find_map(|repeat| repeat.failures.first())?;
    Some(warning(
        "client_failed",
        true,
        format!("a client could not go on: {first}"),
    ))
}

/// Bytes that passed are seen below TLS; what they were is told above it. If that is more, something was told twice.
fn overcounted_bytes(repeats: &[Repeat]) -> Option<Warning> {
    let most = repeats
        .iter()
        .map(|repeat| repeat.overcounted_bytes)
        .max()?;
    (most > 0).then(|| {
        let message =
            format!("heads and payload are {most} bytes more than passed over the wire: how they are split cannot be right");
        warning("bytes_overcounted", true, message)
    })
}

fn load_at_its_limit(figures: &Figures) -> Option<Warning> {
    let share = figures.load_cpu_share?.max;
    (share >= LOAD_CPU_SHARE_MAX).then(|| {
        let message = format!(
            "the load used {:.0} % of its core: what was measured may be the load. Use fewer subscribers or a lower rate",
            share * 100.0
        );
        warning("load_at_its_limit", true, message)
    })
}

fn rate_not_reached(cell: &Cell, repeats: &[Repeat], figures: &Figures) -> Option<Warning> {
    if cell.rate == Rate::Idle {
        return None;
    }
    // What was planned: of a rate that does not go into the time only so many messages fit.
    let planned = repeats.iter().map(|repeat| repeat.planned_per_s);
    let offered = planned.fold(0.0, f64::max);
    let achieved = figures.achieved_per_s?.min;
    (achieved < offered * ACHIEVED_SHARE_MIN).then(|| {
        let message =
            format!("{achieved:.1} messages a second went out, of {offered:.1} that should have");
        warning("offered_rate_not_reached", true, message)
    })
}

fn server_at_its_limit(repeats: &[Repeat]) -> Option<Warning> {
    let shares = repeats.iter().filter_map(|repeat| repeat.server_cpu_share);
    let share = shares.fold(0.0, f64::max);
    (share >= SERVER_CPU_SHARE_MAX).then(|| {
        let message = format!(
            "the gateway used {:.0} % of its core: the latency is that of a queue",
            share * 100.0
        );
        warning("server_at_its_limit", false, message)
    })
}

fn disturbed(repeats: &[Repeat]) -> Vec<Warning> {
    let largest = |pick: fn(&Repeat) -> f64| repeats.iter().map(pick).fold(0.0, f64::max);
    let (others, stolen) = (
        largest(|repeat| repeat.others_cpu_share),
        largest(|repeat| repeat.stolen_share),
    );
    let mut warnings = Vec::new();
    if others >= OTHERS_CPU_SHARE_MAX {
        let message = format!(
            "other processes used {:.0} % of a core meanwhile",
            others * 100.0
        );
        warnings.push(warning(BACKGROUND_LOAD, false, message));
    }
    if stolen >= STOLEN_SHARE_MAX {
        let message = format!("the host took {:.0} % of a core meanwhile", stolen * 100.0);
        warnings.push(warning("stolen_time", false, message));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::cell;
    use crate::measure::RepeatFigures;
    use crate::results::Figure;

    fn repeat() -> Repeat {
        Repeat {
            figures: RepeatFigures::default(),
            deliveries: Deliveries::default(),
            failures: Vec::new(),
            server_cpu_share: Some(0.1),
            others_cpu_share: 0.0,
            stolen_share: 0.0,
            planned_per_s: 10.0,
            messages: 30,
            overcounted_bytes: 0,
        }
    }

    /// The codes of what is said, with a mark for those that invalidate.
    fn codes(repeat: Repeat, deliveries: Deliveries, figures: &Figures) -> Vec<String> {
        let warnings = warnings(&cell(), &[repeat], &deliveries, figures);
        let mark = |warning: &Warning| if warning.invalidates { "!" } else { "" };
        warnings
            .iter()
            .map(|warning| format!("{}{}", warning.code, mark(warning)))
            .collect()
    }

    fn figure(median: f64, min: f64, max: f64) -> Option<Figure> {
        Some(Figure { median, min, max })
    }

    #[test]
    fn a_quiet_run_has_none() {
        let figures = Figures {
            latency_p50_ms: figure(0.2, 0.1, 0.35),
            load_cpu_share: figure(0.3, 0.3, 0.84),
            achieved_per_s: figure(10.0, 9.0, 10.0),
            ..Figures::default()
        };
        assert_eq!(
            codes(repeat(), Deliveries::default(), &figures),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_rate_that_does_not_go_into_the_time_is_reached() {
        let odd = Repeat {
            planned_per_s: 2.0,
            ..repeat()
        };
        let figures = Figures {
            achieved_per_s: figure(2.0, 2.0, 2.0),
            ..Figures::default()
        };
        let codes = codes(odd, Deliveries::default(), &figures);
        assert_eq!(codes, Vec::<String>::new());
    }

    #[test]
    fn a_load_at_its_limit_invalidates() {
        let figures = Figures {
            load_cpu_share: figure(0.5, 0.5, LOAD_CPU_SHARE_MAX),
            ..Figures::default()
        };
        assert_eq!(
            codes(repeat(), Deliveries::default(), &figures),
            ["load_at_its_limit!"]
        );
    }

    #[test]
    fn each_kind_of_wrong_message_invalidates() {
        let deliveries = Deliveries {
            expected: 10,
            delivered: 8,
            lost: 2,
            repeated: 1,
            out_of_order: 1,
            corrupted: 1,
        };
        let codes = codes(repeat(), deliveries, &Figures::default());
        assert_eq!(
            codes,
            [
                "lost_messages!",
                "repeated_messages!",
                "messages_out_of_order!",
                "corrupted_messages!"
            ]
        );
    }

    #[test]
    fn a_rate_that_was_not_reached_invalidates() {
        let figures = Figures {
            achieved_per_s: figure(8.9, 8.9, 10.0),
            ..Figures::default()
        };
        assert_eq!(
            codes(repeat(), Deliveries::default(), &figures),
            ["offered_rate_not_reached!"]
        );
    }

    #[test]
    fn a_byte_that_was_counted_twice_invalidates() {
        let twice = Repeat {
            overcounted_bytes: 1,
            ..repeat()
        };
        assert_eq!(
            codes(twice, Deliveries::default(), &Figures::default()),
            ["bytes_overcounted!"]
        );
    }

    #[test]
    fn noise_is_said_and_does_not_invalidate() {
        let figures = Figures {
            latency_p50_ms: figure(1.0, 0.8, 1.4),
            ..Figures::default()
        };
        let noisy = Repeat {
            server_cpu_share: Some(0.95),
            others_cpu_share: 0.2,
            stolen_share: 0.05,
            ..repeat()
        };
        let expected = [
            "server_at_its_limit",
            "wide_spread",
            "background_load",
            "stolen_time",
        ];
        assert_eq!(codes(noisy, Deliveries::default(), &figures), expected);
    }

    #[test]
    fn a_client_that_failed_invalidates() {
        let failed = Repeat {
            failures: vec!["subscriber 3: closed".to_owned()],
            ..repeat()
        };
        assert_eq!(
            codes(failed, Deliveries::default(), &Figures::default()),
            ["client_failed!"]
        );
    }
}
