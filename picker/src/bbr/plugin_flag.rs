//! The flags `--plugin type:name[:json]` of GIE's body-based router, so that the arguments of its chart work.

use bytes::Bytes;
use serde::Deserialize;

use super::fields::{BASE_MODEL_HEADER, Field, MODEL, MODEL_HEADER, header_name};

/// A plugin of GIE's body-based router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// `body-field-to-header`.
    Field(Field),
    /// `base-model-to-header`.
    BaseModel(Bytes),
}

/// The parameters of `body-field-to-header`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FieldParameters {
    field_name: String,
    header_name: String,
}

impl Default for FieldParameters {
    fn default() -> Self {
        Self { field_name: MODEL.to_owned(), header_name: MODEL_HEADER.to_owned() }
    }
}

/// The plugin that `text` describes.
///
/// # Errors
/// When there is no such type, or its parameters are wrong.
pub fn parse(text: &str) -> Result<Plugin, String> {
    let mut parts = text.splitn(3, ':');
    let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if name.is_empty() {
        return Err("must be TYPE:NAME, or TYPE:NAME:JSON with parameters".to_owned());
    }
    let parameters = parts.next().filter(|json| !json.trim().is_empty()).unwrap_or("{}");
    match kind {
        "body-field-to-header" => {
            let read: Result<FieldParameters, _> = serde_json::from_str(parameters);
            let FieldParameters { field_name, header_name: header } =
                read.map_err(|error| format!("the parameters of {name}: {error}"))?;
            if field_name.is_empty() {
                return Err(format!("the parameters of {name}: fieldName must not be empty"));
            }
            Ok(Plugin::Field(Field { name: field_name, header: header_name(&header)? }))
        }
        "base-model-to-header" => header_name(BASE_MODEL_HEADER).map(Plugin::BaseModel),
        other => Err(format!(
            "there is no plugin type {other:?}; there are body-field-to-header and base-model-to-header"
        )),
    }
}

/// A field and its header as `FIELD:HEADER`.
///
/// # Errors
/// When one of them is missing, or the header can't be written.
pub fn field(text: &str) -> Result<Field, String> {
    let (name, header) = text.rsplit_once(':').unwrap_or_default();
    if name.is_empty() {
        return Err("must be FIELD:HEADER".to_owned());
    }
    Ok(Field { name: name.to_owned(), header: header_name(header)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(name: &str, header: &'static str) -> Field {
        Field { name: name.to_owned(), header: Bytes::from_static(header.as_bytes()) }
    }

    #[test]
    fn plugins_are_read_as_the_chart_writes_them() {
        let chart = r#"body-field-to-header:model-extractor:{"fieldName":"model","headerName":"X-Gateway-Model-Name"}"#;
        assert_eq!(parse(chart), Ok(Plugin::Field(to("model", "x-gateway-model-name"))));
        assert_eq!(
            parse("body-field-to-header:plain"),
            Ok(Plugin::Field(to("model", "x-gateway-model-name")))
        );
        let other = r#"body-field-to-header:u:{"fieldName":"user","headerName":"x-user"}"#;
        assert_eq!(parse(other), Ok(Plugin::Field(to("user", "x-user"))));
        let base = Plugin::BaseModel(Bytes::from_static(b"x-gateway-base-model-name"));
        assert_eq!(parse("base-model-to-header:base-model-mapper"), Ok(base.clone()));
        assert_eq!(parse("base-model-to-header:base-model-mapper:{}"), Ok(base));
    }

    #[test]
    fn what_is_wrong_with_a_plugin_is_said() {
        let error = |text: &str| parse(text).unwrap_err();
        assert_eq!(error("body-field-to-header"), "must be TYPE:NAME, or TYPE:NAME:JSON with parameters");
        assert!(error("other:x").contains("there is no plugin type \"other\""));
        assert!(error(r#"body-field-to-header:x:{"field":"a"}"#).contains("unknown field `field`"));
        assert!(error(r#"body-field-to-header:x:{"fieldName":""}"#).contains("must not be empty"));
        assert!(
            error(r#"body-field-to-header:x:{"headerName":"content-length"}"#).contains("content-length")
        );
    }

    #[test]
    fn a_field_and_its_header_stand_on_two_sides_of_a_colon() {
        assert_eq!(field("user:X-User"), Ok(to("user", "x-user")));
        assert_eq!(field("a:b:X-User"), Ok(to("a:b", "x-user")));
        assert!(field("user").is_err() && field(":x").is_err() && field("user:").is_err());
    }
}
