//! Session affinity: requests of one session stay at one endpoint. What its filter and its scorer have in common.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::ask::{Ask, Decision, Picked};
use crate::booking::Launch;
use crate::edits::Edits;
use crate::endpoint::Endpoint;
use crate::fact::{Fact, Slot};
use crate::inputs::Inputs;
use crate::outcome::ResponseHead;
use crate::plugin::{BuildCx, BuildError, Roles};
use crate::role::{Observer, PreRequest, ResponseWatch, Upkeep};
use crate::store::Shape;
use crate::view::{Candidates, View};

mod params;
mod source;
pub(super) mod table;
mod token;

#[cfg(test)]
mod tests;

use params::Known;
use source::Source;
use table::{SWEEPS, Sessions};

pub use params::Params;

/// The most tables of sessions of one strategy: each may come to 16 MiB.
const MAX_TABLES: usize = 4;

/// Knows where the session of a request is, and notes where it goes.
#[derive(Debug)]
pub(super) struct SessionAffinity {
    /// Position of the profile whose endpoint a session stays at; `None` for that of the destination.
    profile: Option<usize>,
    how: How,
}

#[derive(Debug)]
enum How {
    Token { header: Arc<str> },
    Table(Table),
}

#[derive(Debug)]
struct Table {
    sources: Box<[Source]>,
    ttl: Duration,
    sweep: Duration,
    sessions: Arc<Sessions>,
    seen: Slot<Seen>,
}

/// What the filter or scorer saw of a request's session. It is noted while profiles run, which read facts: hence the
/// cells.
#[derive(Debug, Default)]
struct Seen {
    /// 0 when neither ran, or the request has no session.
    session: Cell<u64>,
    /// Short key of the endpoint to which it was bound; 0 for none.
    bound: Cell<u64>,
    /// Whether that endpoint was a candidate.
    stays: Cell<bool>,
}

impl Fact for Seen {
    const NAME: &'static str = "binding of a session";
    const DEFAULT_PRODUCER: Option<&'static str> = None;

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl SessionAffinity {
    pub(super) fn build(params: &Params, cx: &mut BuildCx<'_>) -> Result<Arc<Self>, BuildError> {
        let name = params.profile_name.as_str();
        let profile = if name.is_empty() { None } else { Some(cx.profile("profileName", name)?) };
        let how = match params.known(cx)? {
            Known::Token { header } => How::Token { header: header.into() },
            Known::Id { .. } if cx.provided::<Seen>() == MAX_TABLES => {
                let message = format!(
                    "session_id is the strategy of {MAX_TABLES} other plugins already, each with a table of its own; use one \
                     plugin in several profiles, or another strategy"
                );
                return Err(BuildError::invalid("strategy", message));
            }
            Known::Id { sources, shape, ttl, sweep } => How::Table(Table {
                sources,
                ttl,
                sweep,
                sessions: cx.state(Shape(format!("{shape}profile={name}")), Sessions::default),
                seen: cx.provides(),
            }),
        };
        Ok(Arc::new(Self { profile, how }))
    }

    /// The roles that it plays with its strategy, beside that of a filter or a scorer.
    pub(super) fn roles(self: &Arc<Self>) -> Roles {
        let table = matches!(self.how, How::Table(_));
        Roles {
            pre_request: table.then(|| self.clone() as Arc<dyn PreRequest>),
            observer: Some(self.clone()),
            upkeep: table.then(|| self.clone() as Arc<dyn Upkeep>),
            ..Roles::default()
        }
    }

    /// The candidates at which the session of the request is, as positions in the view; none when it has no session, or
    /// its endpoint is no candidate.
    pub(super) fn pinned(&self, ask: &Ask<'_>, candidates: &Candidates) -> SmallVec<[usize; 1]> {
        match &self.how {
            How::Token { header } => match ask.request.headers.get(header) {
                Some(token) => token::named(token, ask.view, candidates),
                None => SmallVec::new(),
            },
            How::Table(table) => table.pinned(ask, candidates).into_iter().collect(),
        }
    }

    /// Where the session is, for who asks about a decision.
    pub(super) fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        if let How::Table(table) = &self.how {
            let bound = ask.facts.get(table.seen).bound.get();
            let is_bound = |i: usize| bound != 0 && table::short(ask.view.places[i].1) == bound;
            inputs.number("sessionBound", |i| f32::from(u8::from(is_bound(i))));
        }
    }

    /// What the profile picked whose endpoint a session stays at.
    fn picked<'a>(&self, decision: &'a Decision) -> Option<&'a Picked> {
        match self.profile {
            Some(profile) => decision.of(profile),
            None => decision.destination(),
        }
    }
}

