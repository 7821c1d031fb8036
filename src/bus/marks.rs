//! Which of a session's subscriptions may have something to read: a set of small numbers.

/// A set of subscriptions. The first 64 take no allocation.
#[derive(Debug, Default)]
pub struct Marks {
    first: u64,
    rest: Vec<u64>,
}

const WORD_BITS: u32 = u64::BITS;

impl Marks {
    /// Adds a subscription, which may be there already.
    pub fn insert(&mut self, index: u32) {
        let (word, bit) = place(index);
        match word.checked_sub(1) {
            None => self.first |= bit,
            Some(word) => {
                if self.rest.len() <= word {
                    self.rest.resize(word + 1, 0);
                }
                self.rest[word] |= bit;
            }
        }
    }

    /// Takes a subscription out, which need not be there.
    pub fn remove(&mut self, index: u32) {
        let (word, bit) = place(index);
        match word.checked_sub(1) {
            None => self.first &= !bit,
            Some(word) => {
                if let Some(word) = self.rest.get_mut(word) {
                    *word &= !bit;
                }
            }
        }
    }

    /// True if it holds a subscription.
    pub fn contains(&self, index: u32) -> bool {
        let (word, bit) = place(index);
        let word = match word.checked_sub(1) {
            None => Some(&self.first),
            Some(word) => self.rest.get(word),
        };
        word.is_some_and(|word| word & bit != 0)
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.rest.iter().all(|word| *word == 0)
    }

    /// The only one, if there is exactly one.
    pub fn only(&self) -> Option<u32> {
        let mut all = self.iter();
        let only = all.next()?;
        all.next().is_none().then_some(only)
    }

    /// Takes all of another set over, and leaves that empty.
    pub fn take(&mut self, other: &mut Self) {
        self.first |= std::mem::take(&mut other.first);
        if self.rest.len() < other.rest.len() {
            self.rest.resize(other.rest.len(), 0);
        }
        for (ours, theirs) in self.rest.iter_mut().zip(&mut other.rest) {
            *ours |= std::mem::take(theirs);
        }
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All of them, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let words = std::iter::once(self.first).chain(self.rest.iter().copied());
        words.zip(0..).flat_map(|(word, at)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                (bit < WORD_BITS).then(|| at * WORD_BITS + bit)
            })
        })
    }
}

fn place(index: u32) -> (usize, u64) {
    ((index / WORD_BITS) as usize, 1 << (index % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(indices: &[u32]) -> Marks {
        let mut marks = Marks::default();
        indices.iter().for_each(|index| marks.insert(*index));
        marks
    }

    #[test]
    fn it_is_a_set_of_numbers_of_any_size() {
        let mut marks = of(&[63, 0, 64, 1000, 0]);
        assert_eq!(marks.iter().collect::<Vec<_>>(), [0, 63, 64, 1000]);
        assert_eq!((marks.only(), of(&[64]).only()), (None, Some(64)));
        [0, 64, 5, 5000]
            .iter()
            .for_each(|index| marks.remove(*index));
        assert_eq!(marks.iter().collect::<Vec<_>>(), [63, 1000]);
        marks.clear();
        assert!(marks.is_empty() && marks.only().is_none());
    }

    #[test]
    fn taking_another_set_over_empties_it() {
        let (mut ours, mut theirs) = (of(&[1]), of(&[1, 2, 200]));
        ours.take(&mut theirs);
        assert_eq!(ours.iter().collect::<Vec<_>>(), [1, 2, 200]);
        assert!(theirs.is_empty() && !ours.is_empty());
        theirs.take(&mut of(&[3]));
        ours.take(&mut theirs);
        assert_eq!(ours.iter().collect::<Vec<_>>(), [1, 2, 3, 200]);
    }
}
