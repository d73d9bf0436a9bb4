//! From a tree of values to [`Routing`], strictly, with every error.

use serde_json::Value;

use super::explain::{ExplainSpec, Explained};
use super::fields::{Fields, wrong_type};
use super::health::HealthSpec;
use super::trust::TrustSpec;
use super::without_effect::{self, Mention};
use super::{
    ConfigError, ErrorKind, PluginRef, PluginSpec, ProfileSpec, RequestHandlerSpec, Routing, gates, models,
    request_handler,
};
use crate::health::Settings;
use crate::trust::Trust;

/// Where a routing body comes from, which decides what it may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `spec.routing` of a RoutingStrategy: the endpoints are those of its pools.
    Resource,
    /// An EndpointPickerConfig of its own: may name a source of endpoints.
    File,
}

/// What a body says.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub routing: Routing,
    pub data_layer: DataLayer,
    pub health: Settings,
    /// Which decisions are explained, and to whom.
    pub explained: Explained,
    /// Which request headers are believed.
    pub trust: Trust,
    /// Whether the only parser stands at its former place, `parser`.
    pub former_parser: bool,
    /// Plugins that sections without effect name.
    pub mentions: Vec<Mention>,
}

/// Where a picker's knowledge of endpoints comes from.
#[derive(Debug, Default)]
pub(crate) struct DataLayer {
    /// The plugin that finds endpoints, if one is named.
    pub discovery: Option<String>,
    /// Whether a source and an extractor of metrics are there that nobody wrote down; they are unless this says no.
    pub inject_defaults: Option<bool>,
    /// The sources that are written down.
    pub sources: Vec<SourceSpec>,
}

/// A source of data about endpoints.
#[derive(Debug, Default)]
pub(crate) struct SourceSpec {
    /// Name of the instance in `plugins`.
    pub plugin_ref: String,
    /// Names of the instances that take their figures from it.
    pub extractors: Vec<String>,
}

/// Reads a body, adding to `errors` all that is wrong with its form, and to `warnings` what has another form now. What
/// could be read is returned, so that later checks find their errors too.
pub(crate) fn read(
    value: &Value,
    scope: Scope,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) -> Body {
    let mut body = Body::default();
    // The API server lets no text through in the place of a resource's routing. Where there is one, whoever read the
    // resource put it there: it says why the routing was not read.
    if let (Scope::Resource, Value::String(why)) = (scope, value) {
        errors.push(ConfigError::new("", ErrorKind::Invalid, why.as_str()));
        return body;
    }
    let Some(mut fields) = Fields::open("", value, errors) else { return body };
    body.routing.plugins = fields.list("plugins", errors, plugin);
    body.routing.scheduling_profiles = fields.list("schedulingProfiles", errors, profile);
    if let Some(section) = fields.take("health").filter(|section| !section.is_null()) {
        let spec = health(section, errors);
        body.health = spec.settings(errors);
        body.routing.health = Some(spec);
    }
    if let Some(section) = fields.take("explain").filter(|section| !section.is_null()) {
        let spec = explain(section, errors);
        body.explained = spec.explained(errors);
        body.routing.explain = Some(spec);
    }
    if let Some(section) = fields.take("models").filter(|section| !section.is_null()) {
        body.routing.models = Some(models::read(section, errors));
    }
    if let Some(section) = fields.take("trust").filter(|section| !section.is_null()) {
        let spec = TrustSpec::read(section, errors);
        body.trust = spec.trust();
        if body.trust.slo {
            let message = "has no effect: no plugin of this release reads these headers; take it out";
            warnings.push(ConfigError::new("trust.slo", ErrorKind::Invalid, message));
        }
        body.routing.trust = Some(spec);
    }
    if let Some(section) = fields.take("requestHandler").filter(|section| !section.is_null()) {
        body.routing.request_handler = Some(request_handler::read("requestHandler", section, errors));
    }
    if scope == Scope::File {
        fields.list("featureGates", errors, |path, gate, errors| gates::read(path, gate, errors, warnings));
        let layer = fields.take("dataLayer");
        if let Some(layer) = layer {
            body.data_layer = data_layer("dataLayer", layer, errors, warnings);
        }
        // Its name until 1.4 of the Gateway API Inference Extension.
        if layer.is_none()
            && let Some(former) = fields.take_former("data")
        {
            let message = "is the former name of dataLayer; write that";
            warnings.push(ConfigError::new("data", ErrorKind::Invalid, message));
            body.data_layer = data_layer("data", former, errors, warnings);
        }
        // Its place until 0.8 of llm-d's router.
        if body.routing.request_handler.is_none()
            && let Some(former) = fields.take_former("parser").filter(|former| !former.is_null())
        {
            let message = "is the former place of a parser; list it under requestHandler.parsers";
            warnings.push(ConfigError::new("parser", ErrorKind::Invalid, message));
            let parsers = vec![request_handler::parser("parser", former, errors)];
            (body.routing.request_handler, body.former_parser) = (Some(RequestHandlerSpec { parsers }), true);
        }
        body.mentions = without_effect::sections(&mut fields, errors, warnings);
    }
    fields.close(errors);
    body
}

