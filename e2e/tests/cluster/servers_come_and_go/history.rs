//! When pods were Ready, and which requests went to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A picker's watch may be ahead of the test's by this much.
const AHEAD: Duration = Duration::from_millis(250);

/// What a watch saw of pods.
#[derive(Clone, Debug, Default)]
pub struct History {
    turns: Vec<Turn>,
    addresses: BTreeMap<String, String>,
    /// How many turns were there at first, before anything happened.
    first: usize,
}

#[derive(Clone, Debug)]
struct Turn {
    at: Instant,
    pod: String,
    ready: bool,
}

/// A request that went to a pod.
#[derive(Clone, Debug)]
pub struct Pick {
    /// When it was sent: the pick was made a moment later.
    pub at: Instant,
    pub pod: String,
    pub served: bool,
}

impl History {
    /// Notes that `pod` was seen, at `address`, Ready or not.
    pub fn note(&mut self, at: Instant, pod: &str, address: Option<&str>, ready: bool) {
        if let Some(address) = address {
            self.addresses.insert(address.to_owned(), pod.to_owned());
        }
        let before = self.turns.iter().rfind(|turn| turn.pod == pod).is_some_and(|turn| turn.ready);
        if before != ready {
            self.turns.push(Turn { at, pod: pod.to_owned(), ready });
        }
    }

    /// All that was noted until now was so from the beginning.
    pub fn begin(&mut self) {
        self.first = self.turns.len();
    }

    /// The latest pod with this address.
    pub fn pod_at(&self, address: &str) -> Option<&str> {
        self.addresses.get(address).map(String::as_str)
    }

    /// For each time that a pod ceased to be Ready: how long afterwards the last request was sent that went there all
    /// the same.
    pub fn last_picks(&self, picks: &[Pick]) -> Vec<(&str, Duration)> {
        let ended = self.turns.iter().enumerate().filter(|(_, turn)| !turn.ready);
        let last = ended.map(|(number, turn)| {
            let again = self.turns[number..].iter().find(|next| next.pod == turn.pod && next.ready);
            let meanwhile = |pick: &&Pick| {
                pick.pod == turn.pod
                    && pick.at >= turn.at
                    && again.is_none_or(|next| pick.at + AHEAD < next.at)
            };
            let late = picks.iter().filter(meanwhile).map(|pick| pick.at - turn.at).max();
            (turn.pod.as_str(), late.unwrap_or_default())
        });
        last.collect()
    }

    /// For each time that a pod became Ready: how long afterwards the first request was sent that it served, if any
    /// was.
    pub fn first_picks(&self, picks: &[Pick]) -> Vec<(&str, Option<Duration>)> {
        let began = self.turns.iter().skip(self.first).filter(|turn| turn.ready);
        let first = began.map(|turn| {
            let since = |pick: &&Pick| pick.served && pick.pod == turn.pod && pick.at + AHEAD >= turn.at;
            let first = picks.iter().filter(since).map(|pick| pick.at).min();
            (turn.pod.as_str(), first.map(|at| at.saturating_duration_since(turn.at)))
        });
        first.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks_are_held_against_what_was_seen() {
        let began = Instant::now();
        let at = |ms: u64| began + Duration::from_millis(ms);
        let mut history = History::default();
        history.note(at(0), "a", Some("10.0.0.1"), true);
        history.note(at(0), "b", Some("10.0.0.2"), true);
        history.begin();
        history.note(at(5_000), "a", None, false);
        history.note(at(5_500), "a", None, false);
        history.note(at(9_000), "a", None, true);
        history.note(at(9_000), "c", Some("10.0.0.1"), false);
        history.note(at(10_000), "c", Some("10.0.0.1"), true);
        let pick = |ms: u64, pod: &str, served| Pick { at: at(ms), pod: pod.to_owned(), served };
        let picks = [
            pick(4_900, "a", true),
            pick(5_300, "a", false),
            pick(5_200, "a", false),
            pick(8_900, "a", true),
            pick(9_400, "b", true),
            pick(9_500, "c", true),
            pick(10_700, "c", false),
            pick(10_800, "c", true),
        ];
        let ms = Duration::from_millis;
        assert_eq!(history.last_picks(&picks), [("a", ms(300))]);
        assert_eq!(history.first_picks(&picks), [("a", Some(ms(0))), ("c", Some(ms(800)))]);
        assert_eq!(history.first_picks(&picks[..5]), [("a", Some(ms(0))), ("c", None)]);
        assert_eq!(history.pod_at("10.0.0.1"), Some("c"));
    }
}
