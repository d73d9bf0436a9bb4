//! The EndpointPickerConfig: the form in which a strategy is written, in a file or in a
//! RoutingStrategy. Reading is strict and tells every error, with its field path.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod document;
mod error;
mod explain;
mod fields;
mod gates;
mod health;
mod models;
mod nearest;
mod order;
mod read;
mod request_handler;
#[cfg(test)]
mod tests;
mod trust;
mod without_effect;

pub use document::{API_VERSIONS, Document, MAX_ROUTING, Unread, revision};
pub use error::{ConfigError, ErrorKind, Errors, Warning};
pub use explain::{ExplainSpec, Explained};
pub use health::HealthSpec;
pub use models::{
    ModelHeaderSpec, ModelMatchSpec, ModelRuleSpec, ModelTargetSpec, ModelsSpec, StickySpec, UnknownSpec,
};
pub use read::Scope;
pub use request_handler::{ParserRef, RequestHandlerSpec};
pub use trust::TrustSpec;

pub(crate) use document::length;
pub(crate) use order::{MAX_TOLD, told};
pub(crate) use read::{Body, DataLayer, SourceSpec, read};
pub(crate) use without_effect::Mention;

/// How requests are routed: plugins, and the profiles that put them to use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Routing {
    /// The plugin instances. Which types there are, and their parameters, says `picker plugins`.
    #[serde(default)]
    pub plugins: Vec<PluginSpec>,
    /// How filters, scorers and a picker work together. Without any, one profile named `default` is
    /// made of all filters, scorers and the picker in `plugins`, in their order.
    #[serde(default)]
    pub scheduling_profiles: Vec<ProfileSpec>,
    /// Passive health: endpoints that refuse connections, or answer requests at once with an error of the server, get no
    /// requests for a while. It works for every strategy, without this section too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// Which decisions a picker explains, for those who ask why a request went where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<ExplainSpec>,
    /// Under which models requests go on to model servers, and what becomes of requests for models that no server has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelsSpec>,
    /// Which request headers are believed that say how a request is to be treated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustSpec>,
    /// How requests are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_handler: Option<RequestHandlerSpec>,
}

/// One plugin instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginSpec {
    /// Type of the plugin, for example `queue-scorer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name by which profiles refer to this instance; unique. Default: the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Parameters of the type. An unknown one is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Map<String, Value>>,
}

impl PluginSpec {
    /// An instance of `kind` with default parameters, named like its type.
    pub fn of(kind: &str) -> Self {
        Self { kind: kind.to_owned(), name: None, parameters: None }
    }

    /// The name that references use.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.kind)
    }
}

/// A scheduling profile: filters in order, then all scorers by weight, then one picker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileSpec {
    /// Name of the profile; unique.
    pub name: String,
    /// The plugins that take part. Filters work in this order; without a picker among them,
    /// `max-score-picker` picks.
    #[serde(default)]
    pub plugins: Vec<PluginRef>,
}

/// A plugin's part in a profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginRef {
    /// Name of an instance in `plugins`.
    pub plugin_ref: String,
    /// For scorers: how much the score counts. Scores lie between 0 and 1, and weights are not
    /// normalised; with a negative one a scorer speaks against what it scores high. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
}
