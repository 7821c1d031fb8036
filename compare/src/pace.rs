//! When messages should go out. Nothing that happens changes that: a publisher that is late stays behind its plan, and the
//! delay counts as latency.

use std::time::Duration;

use crate::cell::Rate;
use crate::run::Timing;

/// The moments of sending, from the start of the load. At a steady rate each message has a share of the time of its own,
/// and goes out at a random moment of it: else publishing and polling would be in step, and a poll would always find
/// messages of the same age.
pub fn moments(rate: Rate, until: Duration, seed: u64) -> Vec<Duration> {
    match rate {
        Rate::Idle => Vec::new(),
        Rate::Steady { per_s } => steady(per_s, until, seed),
        Rate::Bursts { size, every_s } => {
            let bursts =
                (0..).map(|burst| Duration::from_secs_f64(every_s * (f64::from(burst) + 0.5)));
            let bursts = bursts.take_while(|at| *at < until);
            bursts
                .flat_map(|at| std::iter::repeat_n(at, size))
                .collect()
        }
    }
}

/// The moments of the warm-up: those of the counted time, over and over, so that it ends as the counted time does. What
/// was published before the counted time and arrives in it is then as much as what is published in it and arrives later,
/// and requests, bytes and CPU time are divided by the messages that they were for.
pub fn before(counted: &[Duration], timing: &Timing) -> Vec<Duration> {
    let Timing { warm_up, measure } = *timing;
    let mut moments = Vec::new();
    // Rounds that end with the warm-up; the first of them may be cut off at its beginning.
    let rounds = warm_up.as_secs_f64() / measure.as_secs_f64();
    for round in (1..=rounds.ceil() as u32).rev() {
        let at = |moment: &Duration| (warm_up + *moment).checked_sub(measure * round);
        moments.extend(counted.iter().filter_map(at));
    }
    moments
}

fn steady(per_s: f64, until: Duration, seed: u64) -> Vec<Duration> {
    let mut random = fastrand::Rng::with_seed(seed);
    let share = 1.0 / per_s;
    let count = (until.as_secs_f64() * per_s).round() as u32;
    let moment = |index: u32, random: &mut fastrand::Rng| {
        Duration::from_secs_f64((f64::from(index) + random.f64()) * share)
    };
    (0..count).map(|index| moment(index, &mut random)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_has_one_message_in_each_share() {
        let moments = moments(Rate::Steady { per_s: 10.0 }, Duration::from_secs(3), 1);
        assert_eq!(moments.len(), 30);
        for (index, moment) in moments.iter().enumerate() {
            assert_eq!((moment.as_secs_f64() * 10.0).floor() as usize, index);
        }
    }

    #[test]
    fn the_warm_up_ends_as_the_counted_time_does() {
        let s = Duration::from_secs_f64;
        let counted = [s(0.3), s(1.9)];
        let before = |warm_up| {
            let timing = Timing {
                warm_up: s(warm_up),
                measure: s(2.0),
            };
            let moments = before(&counted, &timing);
            let ms = moments.iter().map(|moment| moment.as_millis());
            ms.collect::<Vec<_>>()
        };
        assert_eq!(before(1.0), [900]);
        assert_eq!(before(2.0), [300, 1900]);
        assert_eq!(before(4.5), [400, 800, 2400, 2800, 4400]);
    }

    #[test]
    fn a_burst_is_back_to_back() {
        let rate = Rate::Bursts {
            size: 3,
            every_s: 1.0,
        };
        let seconds: Vec<_> = moments(rate, Duration::from_secs(2), 1)
            .iter()
            .map(Duration::as_secs_f64)
            .collect();
        assert_eq!(seconds, [0.5, 0.5, 0.5, 1.5, 1.5, 1.5]);
        assert!(moments(Rate::Idle, Duration::from_secs(9), 1).is_empty());
    }
}
