//! The states of an endpoint's health and what changes them: plain values, packed into one number.

use std::time::Duration;

use super::settings::Settings;

/// A time in milliseconds, from 1.
pub type Tick = u64;

/// The most ejections in a row that are told apart.
const MAX_LEVEL: u8 = 7;
/// The most failures in a row that are told apart.
pub(super) const MAX_FAILURES: u8 = 63;
/// How long a trial of an unreachable endpoint may take at least before it counts as connected: gateways give up on a
/// connection after 5 or 10 s.
const CONNECTED: Duration = Duration::from_secs(15);

/// The longest time in milliseconds from one refusal of the picker to the next, while nobody listens: scrapes are at most
/// ten seconds apart. An ejection doesn't end between two of them.
const APART: Tick = 12_000;

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It gets requests.
    #[default]
    Healthy,
    /// It gets none for a while.
    Ejected,
    /// The next request may be a trial.
    Due,
    /// A trial is under way.
    Trial,
}

impl Phase {
    /// The phase in a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Ejected => "ejected",
            Self::Due => "due",
            Self::Trial => "trial",
        }
    }
}

/// What is said against an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reason {
    /// The picker was refused: nobody listens at the port.
    #[default]
    Refused,
    /// A gateway found no connection, or one that broke off before the response began.
    Unreachable,
    /// A request was answered at once with an error of the server.
    ServerError,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Refused, Self::Unreachable, Self::ServerError];

    /// The reason in a word, as a label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ServerError => "server-error",
        }
    }
}

/// What is said against an endpoint by a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub reason: Reason,
    /// If the request itself may be to blame, how many such failures in a row are borne, less than [`MAX_FAILURES`].
    pub borne: Option<u8>,
    /// Requests in flight at the endpoint, this one included.
    pub in_flight: u32,
}

/// Whether a request may be sent to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Healthy,
    /// Only as a trial.
    Due,
    /// Not now.
    Out,
}

/// The state of an endpoint's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub phase: Phase,
    /// What was said last.
    pub reason: Reason,
    /// Ejections in a row; successes take it back one by one.
    pub level: u8,
    /// Failures in a row that requests may be to blame for, up to [`MAX_FAILURES`].
    pub failures: u8,
    /// Whether requests succeeded although the picker is refused: that doesn't count then.
    pub distrust: bool,
    /// Whether a request failed, so that it takes one to readmit it: a connection shows no more than that somebody listens.
    pub needs_trial: bool,
    /// By how many 1275ths the ejection is longer than said; 0 before it is drawn.
    pub jitter: u8,
    /// When the phase began.
    pub at: Tick,
}

// The layout of the packed form, from the lowest bit: phase 2, reason 2, level 3, failures 6, distrust 1,
// needs_trial 1, jitter 8, at 41.
const PHASE: u64 = 0b11;
const LEVEL: u64 = 0b111 << 4;
const FAILURES: u64 = 0b11_1111 << 7;
const DISTRUST: u64 = 1 << 13;
const NEEDS_TRIAL: u64 = 1 << 14;
const AT: u64 = (1 << 41) - 1;

impl State {
    pub fn pack(self) -> u64 {
        self.phase as u64
            | (self.reason as u64) << 2
            | u64::from(self.level) << 4
            | u64::from(self.failures) << 7
            | u64::from(self.distrust) << 13
            | u64::from(self.needs_trial) << 14
            | u64::from(self.jitter) << 15
            | (self.at & AT) << 23
    }

    pub fn unpack(word: u64) -> Self {
        Self {
            phase: match word & PHASE {
                0 => Phase::Healthy,
                1 => Phase::Ejected,
                2 => Phase::Due,
                _ => Phase::Trial,
            },
            reason: match (word >> 2) & 0b11 {
                0 => Reason::Refused,
                1 => Reason::Unreachable,
                _ => Reason::ServerError,
            },
            level: ((word >> 4) & 0b111) as u8,
            failures: ((word & FAILURES) >> 7) as u8,
            distrust: word & DISTRUST != 0,
            needs_trial: word & NEEDS_TRIAL != 0,
            jitter: (word >> 15) as u8,
            at: word >> 23,
        }
    }

