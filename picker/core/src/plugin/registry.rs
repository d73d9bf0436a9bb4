//! The plugin types that configurations may name.

use std::borrow::Cow;

use schemars::Schema;
use serde_json::{Map, Value};

use super::build::BuildCx;
use super::error::BuildError;
use super::params;
use super::{Origin, Plugin, Role, Roles, Stability, Task};
use crate::config::ConfigError;

/// A plugin type in a [`Registry`]: what a [`Plugin`] says of itself, without its Rust type.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The type string.
    pub kind: &'static str,
    /// Former names of the type.
    pub aliases: &'static [&'static str],
    /// What to write instead of a type that is taken and should no longer be written.
    pub deprecated: Option<&'static str>,
    /// What it is for.
    pub task: Task,
    /// Whose configurations name it.
    pub origin: Origin,
    /// How settled it is.
    pub stability: Stability,
    /// One sentence.
    pub summary: &'static str,
    /// The score as a formula; empty where there is none.
    pub formula: &'static str,
    /// The roles.
    pub roles: &'static [Role],
    /// Request headers that it writes for model servers.
    pub writes: &'static [&'static str],
    /// Parameters that are taken without effect.
    pub ignored: &'static [&'static str],
    /// For a type of which a configuration has at most one plugin: what a second one would do.
    pub only_one: Option<&'static str>,
    /// A routing that uses it, as YAML.
    pub sample: &'static str,
    schema: fn() -> Schema,
    build: Build,
}

type Build = fn(&Map<String, Value>, &mut BuildCx<'_>) -> Result<Roles, Vec<BuildError>>;

impl Registration {
    /// The entry for `P`.
    pub const fn of<P: Plugin>() -> Self {
        Self {
            kind: P::TYPE,
            aliases: P::ALIASES,
            deprecated: P::DEPRECATED,
            task: P::TASK,
            origin: P::ORIGIN,
            stability: P::STABILITY,
            summary: P::SUMMARY,
            formula: P::FORMULA,
            roles: P::ROLES,
            writes: P::WRITES,
            ignored: P::IGNORED,
            only_one: P::ONLY_ONE,
            sample: P::SAMPLE,
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
        let mut params = params.map_or_else(|| Cow::Owned(Map::new()), Cow::Borrowed);
        for &name in self.ignored.iter().filter(|name| params.contains_key(**name)).collect::<Vec<_>>() {
            params.to_mut().shift_remove(name);
            cx.warn(name, "has no effect; take it out");
        }
        (self.build)(&params, cx).map_err(|errors| errors.into_iter().map(|error| error.at(path)).collect())
    }
}

/// The plugin types that configurations may name. [`crate::plugins::builtin`] has those of this crate; a program may
/// add its own.
#[derive(Clone, Default)]
pub struct Registry(Vec<Registration>);

impl Registry {
    /// The same with another type. One of a name that is there already takes its place.
    #[must_use]
    pub fn with(mut self, registration: Registration) -> Self {
        self.0.retain(|other| other.kind != registration.kind);
        self.0.push(registration);
        self
    }

    /// All types, in the order in which they were added.
    pub fn all(&self) -> &[Registration] {
        &self.0
    }

    /// The type called `kind`, now or formerly.
    pub fn find(&self, kind: &str) -> Option<&Registration> {
        let now = self.0.iter().find(|r| r.kind == kind);
        now.or_else(|| self.0.iter().find(|r| r.aliases.contains(&kind)))
    }

    /// The names of all types.
    pub fn types(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|r| r.kind)
    }

    /// The request headers that the types write for model servers, each once.
    pub fn written_headers(&self) -> Vec<&'static str> {
        let mut headers: Vec<_> = self.0.iter().flat_map(|r| r.writes).copied().collect();
        headers.sort_unstable();
        headers.dedup();
        headers
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.types()).finish()
    }
}

impl Extend<Registration> for Registry {
    fn extend<I: IntoIterator<Item = Registration>>(&mut self, registrations: I) {
        for registration in registrations {
            self.0.retain(|other| other.kind != registration.kind);
            self.0.push(registration);
        }
    }
}
