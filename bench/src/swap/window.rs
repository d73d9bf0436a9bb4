//! Decisions within a time window, with their latencies and revisions.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::client::Decision;
use crate::latencies::Latencies;

/// One window after the other, without a gap.
pub struct Windows(Mutex<Seen>);

/// What was seen in a window.
#[derive(Clone, Debug)]
pub struct Seen {
    /// How long decisions took that ended in it.
    pub times: Latencies,
    /// Revisions that decided, in the order in which they were first seen.
    revisions: Vec<Live>,
    /// Which of them decided last.
    last: usize,
}

/// A revision, and since when it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// Which.
    pub revision: String,
    /// When its first decision in the window was here.
    pub since: Instant,
}

impl Windows {
    /// The first window begins.
    ///
    /// # Errors
    /// Never.
    pub fn new() -> Result<Self> {
        Ok(Self(Mutex::new(Seen::nothing()?)))
    }

    /// Notes a decision in the present window.
    ///
    /// # Errors
    /// When it tells no revision.
    pub fn note(&self, decision: &Decision) -> Result<()> {
        let revision = decision.revision().context("an answer without a revision")?;
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.times.record(decision.here - decision.sent);
        seen.decided(revision, decision.here);
        Ok(())
    }

    /// Ends the present window, and begins the next.
    ///
    /// # Errors
    /// Never.
    pub fn next(&self) -> Result<Seen> {
        let next = Seen::nothing()?;
        Ok(std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), next))
    }
}

impl Seen {
    fn nothing() -> Result<Self> {
        Ok(Self { times: Latencies::none()?, revisions: Vec::new(), last: 0 })
    }

    fn decided(&mut self, revision: &str, here: Instant) {
        self.last = self.revisions.iter().position(|live| live.revision == revision).unwrap_or_else(|| {
            self.revisions.push(Live { revision: revision.to_owned(), since: here });
            self.revisions.len() - 1
        });
    }

    /// The revision that decided all.
    ///
    /// # Errors
    /// When there was none or another one.
    pub fn only_revision(&self) -> Result<String> {
        match self.revisions.as_slice() {
            [only] => Ok(only.revision.clone()),
            other => bail!("not one revision but {other:?}"),
        }
    }

    /// The revision that took the place of `former`.
    ///
    /// # Errors
    /// When nothing did, or it did not keep it until the end.
    pub fn swapped_from(&self, former: &str) -> Result<Live> {
        match self.revisions.as_slice() {
            [first, second] if first.revision == former && self.last == 1 => Ok(second.clone()),
            other => {
                bail!("no swap from {former} to another revision: {other:?}, the last of them {}", self.last)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(revisions: &[&str]) -> Seen {
        let mut seen = Seen::nothing().unwrap();
        revisions.iter().for_each(|revision| seen.decided(revision, Instant::now()));
        seen
    }

    #[test]
    fn a_swap_is_one_from_the_former_to_one_other_that_stays() {
        assert_eq!(seen(&["a", "a", "b", "a", "b"]).swapped_from("a").unwrap().revision, "b");
        for wrong in [&["a", "a"][..], &["b", "c"], &["a", "b", "a"], &["a", "b", "c"], &["b"], &[]] {
            assert!(seen(wrong).swapped_from("a").is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_quiet_window_has_one_revision() {
        assert_eq!(seen(&["a", "a"]).only_revision().unwrap(), "a");
        assert!(seen(&["a", "b"]).only_revision().is_err());
        assert!(seen(&[]).only_revision().is_err());
    }

    #[test]
    fn a_window_ends_where_the_next_begins() {
        let windows = Windows::new().unwrap();
        windows.0.lock().unwrap().decided("a", Instant::now());
        assert_eq!(windows.next().unwrap().only_revision().unwrap(), "a");
        assert!(windows.next().unwrap().only_revision().is_err(), "nothing yet");
    }
}