    /// Whether a success changes nothing of what is packed in `word`.
    pub fn is_clean(word: u64) -> bool {
        word & (PHASE | LEVEL | FAILURES) == 0
    }

    /// Whether a connection of the picker may change what is packed in `word`.
    pub fn heeds_connections(word: u64) -> bool {
        word & (PHASE | DISTRUST) != 0
    }

    fn ejected(self, reason: Reason, level: u8, now: Tick) -> Self {
        Self { phase: Phase::Ejected, reason, level: level.min(MAX_LEVEL), jitter: 0, at: now, ..self }
    }

    fn readmitted(self, now: Tick) -> Self {
        let level = self.level.saturating_sub(1);
        Self { phase: Phase::Healthy, level, failures: 0, needs_trial: false, jitter: 0, at: now, ..self }
    }

    /// Whether the trial that began at `trial` is the one that is under way.
    fn is_trial(self, trial: Option<Tick>) -> bool {
        self.phase == Phase::Trial && trial == Some(self.at)
    }

    /// Whether a request counts that was sent at `launched`: what was sent before the phase began says nothing about now.
    fn counts(self, launched: Tick, trial: Option<Tick>) -> bool {
        match self.phase {
            Phase::Healthy => launched >= self.at,
            Phase::Ejected | Phase::Due | Phase::Trial => self.is_trial(trial) || launched > self.at,
        }
    }

    /// A request failed.
    pub fn failed(self, fault: Fault, launched: Tick, trial: Option<Tick>, now: Tick) -> Self {
        let Fault { reason, borne, in_flight } = fault;
        let failures = borne.map_or(0, |_| (self.failures + 1).min(MAX_FAILURES));
        let failed = Self { failures, needs_trial: true, ..self };
        if self.is_trial(trial) {
            // It takes as many failures in a row to make an ejection longer as it takes to eject.
            let grows = borne.is_none_or(|borne| failures % (borne + 1) == 0);
            return failed.ejected(reason, self.level + u8::from(grows), now);
        }
        match (self.phase, borne) {
            (Phase::Healthy, _) if !self.counts(launched, None) => self,
            (Phase::Healthy, Some(borne)) if failures <= borne => Self { failures, ..self },
            (Phase::Healthy, _) => failed.ejected(reason, self.level + 1, now),
            // It was on its way when the endpoint was ejected. When most that were have failed, and enough for two ejections,
            // it is rather not the requests that are to blame.
            (Phase::Ejected, Some(borne)) if self.failures > 0 && launched <= self.at => {
                let most = u32::from(failures) >= in_flight && failures > 2 * borne + 1;
                Self { failures, level: if most { self.level.max(2) } else { self.level }, ..self }
            }
            // Beside a trial no request makes matters worse: many are sent at once when too many endpoints fail to eject any.
            _ => self,
        }
    }

    /// How many of its failures a success shows to have been the fault of requests. After an ejection whose trial failed it
    /// is rather the server that was at fault.
    pub fn strays(self) -> u8 {
        if self.level <= 1 { self.failures } else { self.failures.min(1) }
    }

    /// Readmitted, if so many failures in a row are `borne` by now that it would not be ejected any more.
    pub fn pardoned(self, borne: u8, now: Tick) -> Self {
        let ejected = matches!(self.phase, Phase::Ejected | Phase::Due);
        if ejected && (1..=borne).contains(&self.failures) {
            Self { failures: self.failures, ..self.readmitted(now) }
        } else {
            self
        }
    }

    /// A request succeeded.
    pub fn succeeded(self, launched: Tick, trial: Option<Tick>, now: Tick) -> Self {
        if self.phase == Phase::Healthy {
            return Self { failures: 0, level: self.level.saturating_sub(1), ..self };
        }
        if !self.counts(launched, trial) {
            return self;
        }
        let distrust = self.distrust || self.reason == Reason::Refused;
        Self { distrust, ..self }.readmitted(now)
    }

