//! From a tree of values to [`Routing`], strictly, with every error.

use serde_json::{Map, Value};

use super::health::HealthSpec;
use super::{ConfigError, ErrorKind, PluginRef, PluginSpec, ProfileSpec, Routing, gates};
use crate::duration;
use crate::health::Settings;

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
    let Some(mut fields) = Fields::open("", value, errors) else { return body };
    body.routing.plugins = fields.list("plugins", errors, plugin);
    body.routing.scheduling_profiles = fields.list("schedulingProfiles", errors, profile);
    if let Some(section) = fields.take("health").filter(|section| !section.is_null()) {
        let spec = health(section, errors);
        body.health = spec.settings(errors);
        body.routing.health = Some(spec);
    }
    if scope == Scope::File {
        fields.list("featureGates", errors, |path, gate, errors| gates::read(path, gate, errors, warnings));
        let layer = fields.take("dataLayer");
        if let Some(layer) = layer {
            body.data_layer = data_layer("dataLayer", layer, errors);
        }
        // Its name until 1.4 of the Gateway API Inference Extension.
        if layer.is_none()
            && let Some(former) = fields.take_former("data")
        {
            let message = "is the former name of dataLayer; write that";
            warnings.push(ConfigError::new("data", ErrorKind::Invalid, message));
            body.data_layer = data_layer("data", former, errors);
        }
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

fn data_layer(path: &str, value: &Value, errors: &mut Vec<ConfigError>) -> DataLayer {
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
    let weight = match fields.take("weight") {
        None | Some(Value::Null) => None,
        Some(Value::Number(n)) => n.as_f64(),
        Some(other) => {
            errors.push(wrong_type(&fields.at("weight"), "a number", other));
            None
        }
    };
    fields.close(errors);
    PluginRef { plugin_ref, weight }
}

/// The fields of one mapping that have not been asked for yet.
struct Fields<'a> {
    path: String,
    rest: Vec<(&'a String, &'a Value)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn open(path: &str, value: &'a Value, errors: &mut Vec<ConfigError>) -> Option<Self> {
        let map: &Map<String, Value> = match value {
            Value::Object(map) => map,
            other => {
                errors.push(wrong_type(path, "a mapping", other));
                return None;
            }
        };
        Some(Self { path: path.to_owned(), rest: map.iter().collect(), known: Vec::new() })
    }

    fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn take(&mut self, name: &'static str) -> Option<&'a Value> {
        self.known.push(name);
        let found = self.rest.iter().position(|(n, _)| *n == name)?;
        Some(self.rest.remove(found).1)
    }

    /// The field that was called `name` once, which nobody is told to write.
    fn take_former(&mut self, name: &str) -> Option<&'a Value> {
        let found = self.rest.iter().position(|(n, _)| *n == name)?;
        Some(self.rest.remove(found).1)
    }

    fn string(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<String> {
        match self.take(name)? {
            Value::Null => None,
            Value::String(s) if !s.is_empty() => Some(s.clone()),
            Value::String(_) => {
                errors.push(ConfigError::new(self.at(name), ErrorKind::Invalid, "must not be empty"));
                None
            }
            other => {
                errors.push(wrong_type(&self.at(name), "a string", other));
                None
            }
        }
    }

    fn flag(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<bool> {
        match self.take(name)? {
            Value::Null => None,
            Value::Bool(flag) => Some(*flag),
            other => {
                errors.push(wrong_type(&self.at(name), "true or false", other));
                None
            }
        }
    }

    /// A whole number of any size; what is too large for `u32` is as good as its largest.
    fn integer(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<u32> {
        match self.take(name)? {
            Value::Null => None,
            // The API server may store 5.0 for 5.
            Value::Number(n) if n.as_f64().is_some_and(|n| n >= 0.0 && n.fract() == 0.0) => {
                n.as_f64().map(|n| n as u32)
            }
            other => {
                errors.push(wrong_type(&self.at(name), "a whole number from 0", other));
                None
            }
        }
    }

    /// A text that is a duration.
    fn duration(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<String> {
        let text = self.string(name, errors)?;
        match duration::parse(&text) {
            Ok(_) => Some(text),
            Err(message) => {
                errors.push(ConfigError::new(self.at(name), ErrorKind::Invalid, message));
                None
            }
        }
    }

    fn required(&mut self, name: &'static str, errors: &mut Vec<ConfigError>) -> Option<String> {
        let before = errors.len();
        let value = self.string(name, errors);
        if value.is_none() && errors.len() == before {
            errors.push(ConfigError::new(self.at(name), ErrorKind::Missing, "is required"));
        }
        value
    }

    fn list<T>(
        &mut self,
        name: &'static str,
        errors: &mut Vec<ConfigError>,
        mut item: impl FnMut(&str, &Value, &mut Vec<ConfigError>) -> T,
    ) -> Vec<T> {
        let path = self.at(name);
        match self.take(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(i, value)| item(&format!("{path}[{i}]"), value, errors))
                .collect(),
            Some(other) => {
                errors.push(wrong_type(&path, "a list", other));
                Vec::new()
            }
        }
    }

    fn close(self, errors: &mut Vec<ConfigError>) {
        for (name, _) in &self.rest {
            let (message, known) = ("unknown field".to_owned(), ("known here", &*self.known));
            errors.push(ConfigError::unknown(self.at(name), ErrorKind::UnknownField, message, name, known));
        }
    }
}

fn wrong_type(path: &str, wanted: &str, found: &Value) -> ConfigError {
    let is = match found {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        plain => plain.to_string(),
    };
    ConfigError::new(path, ErrorKind::Invalid, format!("must be {wanted}, is {is}"))
}
