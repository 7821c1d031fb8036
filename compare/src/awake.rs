//! Whether a client's network ever sleeps: where messages or polls are never far enough apart, "how often does it wake up" has
//! no answer. That is decided by the plan, and not by the pauses that chance made in a short run.

use crate::cell::{Cell, Network, Rate, Transport};
use crate::meter::PAUSE;

/// True if no pause of the plan is longer than [`PAUSE`], so that the network never sleeps.
pub fn is_always(cell: &Cell) -> bool {
    longest_pause_s(cell).is_some_and(|pause_s| pause_s <= PAUSE.as_secs_f64())
}

/// The longest time without traffic that the plan makes; nothing if there is no end to it.
fn longest_pause_s(cell: &Cell) -> Option<f64> {
    match (cell.transport, cell.rate) {
        (Transport::Poll, _) => cell
            .poll_interval_s
            .map(|interval_s| of_polls_s(cell, interval_s)),
        (_, Rate::Idle) => None,
        // Each message goes out within a share of the time of its own: at most at the beginning of one and at the end of the next.
        (_, Rate::Steady { per_s }) => Some(2.0 / per_s),
        (_, Rate::Bursts { every_s, .. }) => Some(every_s),
    }
}

/// From a short poll to its answer, or from there to the next poll.
fn of_polls_s(cell: &Cell, interval_s: f64) -> f64 {
    let (least_ms, most_ms) = match cell.network {
        Network::Loopback => (0.0, 0.0),
        Network::Delay {
            one_way_ms,
            jitter_ms,
            ..
        } => (one_way_ms, one_way_ms + jitter_ms),
        Network::Loss { one_way_ms, .. } => (one_way_ms, one_way_ms),
    };
    let [trip_least_s, trip_most_s] =
        [least_ms, most_ms].map(|one_way_ms| one_way_ms * 2.0 / 1000.0);
    trip_most_s.max(interval_s - trip_least_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::tests::cell;

    fn steady(transport: Transport, per_s: f64) -> Cell {
        Cell {
            transport,
            rate: Rate::Steady { per_s },
            poll_interval_s: (transport == Transport::Poll).then_some(1.0),
            ..cell()
        }
    }

    #[test]
    fn twenty_messages_a_second_leave_no_pause() {
        for transport in [Transport::WebSocket, Transport::Sse, Transport::LongPoll] {
            assert!(!is_always(&steady(transport, 19.9)), "{transport:?}");
            assert!(is_always(&steady(transport, 20.0)), "{transport:?}");
        }
    }

    #[test]
    fn who_waits_or_polls_seldom_sleeps() {
        assert!(!is_always(&steady(Transport::Poll, 100.0)));
        let idle = Cell {
            rate: Rate::Idle,
            ..cell()
        };
        assert!(!is_always(&idle));
        let bursts = Cell {
            rate: Rate::Bursts {
                size: 64,
                every_s: 1.0,
            },
            ..cell()
        };
        assert!(!is_always(&bursts));
    }

    #[test]
    fn who_polls_often_never_sleeps_unless_the_answer_is_far_away() {
        let often = Cell {
            poll_interval_s: Some(0.1),
            rate: Rate::Idle,
            ..steady(Transport::Poll, 1.0)
        };
        assert!(is_always(&often));
        let far = Cell {
            network: Network::Delay {
                one_way_ms: 60.0,
                jitter_ms: 0.0,
                bits_per_s: None,
            },
            ..often
        };
        assert!(!is_always(&far), "an answer takes 120 ms");
    }
}
