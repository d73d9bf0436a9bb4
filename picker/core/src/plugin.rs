//! A plugin type: its parameters, the roles its instances play, and its entry in a [`Registry`].
//!
//! One plugin is one file under [`crate::plugins`]: parameters, logic, sample, tests.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::discovery::FileDiscovery;
use crate::needs::Needs;
use crate::parse::Parser;
use crate::role::{
    Admitter, Decider, Filter, Observer, Picker, PreRequest, Preparer, Producer, ProfileHandler, Scorer,
    Screener, Upkeep,
};
use crate::scrape::{MetricsExtractor, MetricsSource};

mod build;
mod error;
mod origin;
mod params;
mod registry;
mod task;

pub use build::BuildCx;
pub(crate) use build::{Asked, AttributeRead, Building, MadeWith, Moved};
pub use error::BuildError;
pub(crate) use error::parameter_path;
pub use origin::Origin;
pub use registry::{Registration, Registry};
pub use task::Task;

/// A plugin type.
pub trait Plugin {
    /// The type string.
    const TYPE: &'static str;
    /// Former names of the type. They are taken, with a warning that names [`Plugin::TYPE`].
    const ALIASES: &'static [&'static str] = &[];
    /// For a type that another took the place of: what to write instead. It works, with a warning that says so.
    const DEPRECATED: Option<&'static str> = None;
    /// What it is for.
    const TASK: Task;
    /// Whose configurations name it.
    const ORIGIN: Origin;
    /// How settled it is.
    const STABILITY: Stability = Stability::Beta;
    /// One sentence for `picker plugins` and the docs.
    const SUMMARY: &'static str;
    /// The rule of the plugin as a formula, for the same readers: of a scorer, the score of a server. Empty where the
    /// summary says it all.
    const FORMULA: &'static str = "";
    /// The roles its instances play.
    const ROLES: &'static [Role];
    /// Request headers that it writes for model servers. What clients send under these names is taken out of every
    /// request, whatever the strategy.
    const WRITES: &'static [&'static str] = &[];
    /// For a type of which a configuration has at most one plugin: what a second one would do, to be followed by the
    /// name of the first.
    const ONLY_ONE: Option<&'static str> = None;
    /// A routing that uses it, as YAML. It is shown in the docs, and compiles.
    const SAMPLE: &'static str;
    /// Its parameters: the only place where their YAML is described. Must refuse unknown fields.
    type Params: DeserializeOwned + JsonSchema;

    /// Parameters that manifests for other endpoint pickers give the type, and that never had an effect there. They are
    /// taken, with a warning.
    const IGNORED: &'static [&'static str] = &[];

    /// Makes an instance. Nothing is read from outside here: the operator and `picker check`, which have none of a
    /// strategy's files, compile it too. What an instance reads it names by [`BuildCx::file`].
    ///
    /// # Errors
    /// When a parameter has a value that the plugin can't work with.
    fn build(params: Self::Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError>;
}

/// How settled a plugin type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stability {
    /// Its rule and its parameters may change, or it may go.
    Alpha,
    /// Changes come with a way from the old form to the new one.
    Beta,
}

impl Stability {
    /// The name that documentation uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
        }
    }
}

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident, $field:ident: $of:ty, $name:literal;)*) => {
        /// A role, by the name of its extension point.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Role {
            $($(#[$doc])* $role,)*
        }

        impl Role {
            /// The name that documentation uses.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$role => $name,)*
                }
            }
        }

        /// The roles that an instance plays, and what must be done for it.
        #[derive(Clone, Default)]
        pub struct Roles {
            $($(#[$doc])* pub $field: Option<$of>,)*
            /// What must be done for it to work; what nobody needs is never done.
            pub needs: Needs,
        }

        impl Roles {
            /// The roles it plays, in the order of [`Role`].
            pub fn played(&self) -> Vec<Role> {
                let mut played = Vec::new();
                $(played.extend(self.$field.is_some().then_some(Role::$role));)*
                played
            }
        }
    };
}

roles! {
    /// [`Preparer`].
    Preparer, preparer: Arc<dyn Preparer>, "preparer";
    /// [`Screener`].
    Screener, screener: Arc<dyn Screener>, "screener";
    /// [`Producer`].
    Producer, producer: Arc<dyn Producer>, "producer";
    /// [`Admitter`].
    Admitter, admitter: Arc<dyn Admitter>, "admitter";
    /// [`ProfileHandler`].
    ProfileHandler, profile_handler: Arc<dyn ProfileHandler>, "profile handler";
    /// [`Decider`].
    Decider, decider: Arc<dyn Decider>, "decider";
    /// [`Filter`].
    Filter, filter: Arc<dyn Filter>, "filter";
    /// [`Scorer`].
    Scorer, scorer: Arc<dyn Scorer>, "scorer";
    /// [`Picker`].
    Picker, picker: Arc<dyn Picker>, "picker";
    /// [`PreRequest`].
    PreRequest, pre_request: Arc<dyn PreRequest>, "pre-request";
    /// [`Observer`].
    Observer, observer: Arc<dyn Observer>, "observer";
    /// [`Upkeep`].
    Upkeep, upkeep: Arc<dyn Upkeep>, "upkeep";
    /// Which formats of requests are read.
    Parser, parser: Parser, "parser";
    /// Finds the endpoints in place of an InferencePool.
    Discovery, discovery: FileDiscovery, "discovery";
    /// Where the metrics of model servers are.
    DataSource, data_source: MetricsSource, "data source";
    /// Which series of them tell what.
    Extractor, extractor: MetricsExtractor, "extractor";
}

impl Roles {
    /// Whether it has a place in scheduling profiles, and so a part only where one of them names it.
    pub(crate) fn in_profiles(&self) -> bool {
        self.filter.is_some() || self.scorer.is_some() || self.picker.is_some()
    }

    /// Whether it acts on every request of a strategy that declares it, without being referred to.
    pub(crate) fn acts_by_itself(&self) -> bool {
        !self.in_profiles()
            && (self.preparer.is_some()
                || self.screener.is_some()
                || self.producer.is_some()
                || self.admitter.is_some()
                || self.pre_request.is_some()
                || self.observer.is_some()
                || self.upkeep.is_some())
    }
}
