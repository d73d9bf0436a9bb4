//! Prompts in families that share a long prefix, so that it matters which pod has served one of them before.

use std::fmt::Write;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// A source of prompts. The same number always gives the same prompt.
#[derive(Clone, Debug)]
pub struct Prompts {
    beginnings: Arc<[String]>,
    tail_words: usize,
    seed: u64,
}

impl Default for Prompts {
    fn default() -> Self {
        Self::families(16, 256, 16)
    }
}

impl Prompts {
    /// `count` families; a prompt is `shared_words` words that it shares with its family and `own_words` of its own.
    pub fn families(count: usize, shared_words: usize, own_words: usize) -> Self {
        let seed = 0x5eed;
        let beginnings = (0..count.max(1) as u64).map(|family| {
            // Families differ from their first word on.
            let mut text = format!("family{family} ");
            words(&mut text, shared_words, &mut StdRng::seed_from_u64(seed ^ family << 32));
            text
        });
        Self { beginnings: beginnings.collect(), tail_words: own_words, seed }
    }

    /// Another draw of families and of everything else.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Prompt number `number`.
    pub fn prompt(&self, number: u64) -> String {
        let mut rng =
            StdRng::seed_from_u64(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number));
        let mut text = self.beginnings[rng.random_range(0..self.beginnings.len())].clone();
        words(&mut text, self.tail_words, &mut rng);
        text
    }
}

fn words(text: &mut String, count: usize, rng: &mut StdRng) {
    for _ in 0..count {
        // Writing to a String never fails.
        let _ = write!(text, "w{:03} ", rng.random_range(0..1000));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Prompts;

    #[test]
    fn prompts_come_again_and_families_share_their_beginning() {
        let prompts = Prompts::families(4, 50, 5);
        let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for number in 0..200 {
            let prompt = prompts.prompt(number);
            assert_eq!(prompt, prompts.prompt(number));
            let (beginning, own) = prompt.split_at(prompt.len() - 5 * "w000 ".len());
            families.entry(beginning.to_owned()).or_default().push(own.to_owned());
        }
        assert_eq!(families.len(), 4);
        assert!(families.values().all(|own| own.len() > 25), "drawn evenly");
        assert_ne!(prompts.prompt(7), prompts.clone().seed(1).prompt(7));
    }
}
