//! `session-prefix`: a conversation stays at the endpoint that it was sent to last, known by its opening alone.
//!
//! Clients that name no session are most of them. What they send begins with all that was said before, and so each request of
//! a conversation begins with the same system prompt and the same first message.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::ask::{Ask, Decision};
use crate::booking::Launch;
use crate::fact::{Fact, Slot};
use crate::inputs::Inputs;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Stability, Task};
use crate::plugins::session::table::{CAPACITY, LEAST, MAX_TTL, SWEEPS, Sessions, short};
use crate::role::{PreRequest, Scorer, Upkeep};
use crate::store::Shape;
use crate::view::{Candidates, View};

mod opening;
#[cfg(test)]
mod tests;

/// The most plugins of this type in one strategy: each table may come to 16 MiB.
const MAX_TABLES: usize = 4;

/// The most bytes of a first message that can count.
const MAX_PREFIX: usize = 1 << 20;

/// Parameters of `session-prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Params {
    /// How many bytes of the first message of the user count, after the tools and the system prompt, which count whole; and of a
    /// prompt that is one text, how many of all. 1 to 1048576. Texts that begin with the same instructions need more than those
    /// have: whatever is equal so far is one conversation.
    #[schemars(range(min = 1, max = 1_048_576))]
    prefix_bytes: usize,
    /// How many conversations are remembered, 256 to 1048576, rounded down to a multiple of 256; of more, those used longest ago
    /// give way. Memory: 16 bytes for each.
    #[schemars(range(min = 256, max = 1_048_576))]
    max_sessions: usize,
    /// For how many seconds a conversation is remembered that sends no request, 1 to 2592000 (30 days).
    #[schemars(range(min = 1, max = 2_592_000))]
    ttl_seconds: u64,
    /// The scheduling profile whose endpoint a conversation stays at, for example `prefill`. By default, it is the profile of
    /// the destination.
    profile_name: String,
}

impl Default for Params {
    fn default() -> Self {
        Self { prefix_bytes: 1024, max_sessions: 65_536, ttl_seconds: 3600, profile_name: String::new() }
    }
}

/// Remembers where each conversation went.
#[derive(Debug)]
pub struct SessionPrefix {
    prefix_bytes: usize,
    ttl: Duration,
    /// Position of the profile whose endpoint counts; `None` for that of the destination.
    profile: Option<usize>,
    sessions: Arc<Sessions>,
    seen: Slot<Seen>,
}

/// What the scorer found of the request's conversation. It is noted while profiles run, which read facts: hence the cells.
#[derive(Debug, Default)]
struct Seen {
    /// 0 when the scorer did not run, or the request has no prompt.
    session: Cell<u64>,
    /// Short key of the endpoint that it went to last; 0 for none.
    bound: Cell<u64>,
}

impl Fact for Seen {
    const NAME: &'static str = "opening of a conversation";
    const DEFAULT_PRODUCER: Option<&'static str> = None;

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Plugin for SessionPrefix {
    const TYPE: &'static str = "session-prefix";
    const TASK: Task = Task::Sessions;
    const ORIGIN: Origin = Origin::Waypost;
    const STABILITY: Stability = Stability::Alpha;
    const SUMMARY: &'static str = "Prefers the endpoint that the conversation of the request was sent to last: 1 for it, 0 for all others, and 0 for all \
         when it is unknown. A conversation is known by its model, tools, system prompt and first message of the user, so that clients need to \
         name no session; those that are equal in all of these are one. It is remembered by this picker alone.";
    const ROLES: &'static [Role] = &[Role::Scorer, Role::PreRequest, Role::Upkeep];
    const SAMPLE: &'static str = "\
plugins:
- type: session-prefix
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: session-prefix, weight: 3}
  - {pluginRef: queue-scorer, weight: 2}
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Params { prefix_bytes, max_sessions, ttl_seconds, profile_name } = params;
        if !(1..=MAX_PREFIX).contains(&prefix_bytes) {
            return Err(BuildError::invalid("prefixBytes", format!("must lie between 1 and {MAX_PREFIX}")));
        }
        if !(LEAST..=CAPACITY).contains(&max_sessions) {
            let message = format!("must lie between {LEAST} and {CAPACITY}");
            return Err(BuildError::invalid("maxSessions", message));
        }
        if !(1..=MAX_TTL.as_secs()).contains(&ttl_seconds) {
            let message = format!("must lie between 1 and {}", MAX_TTL.as_secs());
            return Err(BuildError::invalid("ttlSeconds", message));
        }
        let name = profile_name.as_str();
        let profile = if name.is_empty() { None } else { Some(cx.profile("profileName", name)?) };
        if cx.provided::<Seen>() == MAX_TABLES {
            let message = format!(
                "there are {MAX_TABLES} other plugins of this type already, each with a table of its own; use one plugin in \
                 several profiles"
            );
            return Err(BuildError::invalid("", message));
        }
        let shape = format!("prefix={prefix_bytes} sessions={max_sessions} profile={name}");
        let plugin = Arc::new(Self {
            prefix_bytes,
            ttl: Duration::from_secs(ttl_seconds),
            profile,
            sessions: cx.state(Shape(shape), || Sessions::of(max_sessions)),
            seen: cx.provides(),
        });
        Ok(Roles {
            scorer: Some(plugin.clone()),
            pre_request: Some(plugin.clone()),
            upkeep: Some(plugin),
            needs: Needs::BODY,
            ..Roles::default()
        })
    }
}

impl Scorer for SessionPrefix {
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]) {
        let seen = ask.facts.get(self.seen);
        // The first of several profiles has found it out.
        if seen.session.get() == 0 {
            let Some(opening) = opening::hash(ask.request, self.prefix_bytes) else { return };
            let session = self.sessions.hash(&opening.to_le_bytes());
            seen.session.set(session);
            seen.bound.set(self.sessions.get(session, ask.now, self.ttl).unwrap_or(0));
        }
        let bound = seen.bound.get();
        if bound != 0 {
            for (place, i) in out.iter_mut().zip(candidates.iter()) {
                *place = if short(ask.view.places[i].1) == bound { 1.0 } else { 0.0 };
            }
        }
    }

    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let bound = ask.facts.get(self.seen).bound.get();
        let is_bound = |i: usize| bound != 0 && short(ask.view.places[i].1) == bound;
        inputs.number("sessionBound", |i| f32::from(u8::from(is_bound(i))));
    }
}

impl PreRequest for SessionPrefix {
    /// The conversation is where it goes now, also if it was elsewhere.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, _: &mut Launch<'_>) {
        let seen = ask.facts.get(self.seen);
        let picked = match self.profile {
            Some(profile) => decision.of(profile),
            None => decision.destination(),
        };
        if let Some(picked) = picked.filter(|_| seen.session.get() != 0) {
            let endpoint = short(ask.view.places[picked[0] as usize].1);
            self.sessions.bind(seen.session.get(), seen.bound.get(), endpoint, ask.now, self.ttl);
        }
    }
}

impl Upkeep for SessionPrefix {
    fn every(&self) -> Duration {
        (self.ttl / SWEEPS).clamp(Duration::from_millis(100), Duration::from_secs(60))
    }

    fn tick(&self, now: Instant, _: &View) {
        self.sessions.sweep(now, self.ttl);
    }
}
