//! Compiling a routing body to a [`Strategy`]: defaults, references, instances.

use serde_json::{Value, json};

use crate::config::{self, ConfigError, Document, ErrorKind, Errors, Scope};
use crate::plugin::{Building, Registry};
use crate::store::{Staging, StateStore};
use crate::strategy::Strategy;

mod assemble;
mod context;
mod instances;
mod later;
mod models;
mod order;
mod parsers;
mod profiles;
mod retired;
mod scrape;
mod sources;
#[cfg(test)]
mod tests;

/// A strategy that could serve, and what happens to state when it does.
pub struct Compiled {
    /// The strategy.
    pub strategy: Strategy,
    pub(crate) staging: Staging,
}

impl Compiled {
    /// Names of plugin instances whose state starts anew because its shape changed.
    pub fn resets(&self) -> &[String] {
        self.staging.resets()
    }
}

/// The routing of a picker that was given none: queue 2, KV cache 2, prefix 3, as llm-d's.
pub fn default_routing() -> Value {
    json!({
        "plugins": [
            {"type": "queue-scorer"}, {"type": "kv-cache-utilization-scorer"}, {"type": "prefix-cache-scorer"}
        ],
        "schedulingProfiles": [{"name": "default", "plugins": [
            {"pluginRef": "queue-scorer", "weight": 2},
            {"pluginRef": "kv-cache-utilization-scorer", "weight": 2},
            {"pluginRef": "prefix-cache-scorer", "weight": 3},
        ]}],
    })
}

/// Compiles `routing` with the plugins of [`crate::plugins::builtin`], as [`compile_with`] does.
///
/// # Errors
/// As [`compile_with`].
pub fn compile(routing: &Value, scope: Scope, store: &StateStore) -> Result<Compiled, Errors> {
    compile_with(crate::plugins::builtin(), routing, scope, store)
}

/// Compiles `routing` with the plugins of `registry`. State of equal shape is taken over from `store`, which itself is
/// not changed.
///
/// # Errors
/// What is wrong with it (of very many errors the first ones), in the order in which `routing` has its fields: that of the text,
/// when it was read from text.
pub fn compile_with(
    registry: &Registry,
    routing: &Value,
    scope: Scope,
    store: &StateStore,
) -> Result<Compiled, Errors> {
    if scope == Scope::Resource {
        let length = config::length(routing);
        if length > config::MAX_ROUTING {
            let message = format!("has {length} bytes as JSON, more than {}", config::MAX_ROUTING);
            return Err(ConfigError::new("", ErrorKind::Invalid, message).into());
        }
    }
    let mut compiler = context::Compiler::new(registry);
    let body = config::read(routing, scope, &mut compiler.errors, &mut compiler.warnings);
    let mut building = Building::new(store.stage(), profiles::names(&body.routing));
    let models = compiler.models(body.routing.models.as_ref(), &mut building.staging);
    let mut instances = compiler.instances(&body.routing, &mut building);
    compiler.mentions(&body.mentions, &instances);
    let revision = config::revision(routing).into();
    let strategy = compiler.strategy(&body, models, revision, &mut instances, building.layout);
    if scope == Scope::Resource
        && let Some(strategy) = &strategy
    {
        compiler.refuse_files(&strategy.files);
    }
    match strategy {
        Some(mut strategy) if compiler.errors.is_empty() => {
            strategy.warnings = compiler.told_warnings(routing);
            Ok(Compiled { strategy, staging: building.staging })
        }
        _ => Err(config::told(compiler.errors, routing)),
    }
}

/// Reads the text of an EndpointPickerConfig.
///
/// # Errors
/// When it is none: with everything else that is wrong with it, so that it is known all at once.
pub fn read_document(text: &str) -> Result<Document, Errors> {
    Document::parse(text).map_err(|config::Unread { mut errors, routing }| {
        if let Some(routing) = routing
            && let Err(more) = compile(&routing, Scope::File, &StateStore::default())
        {
            errors.0.extend(more.0);
        }
        errors
    })
}
