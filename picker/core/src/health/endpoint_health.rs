//! The health of one endpoint: an atomic [`State`], and the lines of the log about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::pool_health::PoolHealth;
use super::settings::Settings;
use super::state::{Fault, MAX_FAILURES, Phase, Reason, Standing, State, Tick};
use super::strays::Strays;
use crate::cx::Cx;

/// Of so many stray errors of other endpoints one counts.
const OTHERS_SHARE: u32 = 4;
/// The most failures in a row that are borne because of stray errors of other endpoints.
const MOST_FOR_OTHERS: u32 = 7;

/// What the response to a request says about the endpoint that it was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The server does what it is asked (status 1xx to 3xx).
    Succeeded,
    /// The server answers, and it is not its fault that it does no more (4xx, 501, 505).
    Answered,
    /// An error of the server (5xx). It counts when it came fast.
    ServerError,
    /// No connection, or one that broke off before the response began.
    Unreachable,
    /// The gateway turned to another endpoint after this one, and doesn't say why. It counts as an error of the server
    /// does: when it came fast, and when there were more in a row than are borne.
    PassedOver,
    /// Nothing.
    Nothing,
}

/// A request that an endpoint was sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub launched: Tick,
    /// When the trial began that it is.
    pub trial: Option<Tick>,
    /// Requests in flight at the endpoint, this one included.
    pub in_flight: u32,
}

/// The health of one endpoint.
#[derive(Debug)]
pub struct Health {
    /// Name of the endpoint, for the log.
    name: Box<str>,
    /// A [`State`].
    state: AtomicU64,
    /// Its errors that turned out to be the fault of requests.
    strays: Strays,
    pool: Arc<PoolHealth>,
}

impl Health {
    /// The health of the new endpoint `name`, which nothing is said against.
    pub fn new(name: &str, pool: Arc<PoolHealth>) -> Self {
        let state = AtomicU64::new(State::default().pack());
        Self { name: name.into(), state, strays: Strays::default(), pool }
    }

    /// The pool's.
    pub fn pool(&self) -> &Arc<PoolHealth> {
        &self.pool
    }

    /// Whether a success would change nothing.
    #[inline]
    pub fn is_clean(&self) -> bool {
        State::is_clean(self.state.load(Ordering::Relaxed))
    }

    /// What is known of it, with the time since when at `now`.
    pub fn status(&self, now: Instant) -> Status {
        let state = self.state();
        let since = self.pool.tick(now).saturating_sub(state.at);
        Status { phase: state.phase, reason: state.reason, since: Duration::from_millis(since) }
    }

    /// Whether a request may be sent to it at `now`.
    pub fn standing(&self, now: Instant, settings: &Settings, cx: &mut Cx) -> Standing {
        if self.state().phase == Phase::Healthy {
            return Standing::Healthy;
        }
        let now = self.pool.tick(now);
        let (jitter, borne) = (cx.below(255) as u8 + 1, self.borne(now));
        let (_, state) =
            self.update(|state| state.drawn(jitter).outlived(now, settings).pardoned(borne, now));
        state.standing(now, settings)
    }

    /// A request that was sent to it at `launched`, no trial, has come to `verdict`. Errors of the server count when it
    /// was `fast`. With it there are `in_flight` requests at the endpoint.
    pub fn report(&self, verdict: Verdict, launched: Instant, fast: bool, in_flight: u32, now: Instant) {
        let sent = Sent { launched: self.pool.tick(launched), trial: None, in_flight };
        self.judge(verdict, sent, fast, now);
    }

