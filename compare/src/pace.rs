//! When messages should go out. Nothing that happens changes that: a publisher that is late stays behind its plan, and the
//! delay counts as latency.

use std::time::Duration;

use crate::cell::Rate;

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
