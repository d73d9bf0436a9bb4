//! What an answer will say, known before the first token: its words follow from its seed.

use crate::vocabulary::{self, TOKEN_BYTES};

/// Limits on an answer.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Tokens at most.
    pub max_tokens: u32,
    /// Tokens at least, before it may end by itself.
    pub min_tokens: u32,
    /// Never ends by itself.
    pub ignore_eos: bool,
    /// Texts that end it.
    pub stop: Vec<String>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    seed: u64,
    /// Its length.
    pub tokens: u32,
    /// Bytes of its text that the client sees: a stop text is cut off.
    visible: usize,
    /// `stop` or `length`.
    pub finish_reason: &'static str,
    /// The stop text that ended it.
    pub stop_reason: Option<String>,
}

impl Answer {
    /// The answer with this seed, of about `mean` tokens if no limit applies.
    pub fn new(seed: u64, mean: u32, limits: &Limits) -> Self {
        let natural = (mean / 2 + (seed % (u64::from(mean) + 1)) as u32).max(limits.min_tokens).max(1);
        let (tokens, finish_reason) = if limits.ignore_eos || natural >= limits.max_tokens {
            (limits.max_tokens, "length")
        } else {
            (natural, "stop")
        };
        let mut answer =
            Self { seed, tokens, visible: tokens as usize * TOKEN_BYTES, finish_reason, stop_reason: None };
        answer.apply_stop(limits);
        answer
    }

    /// The text of the tokens from `from` to `to`, as far as it is visible.
    pub fn text(&self, from: u32, to: u32, out: &mut String) {
        for index in from..to {
            let shown = self.visible.saturating_sub(index as usize * TOKEN_BYTES).min(TOKEN_BYTES);
            // Words are ASCII: every byte is a boundary.
            out.push_str(&vocabulary::word(self.seed, index)[..shown]);
        }
    }

    /// Its seed, for the engine.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    fn apply_stop(&mut self, limits: &Limits) {
        if limits.stop.is_empty() {
            return;
        }
        let mut text = String::new();
        self.text(0, self.tokens, &mut text);
        let earliest = limits
            .stop
            .iter()
            .filter_map(|stop| Some((end_of_first(&text, stop, limits.min_tokens)?, stop)))
            .min_by_key(|(end, _)| *end);
        if let Some((end, stop)) = earliest {
            self.tokens = end.div_ceil(TOKEN_BYTES) as u32;
            self.visible = end - stop.len();
            self.finish_reason = "stop";
            self.stop_reason = Some(stop.clone());
        }
    }
}

/// Where the first occurrence ends that is complete only after `min_tokens`.
fn end_of_first(text: &str, stop: &str, min_tokens: u32) -> Option<usize> {
    let least = min_tokens as usize * TOKEN_BYTES;
    text.match_indices(stop).map(|(at, _)| at + stop.len()).find(|end| *end > least || min_tokens == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_tokens: u32) -> Limits {
        Limits { max_tokens, min_tokens: 0, ignore_eos: false, stop: Vec::new() }
    }

    fn text(answer: &Answer) -> String {
        let mut text = String::new();
        answer.text(0, answer.tokens, &mut text);
        text
    }

    #[test]
    fn ends_at_its_limit_or_by_itself() {
        let cut = Answer::new(5, 100, &limits(8));
        assert_eq!((cut.tokens, cut.finish_reason, text(&cut).len()), (8, "length", 32));
        let whole = Answer::new(5, 100, &limits(1_000));
        assert_eq!((whole.tokens, whole.finish_reason), (55, "stop"));
        let forced = Answer::new(5, 100, &Limits { ignore_eos: true, ..limits(1_000) });
        assert_eq!((forced.tokens, forced.finish_reason), (1_000, "length"));
        let long = Answer::new(5, 100, &Limits { min_tokens: 90, ..limits(1_000) });
        assert_eq!((long.tokens, long.finish_reason), (90, "stop"));
    }

    #[test]
    fn a_stop_text_is_cut_off() {
        let whole = text(&Answer::new(5, 100, &limits(20)));
        // Across the border of the fourth and the fifth token.
        let stop = whole[14..18].to_owned();
        let end = whole.find(&stop).unwrap();
        let answer = Answer::new(5, 100, &Limits { stop: vec!["?".to_owned(), stop.clone()], ..limits(20) });
        assert_eq!(text(&answer), whole[..end]);
        assert_eq!((answer.finish_reason, answer.stop_reason.as_deref()), ("stop", Some(stop.as_str())));
        assert_eq!(answer.tokens, (end as u32 + 4).div_ceil(4));
    }
}
