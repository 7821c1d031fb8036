//! The turns of each rival, as they are collected round by round.

use super::rival::Rival;
use super::rounds::figure;
use crate::results::Figure;

/// What one turn of one rival gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// A value for each measure of the cell.
    pub values: Vec<f64>,
    /// For each value that is a latency, how much of it the load may have added by being late, from 0 to 1.
    pub late_shares: Vec<f64>,
    /// How the two sides fared, where that matters.
    pub shares: Option<Shares>,
    /// Whether all messages had come shortly after the last was due.
    pub kept_up: bool,
}

/// Shares of the time of a turn, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// In which the load ran.
    pub load: f64,
    /// In which the load or the server, whichever had to more, waited for a core.
    pub waited: f64,
}

/// The turns of one rival, one for each round.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Who.
    pub rival: Rival,
    /// Its turns. Those of others may be more, if it failed.
    pub turns: Vec<Turn>,
    /// Whether it failed after them.
    pub has_failed: bool,
}

impl Series {
    /// The value of each turn that has this index.
    pub fn values(&self, index: usize) -> Vec<f64> {
        self.turns.iter().map(|turn| turn.values[index]).collect()
    }

    /// The share of each turn that belongs to the value with this index.
    pub fn late_shares(&self, index: usize) -> Option<Figure> {
        let shares = self
            .turns
            .iter()
            .filter_map(|turn| turn.late_shares.get(index));
        figure(shares.copied().collect())
    }

    /// A share of all turns that have shares.
    pub fn shares(&self, share: impl Fn(&Shares) -> f64) -> Option<Figure> {
        let shares = self.turns.iter().filter_map(|turn| turn.shares.as_ref());
        figure(shares.map(share).collect())
    }
}

/// Keeps this many rounds, and nobody who has none.
pub fn keep(all: &mut Vec<Series>, rounds: usize) {
    for series in all.iter_mut() {
        series.turns.truncate(rounds);
    }
    all.retain(|series| !series.turns.is_empty());
}

/// Adds what a rival did in its turn.
pub fn note_turn(all: &mut Vec<Series>, rival: Rival, turn: Turn) {
    match all.iter_mut().find(|series| series.rival == rival) {
        Some(series) => series.turns.push(turn),
        None => all.push(Series {
            rival,
            turns: vec![turn],
            has_failed: false,
        }),
    }
}

/// Notes that a rival failed. What it had done stays.
pub fn note_failure(all: &mut [Series], rival: Rival) {
    let of_rival = all.iter_mut().filter(|series| series.rival == rival);
    of_rival.for_each(|series| series.has_failed = true);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(value: f64) -> Turn {
        Turn {
            values: vec![value],
            late_shares: Vec::new(),
            shares: None,
            kept_up: true,
        }
    }

    #[test]
    fn who_fails_keeps_what_it_had_done() {
        let mut all = Vec::new();
        for value in [1.0, 2.0, 3.0] {
            note_turn(&mut all, Rival::Everyway, turn(value));
        }
        note_turn(&mut all, Rival::Ws, turn(9.0));
        note_failure(&mut all, Rival::Ws);
        // It is stopped in the third round.
        keep(&mut all, 2);
        assert_eq!(all[0].values(0), [1.0, 2.0]);
        assert_eq!(all[1].values(0), [9.0]);
        assert_eq!([all[0].has_failed, all[1].has_failed], [false, true]);
    }

    #[test]
    fn without_a_whole_round_there_is_nobody() {
        let mut all = Vec::new();
        note_turn(&mut all, Rival::Everyway, turn(1.0));
        keep(&mut all, 0);
        assert_eq!(all, []);
    }
}