    /// The same of a request that may be a trial.
    pub(super) fn judge(&self, verdict: Verdict, sent: Sent, fast: bool, now: Instant) {
        let Sent { launched, trial, in_flight } = sent;
        let now = self.pool.tick(now);
        let fault = match verdict {
            Verdict::ServerError if fast => Some((Reason::ServerError, Some(self.borne(now)))),
            Verdict::PassedOver if fast => Some((Reason::Unreachable, Some(self.borne(now)))),
            Verdict::Unreachable => Some((Reason::Unreachable, None)),
            _ => None,
        };
        let fault = fault.map(|(reason, borne)| Fault { reason, borne, in_flight });
        let (old, new) = self.update(|state| match (verdict, fault) {
            (_, Some(fault)) => state.failed(fault, launched, trial, now),
            (Verdict::Succeeded, None) => state.succeeded(launched, trial, now),
            (Verdict::Answered, None) => state.answered(launched, trial, now),
            _ => state.given_back(trial),
        });
        if fault.is_none() && old.failures > 0 && new.failures == 0 {
            self.strays.add(old.strays(), now);
            self.pool.strays.add(old.strays(), now);
        }
    }

    /// How many failures in a row are borne at `now` that requests may be to blame for. None at first, since a server that
    /// fails fast takes ever more requests. Then one more for each that turned out to be stray: whoever knows requests that
    /// a server answers an error to could eject half a pool with them. Those of other endpoints count a quarter, since a
    /// server that fails beside them should not be borne with for long.
    fn borne(&self, now: Tick) -> u8 {
        let own = self.strays.number(now);
        let others = self.pool.strays.number(now).saturating_sub(own) / OTHERS_SHARE;
        let borne = own.saturating_add(others.min(MOST_FOR_OTHERS));
        u8::try_from(borne).unwrap_or(u8::MAX).min(MAX_FAILURES - 1)
    }

    /// A connection of the picker itself to the port that serves requests was refused.
    pub fn refused(&self, now: Instant, settings: &Settings) {
        let now = self.pool.tick(now);
        self.update(|state| state.refused(now, settings));
    }

    /// A connection of the picker itself to the port that serves requests was made.
    pub fn connected(&self, now: Instant) {
        if !State::heeds_connections(self.state.load(Ordering::Relaxed)) {
            return;
        }
        let now = self.pool.tick(now);
        self.update(|state| state.connected(now));
    }

    /// Forgets all that was said against it.
    pub fn forget(&self) {
        self.update(|_| State::default());
    }

    fn state(&self) -> State {
        State::unpack(self.state.load(Ordering::Relaxed))
    }

    /// Changes the state, and returns it as it was and as it is.
    pub(super) fn update(&self, change: impl Fn(State) -> State) -> (State, State) {
        let mut word = self.state.load(Ordering::Relaxed);
        loop {
            let (old, new) = (State::unpack(word), change(State::unpack(word)));
            if old == new {
                return (old, new);
            }
            match self.state.compare_exchange_weak(word, new.pack(), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    self.changed(old, new);
                    return (old, new);
                }
                Err(other) => word = other,
            }
        }
    }

    fn changed(&self, old: State, new: State) {
        match (old.phase == Phase::Healthy, new.phase == Phase::Healthy) {
            (true, false) => self.pool.add(),
            (false, true) => self.pool.take_back(),
            _ => {}
        }
        let (endpoint, reason) = (&*self.name, new.reason.name());
        match (old.phase, new.phase) {
            (Phase::Healthy, Phase::Ejected) => {
                self.pool.count(new.reason);
                tracing::warn!(endpoint, reason, "the endpoint fails and is ejected for a while");
            }
            (Phase::Trial, Phase::Ejected) => {
                self.pool.count(new.reason);
                tracing::info!(endpoint, reason, "the endpoint fails still: its trial failed");
            }
            (Phase::Ejected | Phase::Due, Phase::Ejected) if old.at != new.at => {
                self.pool.count(new.reason);
                tracing::debug!(endpoint, reason, "the endpoint fails still");
            }
            (Phase::Ejected | Phase::Due | Phase::Trial, Phase::Healthy) => {
                tracing::info!(endpoint, "the endpoint is readmitted");
            }
            _ => {}
        }
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        if self.state().phase != Phase::Healthy {
            self.pool.take_back();
        }
    }
}

/// What is known of an endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub phase: Phase,
    /// What was said against it last; of no meaning while nothing is.
    pub reason: Reason,
    /// For how long it has been in this phase.
    pub since: Duration,
}