    /// A request was answered, with an error that is not the server's fault: it can be reached, and that is all.
    pub fn answered(self, launched: Tick, trial: Option<Tick>, now: Tick) -> Self {
        let unreachable = self.phase != Phase::Healthy && self.reason != Reason::ServerError;
        if unreachable && self.counts(launched, trial) {
            return self.succeeded(launched, trial, now);
        }
        self.given_back(trial)
    }

    /// The trial that began at `trial` ended without a result; another may begin.
    pub fn given_back(self, trial: Option<Tick>) -> Self {
        if self.is_trial(trial) { Self { phase: Phase::Due, ..self } } else { self }
    }

    /// A trial begins, if one may.
    pub fn tried(self, now: Tick, settings: &Settings) -> Self {
        if self.standing(now, settings) == Standing::Due {
            Self { phase: Phase::Trial, at: now, ..self }
        } else {
            self
        }
    }

    /// The picker was refused. That alone ejects an endpoint again and again until its longest ejection is over: then a
    /// trial says whether gateways fare as the picker does.
    pub fn refused(self, now: Tick, settings: &Settings) -> Self {
        if self.distrust {
            return self;
        }
        // No request is to blame for that.
        let refused = Self { reason: Reason::Refused, failures: 0, ..self };
        let again = match self.phase {
            Phase::Healthy => true,
            Phase::Ejected | Phase::Due => self.is_over(now + APART, settings) && !self.is_last(settings),
            Phase::Trial => false,
        };
        if again { refused.ejected(Reason::Refused, self.level + 1, now) } else { refused }
    }

    /// The picker was not refused. That readmits an endpoint of which nothing else is known than that the picker was; one at
    /// which requests failed may be tried at once instead, after its first failure or when nobody listened in between.
    pub fn connected(self, now: Tick) -> Self {
        let trusted = Self { distrust: false, ..self };
        match (self.phase, self.reason) {
            (Phase::Ejected | Phase::Due | Phase::Trial, Reason::Refused) if !self.needs_trial => {
                trusted.readmitted(now)
            }
            (Phase::Ejected, Reason::Refused) => Self { phase: Phase::Due, at: now, ..trusted },
            (Phase::Ejected, Reason::Unreachable) if self.level == 1 => {
                Self { phase: Phase::Due, at: now, ..trusted }
            }
            _ => trusted,
        }
    }

    /// With the jitter of the ejection, if none was drawn before.
    pub fn drawn(self, jitter: u8) -> Self {
        if self.phase == Phase::Ejected && self.jitter == 0 { Self { jitter, ..self } } else { self }
    }

    /// Readmitted, if its trial has been under way for longer than it would take to fail.
    pub fn outlived(self, now: Tick, settings: &Settings) -> Self {
        let patience = match self.reason {
            Reason::ServerError => settings.fast_failure,
            Reason::Refused | Reason::Unreachable => settings.fast_failure.max(CONNECTED),
        };
        let outlived = self.phase == Phase::Trial && now.saturating_sub(self.at) >= millis(patience);
        if outlived { self.readmitted(now) } else { self }
    }

    pub fn standing(self, now: Tick, settings: &Settings) -> Standing {
        match self.phase {
            Phase::Healthy => Standing::Healthy,
            Phase::Ejected | Phase::Due if self.is_over(now, settings) => Standing::Due,
            Phase::Ejected | Phase::Due | Phase::Trial => Standing::Out,
        }
    }

    /// Whether its ejection is over.
    fn is_over(self, now: Tick, settings: &Settings) -> bool {
        let time = millis(settings.ejection_time(self.level));
        let jitter = time.saturating_mul(u64::from(self.jitter)) / 1275;
        self.phase == Phase::Due || now >= self.at.saturating_add(time).saturating_add(jitter)
    }

    /// Whether no ejection is longer than its present one.
    fn is_last(self, settings: &Settings) -> bool {
        self.level == MAX_LEVEL || settings.ejection_time(self.level) >= settings.max_ejection_time
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
