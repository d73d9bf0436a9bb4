//! The trial of an endpoint by one request.

use std::sync::Arc;
use std::time::Instant;

use super::endpoint_health::{Health, Sent, Verdict};
use super::settings::Settings;
use super::state::{Phase, Tick};

/// A trial under way: no other begins before this one has come to a verdict or is dropped, which gives it back.
#[derive(Debug)]
pub struct Trial {
    health: Arc<Health>,
    /// When it began, which tells it from others.
    at: Tick,
    ended: bool,
}

impl Trial {
    /// Begins a trial at `now`; `None` when it is not time for one, or another is under way.
    pub fn begin(health: &Arc<Health>, now: Instant, settings: &Settings) -> Option<Self> {
        let at = health.pool().tick(now);
        let (old, new) = health.update(|state| state.tried(at, settings));
        let begun = old.phase != Phase::Trial && new.phase == Phase::Trial;
        begun.then(|| Self { health: health.clone(), at, ended: false })
    }

    /// Whether it is a trial of the endpoint with `health`.
    pub fn is_of(&self, health: &Arc<Health>) -> bool {
        Arc::ptr_eq(&self.health, health)
    }

    /// Ends it with `verdict`; errors of the server count when they were `fast`.
    pub fn end(mut self, verdict: Verdict, fast: bool, now: Instant) {
        self.ended = true;
        // One at a time.
        let sent = Sent { launched: self.at, trial: Some(self.at), in_flight: 1 };
        self.health.judge(verdict, sent, fast, now);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.ended {
            self.health.update(|state| state.given_back(Some(self.at)));
        }
    }
}
