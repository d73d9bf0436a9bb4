//! A compiled strategy: an immutable value that decides.

use std::fmt;
use std::sync::Arc;

use crate::ask::Ask;
use crate::column::Column;
use crate::config::{Explained, Warning};
use crate::discovery::FileDiscovery;
use crate::fact::{Layout, PrefixMatch, Slot};
use crate::health::Settings;
use crate::inputs::Inputs;
use crate::needs::Needs;
use crate::parse::Formats;
use crate::rewrite::ModelSettings;
use crate::role::{
    Admitter, BoundHandler, Filter, Observer, Picker, PreRequest, Preparer, Producer, Scorer, Screener,
    Upkeep,
};
use crate::scrape::ScrapePlan;
use crate::trust::Trust;

/// A compiled routing: which plugins decide, and how. Made by [`compile`](crate::compile::compile), shared, never
/// changed.
pub struct Strategy {
    /// Hash of the routing that it was compiled from ([`crate::config::revision`]).
    pub revision: Arc<str>,
    /// What must be done for it.
    pub needs: Needs,
    /// The formats of requests that are read for it.
    pub formats: Formats,
    /// The columns of the view that its plugins read, each once, in their order.
    pub columns: Box<[Column]>,
    /// What is scraped for it; `None` when its plugins read nothing of model servers' metrics.
    pub scrape: Option<Arc<ScrapePlan>>,
    /// Where its endpoints come from, when that is not an InferencePool.
    pub discovery: Option<FileDiscovery>,
    /// Files that its plugins read when it serves.
    pub files: Box<[NeededFile]>,
    /// What is not wrong, but not as it should be, in the order of the text.
    pub warnings: Box<[Warning]>,
    /// When endpoints that fail are left alone.
    pub health: Settings,
    /// Which of its decisions are explained, and to whom.
    pub explain: Explained,
    /// Under which models requests go on, and which models there are.
    pub models: ModelSettings,
    /// Which request headers are believed.
    pub trust: Trust,
    pub(crate) layout: Layout,
    pub(crate) handler: Arc<dyn BoundHandler>,
    pub(crate) profiles: Box<[Profile]>,
    pub(crate) preparers: Box<[Named<dyn Preparer>]>,
    pub(crate) screeners: Box<[Named<dyn Screener>]>,
    pub(crate) producers: Box<[Producing]>,
    /// The prefix matches that producers write.
    pub(crate) prefix_matches: Box<[Slot<PrefixMatch>]>,
    pub(crate) admitters: Box<[Named<dyn Admitter>]>,
    pub(crate) pre_requests: Box<[Named<dyn PreRequest>]>,
    pub(crate) observers: Box<[Named<dyn Observer>]>,
    pub(crate) upkeeps: Box<[Named<dyn Upkeep>]>,
}

/// A file that a plugin reads when the strategy serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeededFile {
    /// The parameter that names it, as a path in the configuration.
    pub field: String,
    /// Where the picker looks for it.
    pub path: String,
}

/// A plugin instance in one of its roles.
pub struct Named<T: ?Sized> {
    /// Name of the instance.
    pub name: Arc<str>,
    /// The role.
    pub role: Arc<T>,
    /// What the instance reads, for who asks about a decision.
    pub reads: Arc<Reads>,
}

/// What a plugin instance reads, as it asked for when it was made.
#[derive(Debug, Default)]
pub struct Reads {
    /// Columns of the view that have numbers, with their names.
    pub(crate) columns: Box<[(Arc<str>, Column)]>,
    /// Slots of facts.
    pub(crate) facts: Box<[u16]>,
}

impl Reads {
    /// Adds the numbers that it read for a decision to `inputs`.
    pub(crate) fn tell(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        for (name, column) in &self.columns {
            let numbers = ask.view.column(*column);
            inputs.number(name.clone(), |i| numbers[i]);
        }
        self.facts.iter().for_each(|slot| ask.facts.inputs(*slot, inputs));
    }
}

impl<T: ?Sized> Clone for Named<T> {
    fn clone(&self) -> Self {
        Self { name: self.name.clone(), role: self.role.clone(), reads: self.reads.clone() }
    }
}

/// A producer with the slots of the facts that it writes.
pub(crate) struct Producing {
    pub producer: Named<dyn Producer>,
    pub slots: Box<[u16]>,
}

/// A scheduling profile.
pub(crate) struct Profile {
    pub name: Arc<str>,
    pub filters: Box<[Named<dyn Filter>]>,
    pub scorers: Box<[(f32, Named<dyn Scorer>)]>,
    pub picker: Named<dyn Picker>,
}

impl Strategy {
    /// Names of the scheduling profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.profiles.iter().map(|p| &*p.name)
    }

    /// Work at intervals, by name of the plugin.
    pub fn upkeeps(&self) -> &[Named<dyn Upkeep>] {
        &self.upkeeps
    }
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strategy").field("revision", &self.revision).field("needs", &self.needs).finish()
    }
}

#[cfg(test)]
pub(crate) fn named<T: ?Sized>(name: &str, role: Arc<T>) -> Named<T> {
    Named { name: name.into(), role, reads: Arc::default() }
}
