//! A compiled strategy: an immutable value that decides.

use std::fmt;
use std::ops::BitOr;
use std::sync::Arc;

use crate::plugin::{Filter, Picker, Producer, ProfileHandler, Scorer};
use crate::plugins::discover::FileDiscovery;

mod compile;
#[cfg(test)]
mod tests;

pub use compile::{Compiled, compile, default_routing};

/// What must be done for the plugins of a strategy to work. What is not in here is never done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Nothing.
    pub const NOTHING: Self = Self(0);
    /// The request's body, read: its model and its prompt.
    pub const BODY: Self = Self(1);
    /// Metrics of the model servers.
    pub const SCRAPE: Self = Self(2);

    /// Whether all of `other` is needed.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Needs {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A compiled routing: which plugins decide, and how. Made by [`compile`], shared, never changed.
pub struct Strategy {
    /// Hash of the routing that it was compiled from ([`crate::config::revision`]).
    pub revision: String,
    /// What must be done for it.
    pub needs: Needs,
    /// Where its endpoints come from, when that is not an InferencePool.
    pub discovery: Option<FileDiscovery>,
    pub(crate) profiles: Box<[Profile]>,
    pub(crate) handler: Arc<dyn ProfileHandler>,
    pub(crate) producers: Box<[Arc<dyn Producer>]>,
}

pub(crate) struct Profile {
    pub name: String,
    pub filters: Box<[Arc<dyn Filter>]>,
    pub scorers: Box<[(f32, Arc<dyn Scorer>)]>,
    pub picker: Arc<dyn Picker>,
}

impl Strategy {
    /// Names of the scheduling profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.profiles.iter().map(|p| p.name.as_str())
    }
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strategy").field("revision", &self.revision).field("needs", &self.needs).finish()
    }
}