impl Table {
    fn pinned(&self, ask: &Ask<'_>, candidates: &Candidates) -> Option<usize> {
        let id = self.sources.iter().find_map(|source| source.id(ask))?;
        let session = self.sessions.hash(id);
        let bound = self.sessions.get(session, ask.now, self.ttl);
        let pinned =
            bound.and_then(|bound| candidates.iter().find(|&i| table::short(ask.view.places[i].1) == bound));
        let seen = ask.facts.get(self.seen);
        seen.session.set(session);
        seen.bound.set(bound.unwrap_or(0));
        // In one of several profiles is enough.
        seen.stays.set(seen.stays.get() || pinned.is_some());
        pinned
    }
}

impl PreRequest for SessionAffinity {
    /// Binds a session to the endpoint that was chosen, unless the one to which it is bound was a candidate.
    fn pre_request(&self, ask: &Ask<'_>, decision: &Decision, _: &mut Launch<'_>) {
        let How::Table(Table { ttl, sessions, seen, .. }) = &self.how else { return };
        let seen = ask.facts.get(*seen);
        let (session, bound) = (seen.session.get(), seen.bound.get());
        let Some(chosen) = self.picked(decision).filter(|_| session != 0) else { return };
        let chosen = table::short(ask.view.places[chosen[0] as usize].1);
        let endpoint = if seen.stays.get() { bound } else { chosen };
        sessions.bind(session, bound, endpoint, ask.now, *ttl);
    }
}

impl Observer for SessionAffinity {
    fn watch(&self, ask: &Ask<'_>, decision: &Decision) -> Option<Box<dyn ResponseWatch>> {
        let picked = self.picked(decision)?;
        // The gateway tells who served as destination, and nothing of other profiles.
        let is_destination = decision.destination() == Some(picked);
        match &self.how {
            How::Token { header } => Some(Box::new(WritesToken {
                header: header.clone(),
                endpoints: ask.view.endpoints.clone(),
                chosen: picked[0] as usize,
                is_destination,
            })),
            How::Table(table) if is_destination && picked.len() > 1 => table.moves_with(ask, picked),
            How::Table(_) => None,
        }
    }
}

impl Table {
    /// A watch that binds the session of the request to another endpoint of `picked` when that one serves; `None` when the
    /// session is not bound to the first of them.
    fn moves_with(&self, ask: &Ask<'_>, picked: &Picked) -> Option<Box<dyn ResponseWatch>> {
        let short = |i: u32| table::short(ask.view.places[i as usize].1);
        let (seen, chosen) = (ask.facts.get(self.seen), short(picked[0]));
        let session = seen.session.get();
        if session == 0 || seen.stays.get() && seen.bound.get() != chosen {
            return None;
        }
        let address = |i: u32| ask.view.endpoints[i as usize].address;
        Some(Box::new(MovesSession {
            sessions: self.sessions.clone(),
            session,
            bound: chosen,
            others: picked[1..].iter().map(|&i| (address(i), short(i))).collect(),
            at: ask.now,
            ttl: self.ttl,
        }))
    }
}

/// Binds a session to the endpoint that served, where that is not the first of those that were chosen.
struct MovesSession {
    sessions: Arc<Sessions>,
    session: u64,
    /// Short key of the endpoint to which it was bound by the decision.
    bound: u64,
    /// Addresses and short keys of the others.
    others: Box<[(SocketAddr, u64)]>,
    /// When the decision was made.
    at: Instant,
    ttl: Duration,
}

impl ResponseWatch for MovesSession {
    fn head(&mut self, head: &ResponseHead<'_>, _: &mut Edits) {
        let other = self.others.iter().find(|(address, _)| Some(*address) == head.served);
        if let Some(&(_, endpoint)) = other {
            self.sessions.bind(self.session, self.bound, endpoint, self.at, self.ttl);
        }
    }
}

/// Writes the token of an endpoint into the head of a response.
struct WritesToken {
    header: Arc<str>,
    /// The endpoints at the time of the decision.
    endpoints: Arc<[Arc<Endpoint>]>,
    /// Position in `endpoints`.
    chosen: usize,
    is_destination: bool,
}

impl ResponseWatch for WritesToken {
    fn head(&mut self, head: &ResponseHead<'_>, edits: &mut Edits) {
        let chosen = &self.endpoints[self.chosen];
        let served = head.served.filter(|served| self.is_destination && *served != chosen.address);
        let other = served.and_then(|served| self.endpoints.iter().find(|e| e.address == served));
        edits.set_header(self.header.to_string(), token::of(other.unwrap_or(chosen)));
    }
}

impl Upkeep for SessionAffinity {
    fn every(&self) -> Duration {
        match &self.how {
            // There is nothing to do.
            How::Token { .. } => Duration::from_secs(3600),
            How::Table(table) => table.sweep / SWEEPS,
        }
    }

    fn tick(&self, now: Instant, _: &View) {
        if let How::Table(table) = &self.how {
            table.sessions.sweep(now, table.ttl);
        }
    }
}
