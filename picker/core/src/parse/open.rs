//! The brackets that are open, one bit each.

use smallvec::SmallVec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    Curly,
    Square,
}

impl Bracket {
    pub fn closing(self) -> u8 {
        match self {
            Self::Curly => b'}',
            Self::Square => b']',
        }
    }
}

/// A stack of brackets. Allocates beyond 128 of them.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// A set bit is a curly one.
    words: SmallVec<[u64; 2]>,
    depth: usize,
}

impl Open {
    pub fn depth(&self) -> usize {
        self.depth
    }

    pub fn push(&mut self, bracket: Bracket) {
        let (word, bit) = (self.depth / 64, 1 << (self.depth % 64));
        if word == self.words.len() {
            self.words.push(0);
        }
        match bracket {
            Bracket::Curly => self.words[word] |= bit,
            Bracket::Square => self.words[word] &= !bit,
        }
        self.depth += 1;
    }

    pub fn last(&self) -> Option<Bracket> {
        let at = self.depth.checked_sub(1)?;
        Some(if self.words[at / 64] >> (at % 64) & 1 == 1 { Bracket::Curly } else { Bracket::Square })
    }

    pub fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_pushed_in_reverse() {
        let pushed: Vec<_> =
            (0..300).map(|i| if i % 3 == 0 { Bracket::Curly } else { Bracket::Square }).collect();
        let mut open = Open::default();
        // Twice, so that bits of the first round would show in the second.
        for round in [pushed.clone(), pushed.into_iter().rev().collect()] {
            round.iter().for_each(|b| open.push(*b));
            let mut popped = Vec::new();
            while let Some(bracket) = open.last() {
                popped.push(bracket);
                open.pop();
            }
            popped.reverse();
            assert_eq!(popped, round);
        }
    }
}
