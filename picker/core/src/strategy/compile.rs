//! From a routing body to a [`Strategy`]: defaults, references, instances.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Needs, Strategy};
use crate::config::{self, ConfigError, ErrorKind, Errors, PluginSpec, Scope};
use crate::plugin::{ProfileHandler, Role};
use crate::plugins;
use crate::plugins::discover::FileDiscovery;
use crate::store::{Staging, StateStore};

use instances::{Found, Instances};

mod instances;
mod profiles;

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

/// Compiles `routing`. State of equal shape is taken over from `store`, which itself is not changed.
///
/// # Errors
/// What is wrong with it (of very many errors the first ones), in the order in which `routing` has its fields: that of the text,
/// when it was read from text.
pub fn compile(routing: &Value, scope: Scope, store: &StateStore) -> Result<Compiled, Errors> {
    if scope == Scope::Resource {
        let length = config::length(routing);
        if length > config::MAX_ROUTING {
            let message = format!("has {length} bytes as JSON, more than {}", config::MAX_ROUTING);
            return Err(ConfigError::new("", ErrorKind::Invalid, message).into());
        }
    }
    let mut errors = Vec::new();
    let body = config::read(routing, scope, &mut errors);
    let mut staging = store.stage();
    let strategy = {
        let mut compiler = Compiler { errors: &mut errors, staging: &mut staging };
        compiler.strategy(&body, config::revision(routing))
    };
    match strategy {
        Some(strategy) if errors.is_empty() => Ok(Compiled { strategy, staging }),
        _ => Err(config::told(errors, routing)),
    }
}

struct Compiler<'a> {
    errors: &'a mut Vec<ConfigError>,
    staging: &'a mut Staging,
}

impl Compiler<'_> {
    /// `None` only when there are errors.
    fn strategy(&mut self, body: &config::Body, revision: String) -> Option<Strategy> {
        let specs = &body.routing.plugins;
        let mut instances = self.instances(specs);
        let profiles = self.profiles(&body.routing, &mut instances);
        let handler = self.handler(specs, &mut instances, profiles.len());
        let discovery = body.discovery.as_ref().and_then(|name| self.discovery(name, &instances));
        let used = instances.used();
        let (producers, needs) = instances.producers();
        Some(Strategy {
            revision,
            needs: used.iter().fold(needs, |all, needs| all | *needs),
            discovery,
            profiles: profiles.into(),
            handler: handler?,
            producers: producers.into(),
        })
    }

    /// The one profile handler among the plugins, or the default one.
    fn handler(
        &mut self,
        specs: &[PluginSpec],
        instances: &mut Instances,
        profiles: usize,
    ) -> Option<Arc<dyn ProfileHandler>> {
        let is_handler = |spec: &PluginSpec| {
            plugins::find(&spec.kind).is_some_and(|r| r.roles.contains(&Role::ProfileHandler))
        };
        let mut declared = (0..specs.len()).filter(|i| is_handler(&specs[*i]));
        let first = declared.next();
        for i in declared {
            let message = format!("a second profile handler, {:?}; there is one", specs[i].name());
            self.fail(format!("plugins[{i}].type"), ErrorKind::Duplicate, message);
        }
        let (path, handler) = match first {
            Some(i) => (format!("plugins[{i}].type"), instances.take_part(i)?.profile_handler.clone()?),
            None => ("schedulingProfiles".to_owned(), plugins::profile::default()),
        };
        if let Err(message) = handler.accepts(profiles) {
            self.fail(path, ErrorKind::Invalid, message);
        }
        Some(handler)
    }

    fn discovery(&mut self, name: &str, instances: &Instances) -> Option<FileDiscovery> {
        let path = "dataLayer.discovery.pluginRef";
        match instances.find(name) {
            Found::Made(_, roles) if roles.discovery.is_some() => return roles.discovery.clone(),
            Found::Made(..) => {
                let message = format!("{name:?} finds no endpoints; name a plugin of type file-discovery");
                self.fail(path, ErrorKind::Invalid, message);
            }
            Found::Broken => {}
            Found::Nothing => self.dangling(path, name, instances),
        }
        None
    }

    fn dangling(&mut self, path: impl Into<String>, name: &str, instances: &Instances) {
        let names: Vec<_> = instances.names().collect();
        let there_are = if names.is_empty() { "no plugins".to_owned() } else { names.join(", ") };
        let message = format!("no plugin is called {name:?}; there are: {there_are}");
        self.fail(path, ErrorKind::UnknownRef, message);
    }

    fn fail(&mut self, path: impl Into<String>, kind: ErrorKind, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path, kind, message));
    }
}
