//! The endpoints that a decision leaves alone because they fail.

use std::time::Instant;

use smallvec::SmallVec;

use crate::cx::Cx;
use crate::health::{Settings, Standing, Trial};
use crate::view::{Candidates, View};

/// The endpoints that a decision leaves alone, as positions in the view. Empty, and of no cost, while no endpoint fails.
#[derive(Default)]
pub(super) struct Avoid {
    /// By position, those that are not healthy. As long as the view, or empty when all are healthy.
    failing: Vec<bool>,
    /// Those of them that get no request now.
    out: Vec<u32>,
    /// The one that may get this request, as a trial. Where trials are not begun, without one.
    trial: Option<(u32, Option<Trial>)>,
}

/// Whether an endpoint that is due for a trial is tried by this decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trials {
    /// It is, and no other request tries it meanwhile.
    Begun,
    /// The decision is made as if.
    None,
}

impl Avoid {
    /// Whether all endpoints are healthy.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.failing.is_empty()
    }

    /// Forgets the last decision.
    #[inline]
    pub fn clear(&mut self) {
        if !self.failing.is_empty() {
            *self = Self::default();
        }
    }

    /// Looks at the health of `allowed`. Of those that are due for a trial, one may get this request; the others are left
    /// to other requests.
    #[cold]
    pub fn look(
        &mut self,
        view: &View,
        allowed: &Candidates,
        settings: &Settings,
        now: Instant,
        cx: &mut Cx,
        trials: Trials,
    ) {
        let mut due = SmallVec::<[u32; 8]>::new();
        for i in allowed.iter() {
            let standing = view.endpoints[i].health().standing(now, settings, cx);
            if standing == Standing::Healthy {
                continue;
            }
            if self.failing.is_empty() {
                self.failing.resize(view.len(), false);
            }
            self.failing[i] = true;
            if standing == Standing::Due {
                due.push(i as u32);
            } else {
                self.out.push(i as u32);
            }
        }
        if !due.is_empty() {
            let tried = due.swap_remove(cx.below(due.len()));
            match trials {
                Trials::None => self.trial = Some((tried, None)),
                Trials::Begun => match Trial::begin(view.endpoints[tried as usize].health(), now, settings) {
                    Some(trial) => self.trial = Some((tried, Some(trial))),
                    // Another request was first.
                    None => self.out.push(tried),
                },
            }
            self.out.extend(due);
        }
    }

    /// How many of `candidates` fail.
    pub fn count(&self, candidates: &Candidates) -> usize {
        candidates.iter().filter(|&i| self.failing[i]).count()
    }

    /// Those that get no request now.
    pub fn out(&self) -> &[u32] {
        &self.out
    }

    /// Takes those out of `candidates` that get no request now.
    pub fn remove_from(&self, candidates: &mut Candidates) {
        candidates.retain(|i| !self.failing[i] || self.trial.as_ref().is_some_and(|(n, _)| *n as usize == i));
    }

    /// The trial, if the endpoint that it is of is one of `picked`. Otherwise it is given back.
    #[inline]
    pub fn trial_of(&mut self, mut picked: impl Iterator<Item = usize>) -> Option<Trial> {
        let (position, trial) = self.trial.take()?;
        if picked.any(|i| i == position as usize) { trial } else { None }
    }

    /// Gives the trial back, if there is one left.
    #[inline]
    pub fn give_back(&mut self) {
        self.trial = None;
    }
}
