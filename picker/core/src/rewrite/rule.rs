//! One rule: the requests that it is for, and the models among which it splits them.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::share::{Share, unit};
use crate::request::Request;

/// The longest name of a model, in bytes, that rules may have, that they are compared with, and that a client is told again: a
/// longer one would make each event of an answer as long.
pub const MAX_NAME: usize = 256;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, for metrics and the log.
    pub name: Arc<str>,
    /// It is for requests to which one of these applies; without any, for every request.
    pub matches: Box<[Match]>,
    /// The models. Without any, requests keep theirs.
    pub targets: Box<[Target]>,
    /// What keeps requests with the same value at one target; `None` when each is split for itself.
    pub sticky: Option<Sticky>,
    /// The priority of requests that name no objective; `None` for that of such requests, 0.
    pub priority: Option<i32>,
    /// How many requests were split so far.
    pub share: Arc<Share>,
}

/// A condition on requests: all of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// The model that the client asks for; `None` for any, or none.
    pub model: Option<ModelMatch>,
    /// Headers that it has.
    pub headers: Box<[HeaderMatch]>,
    /// The beginning of its path.
    pub path_prefix: Option<Box<str>>,
}

/// A condition on the name of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelMatch {
    /// It is this.
    Exact(Box<str>),
    /// It begins like this.
    Prefix(Box<str>),
}

/// A condition on a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Its name, in lower case.
    pub name: Box<str>,
    /// Its value, which is compared whole.
    pub value: Box<str>,
}

/// A model, and its part of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The model.
    pub model: Arc<str>,
    /// How many requests it gets, in proportion to the weights of the other targets.
    pub weight: u32,
    /// What takes its place when no server lists it, best first.
    pub fallbacks: Box<[Arc<str>]>,
}

/// Where the value is by which requests stay at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// In the header of this name, in lower case.
    Header(Box<str>),
    /// In the cookie of this name.
    Cookie(Box<str>),
}

impl Match {
    fn applies(&self, request: &Request, asked: Option<&str>) -> bool {
        let Self { model, headers, path_prefix } = self;
        let model = model.as_ref().is_none_or(|wanted| {
            asked.is_some_and(|model| match wanted {
                ModelMatch::Exact(name) => model == &**name,
                ModelMatch::Prefix(prefix) => model.starts_with(&**prefix),
            })
        });
        let path = path_prefix.as_ref().is_none_or(|prefix| request.headers.path().starts_with(&**prefix));
        model
            && path
            && headers.iter().all(|HeaderMatch { name, value }| {
                let mut all = request.headers.0.iter().filter(|(n, _)| n == name.as_bytes());
                all.any(|(_, v)| v.trim_ascii() == value.as_bytes())
            })
    }
}

impl Sticky {
    fn value(&self, request: &Request) -> Option<bytes::Bytes> {
        let value = match self {
            Self::Header(name) => {
                request.headers.bytes(name).map(|value| value.slice_ref(value.trim_ascii()))
            }
            Self::Cookie(name) => request.headers.cookie(name),
        };
        value.filter(|value| !value.is_empty())
    }
}

impl Rule {
    /// Whether it is for `request`, whose client asks for the model `asked`.
    pub fn is_for(&self, request: &Request, asked: Option<&str>) -> bool {
        self.matches.is_empty() || self.matches.iter().any(|one| one.applies(request, asked))
    }

    /// The target of `request`; `None` when there is none with a weight.
    ///
    /// Requests with a value that keeps them are hashed onto the targets (weighted rendezvous hashing: a change of one weight
    /// moves none between the others). The others are split so that after any number of requests each target has its share
    /// to within a few requests ([`Share`]).
    pub fn target(&self, request: &Request) -> Option<&Target> {
        if let [only] = &*self.targets {
            return (only.weight > 0).then_some(only);
        }
        match self.sticky.as_ref().and_then(|sticky| sticky.value(request)) {
            Some(value) => self.rendezvous(&value),
            None => self.next(),
        }
    }

    fn next(&self) -> Option<&Target> {
        let total: u64 = self.targets.iter().map(|target| u64::from(target.weight)).sum();
        if total == 0 {
            return None;
        }
        let mut at = self.share.next(total);
        self.targets.iter().find(|target| {
            let weight = u64::from(target.weight);
            let here = at < weight;
            at = at.saturating_sub(weight);
            here
        })
    }

    /// The target with the largest weight / −ln(u), u being a hash of the value and its name, uniform in (0, 1) (Schindelhauer
    /// and Schomaker, "Weighted distributed hash tables", 2005).
    fn rendezvous(&self, value: &[u8]) -> Option<&Target> {
        let seed = xxh3_64_with_seed(self.name.as_bytes(), 0);
        let value = xxh3_64_with_seed(value, seed);
        let score = |target: &Target| {
            let u = unit(xxh3_64_with_seed(target.model.as_bytes(), value));
            f64::from(target.weight) / -u.ln()
        };
        let weighted = self.targets.iter().filter(|target| target.weight > 0);
        weighted.map(|target| (score(target), target)).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, t)| t)
    }
}
