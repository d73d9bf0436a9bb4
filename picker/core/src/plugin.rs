//! What a plugin is: its parameters, the roles it plays, and the table of all of them.
//!
//! One plugin is one file under [`crate::plugins`]: parameters, logic, tests. The table
//! [`crate::plugins::ALL`] is the only place that lists them; there is no global registry.

use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::config::{ConfigError, ErrorKind};
use crate::cx::Cx;
use crate::plugins::discover::FileDiscovery;
use crate::request::Request;
use crate::schedule::{Picked, Produced, Scored};
use crate::strategy::Needs;
use crate::view::{Candidates, View};

mod build;
mod params;

pub(crate) use build::Producers;
pub use build::{BuildCx, ProducerId};

/// Takes candidates out. Filters of a profile work in the order in which it lists them.
pub trait Filter: Send + Sync {
    /// Removes from `keep` what must not serve `request`.
    fn filter(&self, request: &Request, view: &View, keep: &mut Candidates);
}

/// Judges every candidate at once.
pub trait Scorer: Send + Sync {
    /// Writes a score for each of `candidates` into the same position of `out`: 0 worst, 1 best.
    /// `out` has their length and is filled with 0. What lies outside 0 to 1, or is NaN, is clamped.
    fn score(&self, input: &ScoreInput<'_>, candidates: &Candidates, out: &mut [f32]);
}

/// What a scorer may read.
#[derive(Clone, Copy, Debug)]
pub struct ScoreInput<'a> {
    /// The request.
    pub request: &'a Request,
    /// All endpoints.
    pub view: &'a View,
    /// What the producers found out about this request.
    pub produced: &'a Produced,
}

/// Chooses among the scored candidates.
pub trait Picker: Send + Sync {
    /// The chosen endpoints, best first. `scored` is never empty.
    fn pick(&self, cx: &mut Cx, scored: Scored<'_>) -> Picked;
}

/// Decides which profiles run for a request, and which result is the destination.
pub trait ProfileHandler: Send + Sync {
    /// Whether the handler can work with `profiles` profiles; else what to change.
    ///
    /// # Errors
    /// A message for whoever wrote the configuration.
    fn accepts(&self, profiles: usize) -> Result<(), String>;

    /// Position of the profile to run next, given the results so far (`None` for one that failed), or
    /// `None` when all is done.
    fn next(&self, request: &Request, done: &[(usize, Option<Picked>)]) -> Option<usize>;

    /// Position in `done` of the result that is the destination.
    fn primary(&self, done: &[(usize, Option<Picked>)]) -> Option<usize>;
}

/// Finds out something about a request before profiles run, for scorers and filters to read, and learns
/// from where the request went.
pub trait Producer: Send + Sync {
    /// Writes what it finds into its own place in `produced`.
    fn produce(&self, request: &Request, view: &View, candidates: &Candidates, produced: &mut Produced);

    /// The request goes to the endpoint at position `chosen` of `view`.
    fn launched(&self, request: &Request, view: &View, chosen: usize, produced: &Produced);
}

/// A plugin type.
pub trait Plugin {
    /// The type string.
    const TYPE: &'static str;
    /// One sentence for `picker plugins` and the docs.
    const SUMMARY: &'static str;
    /// For a scorer whose summary leaves a question: the score of a server, as a formula, for the same readers.
    const FORMULA: &'static str = "";
    /// The roles its instances play.
    const ROLES: &'static [Role];
    /// Its parameters: the only place where their YAML is described. Must refuse unknown fields.
    type Params: DeserializeOwned + JsonSchema;

    /// Makes an instance.
    ///
    /// # Errors
    /// When a parameter has a value that the plugin can't work with.
    fn build(params: Self::Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError>;
}

/// A role, by the name of its extension point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// [`Filter`].
    Filter,
    /// [`Scorer`].
    Scorer,
    /// [`Picker`].
    Picker,
    /// [`ProfileHandler`].
    ProfileHandler,
    /// [`Producer`].
    Producer,
    /// Finds the endpoints in place of an InferencePool.
    Discovery,
}

impl Role {
    /// The name that documentation uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Scorer => "scorer",
            Self::Picker => "picker",
            Self::ProfileHandler => "profile handler",
            Self::Producer => "producer",
            Self::Discovery => "discovery",
        }
    }
}

/// What an instance is: each role that it plays, and what it needs done for it.
#[derive(Default)]
pub struct Roles {
    /// It filters.
    pub filter: Option<Arc<dyn Filter>>,
    /// It scores.
    pub scorer: Option<Arc<dyn Scorer>>,
    /// It picks.
    pub picker: Option<Arc<dyn Picker>>,
    /// It handles profiles.
    pub profile_handler: Option<Arc<dyn ProfileHandler>>,
    /// It produces.
    pub producer: Option<Arc<dyn Producer>>,
    /// It says where endpoints are found.
    pub discovery: Option<FileDiscovery>,
    /// What must be done for it to work; what nobody needs is never done.
    pub needs: Needs,
}

/// Why an instance could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    /// The parameter, relative to `parameters`; empty when it is none in particular.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
    /// What sort of error it is.
    pub kind: ErrorKind,
}

impl BuildError {
    /// A value that the plugin can't work with.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), kind: ErrorKind::Invalid }
    }

    /// A reference to something that isn't there.
    pub fn unknown_ref(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), message: message.into(), kind: ErrorKind::UnknownRef }
    }
}

/// A plugin type in the table: what a [`Plugin`] says of itself, without its Rust type.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The type string.
    pub kind: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The score as a formula; empty where there is none.
    pub formula: &'static str,
    /// The roles.
    pub roles: &'static [Role],
    schema: fn() -> Schema,
    build: Build,
}

type Build = fn(&Map<String, Value>, &mut BuildCx<'_>) -> Result<Roles, Vec<BuildError>>;

impl Registration {
    /// The entry for `P`.
    pub const fn of<P: Plugin>() -> Self {
        Self {
            kind: P::TYPE,
            summary: P::SUMMARY,
            formula: P::FORMULA,
            roles: P::ROLES,
            schema: || schemars::schema_for!(P::Params),
            build: |params, cx| P::build(params::read(params)?, cx).map_err(|e| vec![e]),
        }
    }

    /// JSON schema of the parameters.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// Makes an instance whose fields lie at `path` of the configuration.
    pub(crate) fn build(
        &self,
        params: Option<&Map<String, Value>>,
        path: &str,
        cx: &mut BuildCx<'_>,
    ) -> Result<Roles, Vec<ConfigError>> {
        let empty = Map::new();
        (self.build)(params.unwrap_or(&empty), cx).map_err(|errors| {
            let place = |e: BuildError| {
                let dot = if e.field.is_empty() || e.field.starts_with('[') { "" } else { "." };
                ConfigError::new(format!("{path}.parameters{dot}{}", e.field), e.kind, e.message)
            };
            errors.into_iter().map(place).collect()
        })
    }
}