fn health(value: &Value, errors: &mut Vec<ConfigError>) -> HealthSpec {
    let Some(mut fields) = Fields::open("health", value, errors) else { return HealthSpec::default() };
    let spec = HealthSpec {
        enabled: fields.flag("enabled", errors),
        base_ejection_time: fields.duration("baseEjectionTime", errors),
        max_ejection_time: fields.duration("maxEjectionTime", errors),
        ejection_multiplier: fields.integer("ejectionMultiplier", errors),
        max_ejection_percent: fields.integer("maxEjectionPercent", errors),
        fast_failure: fields.duration("fastFailure", errors),
    };
    fields.close(errors);
    spec
}

fn explain(value: &Value, errors: &mut Vec<ConfigError>) -> ExplainSpec {
    let Some(mut fields) = Fields::open("explain", value, errors) else { return ExplainSpec::default() };
    let spec = ExplainSpec {
        sample_percent: fields.number("samplePercent", errors),
        metadata: fields.flag("metadata", errors),
        response_header: fields.flag("responseHeader", errors),
        endpoint_scores: fields.flag("endpointScores", errors),
    };
    fields.close(errors);
    spec
}

fn data_layer(
    path: &str,
    value: &Value,
    errors: &mut Vec<ConfigError>,
    warnings: &mut Vec<ConfigError>,
) -> DataLayer {
    let mut layer = DataLayer::default();
    let Some(mut fields) = Fields::open(path, value, errors) else { return layer };
    if let Some(discovery) = fields.take("discovery")
        && let Some(mut discovery) = Fields::open(&fields.at("discovery"), discovery, errors)
    {
        layer.discovery = discovery.required("pluginRef", errors);
        discovery.close(errors);
    }
    layer.inject_defaults = fields.flag("injectDefaults", errors);
    layer.sources = fields.list("sources", errors, source);
    without_effect::of_data_layer(&mut fields, errors, warnings);
    fields.close(errors);
    layer
}

fn source(path: &str, value: &Value, errors: &mut Vec<ConfigError>) -> SourceSpec {
    let Some(mut fields) = Fields::open(path, value, errors) else { return SourceSpec::default() };
    let plugin_ref = fields.required("pluginRef", errors).unwrap_or_default();
    let extractors = fields.list("extractors", errors, |path, value, errors| {
        let Some(mut fields) = Fields::open(path, value, errors) else { return String::new() };
        let name = fields.required("pluginRef", errors).unwrap_or_default();
        fields.close(errors);
        name
    });
    fields.close(errors);
    SourceSpec { plugin_ref, extractors }
}

// An entry that can't be read still holds its place, so that the paths of later ones are right. Its
// names are empty, which nothing refers to and no check complains of again.

fn plugin(path: &str, value: &Value, errors: &mut Vec<ConfigError>) -> PluginSpec {
    let Some(mut fields) = Fields::open(path, value, errors) else { return PluginSpec::of("") };
    let kind = fields.required("type", errors).unwrap_or_default();
    let name = fields.string("name", errors);
    let parameters = match fields.take("parameters") {
        None | Some(Value::Null) => None,
        Some(Value::Object(map)) => Some(map.clone()),
        Some(other) => {
            errors.push(wrong_type(&fields.at("parameters"), "a mapping", other));
            None
        }
    };
    fields.close(errors);
    PluginSpec { kind, name, parameters }
}

fn profile(path: &str, value: &Value, errors: &mut Vec<ConfigError>) -> ProfileSpec {
    let Some(mut fields) = Fields::open(path, value, errors) else {
        return ProfileSpec { name: String::new(), plugins: Vec::new() };
    };
    let name = fields.required("name", errors).unwrap_or_default();
    let plugins = fields.list("plugins", errors, reference);
    fields.close(errors);
    ProfileSpec { name, plugins }
}

fn reference(path: &str, value: &Value, errors: &mut Vec<ConfigError>) -> PluginRef {
    let Some(mut fields) = Fields::open(path, value, errors) else {
        return PluginRef { plugin_ref: String::new(), weight: None };
    };
    let plugin_ref = fields.required("pluginRef", errors).unwrap_or_default();
    let weight = fields.number("weight", errors);
    fields.close(errors);
    PluginRef { plugin_ref, weight }
}
