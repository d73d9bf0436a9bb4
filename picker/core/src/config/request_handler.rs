//! How requests are read: the section `requestHandler`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ConfigError;
use super::fields::Fields;

/// How requests are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestHandlerSpec {
    /// The parsers, which say under which paths requests are read, and in which format. Where several have a path that fits,
    /// the longest counts; a body that none has is not read, and its request is routed without it. Without this list every
    /// format is read that the picker knows, and of JSON under other paths what can be told.
    #[serde(default)]
    pub parsers: Vec<ParserRef>,
}

/// A parser.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParserRef {
    /// Name of an instance in `plugins`, or the type of a parser that is not there.
    pub plugin_ref: String,
}

pub(super) fn read(path: &str, value: &Value, errors: &mut Vec<ConfigError>) -> RequestHandlerSpec {
    let Some(mut fields) = Fields::open(path, value, errors) else { return RequestHandlerSpec::default() };
    let parsers = fields.list("parsers", errors, parser);
    fields.close(errors);
    RequestHandlerSpec { parsers }
}

/// A parser at `path`. One that can't be read still holds its place, without a name.
pub(super) fn parser(path: &str, value: &Value, errors: &mut Vec<ConfigError>) -> ParserRef {
    let Some(mut fields) = Fields::open(path, value, errors) else { return ParserRef::default() };
    let plugin_ref = fields.required("pluginRef", errors).unwrap_or_default();
    fields.close(errors);
    ParserRef { plugin_ref }
}
