//! The CustomResourceDefinition as files.

use anyhow::{Context as _, Result, ensure};
use kube::CustomResourceExt as _;
use serde_json::{Value, json};

use crate::schema::rule;
use crate::{GROUP, RoutingStrategy, status};

/// Above this, client-side `kubectl apply` and GitOps tools get near the limit of annotations.
const MAX_BYTES: usize = 100 * 1024;

/// The definition of RoutingStrategy as the API server is to have it.
///
/// # Errors
/// When the generated schema has not the shape that this function completes.
pub fn routing_strategy() -> Result<Value> {
    let mut crd = serde_json::to_value(RoutingStrategy::crd())?;
    let schema =
        crd.pointer_mut("/spec/versions/0/schema/openAPIV3Schema").context("the definition has no schema")?;
    tidy(schema);
    schema["x-kubernetes-validations"] = json!([rule(
        "self.metadata.name.size() <= 63",
        "the name of a RoutingStrategy has at most 63 characters, since it becomes a label",
        ""
    )]);
    let spec = schema.pointer_mut("/properties/spec").context("the schema has no spec")?;
    without_defaults_in_lists(spec, false);
    let status = schema.pointer_mut("/properties/status").context("the schema has no status")?;
    status["default"] = status::initial();
    status["description"] = "What became of the strategy.".into();
    let generation = status.pointer_mut("/properties/observedGeneration").context("no observedGeneration")?;
    generation["default"] = (-1).into();
    Ok(crd)
}

/// Takes the defaults out of what is inside of lists, `in_list` or below it. A tool that merges manifests on its side
/// takes a list as one value, so that it would find each list to which the API server adds something changed, and
/// write it again, for ever. What is left out there is so when the object is read.
fn without_defaults_in_lists(schema: &mut Value, in_list: bool) {
    let Value::Object(schema) = schema else { return };
    if in_list {
        schema.remove("default");
    }
    for (name, below) in schema {
        match (name.as_str(), below) {
            ("items", items) => without_defaults_in_lists(items, true),
            ("additionalProperties", values) => without_defaults_in_lists(values, in_list),
            ("properties", Value::Object(fields)) => {
                fields.values_mut().for_each(|field| without_defaults_in_lists(field, in_list));
            }
            _ => {}
        }
    }
}

/// Takes out of a generated schema what the API server warns about or what would let it store more than
/// one form of the same thing: a null is dropped where it is not declared nullable.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                fields.remove("nullable");
            }
            if let Some(Value::Array(choices)) = fields.get_mut("enum") {
                choices.retain(|choice| !choice.is_null());
            }
            if let Some(Value::String(format)) = fields.get("format")
                && (format.starts_with("uint") || format == "double")
            {
                fields.remove("format");
            }
            for bound in ["minimum", "maximum"] {
                if let Some(value) = fields.get_mut(bound)
                    && let Some(whole) = value.as_f64().filter(|f| f.fract() == 0.0)
                {
                    *value = (whole as i64).into();
                }
            }
            // Lines of source code are no lines of text.
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.split("\n\n").map(|p| p.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
            }
            // Of a quantity, whose description is a page.
            if fields.contains_key("x-kubernetes-int-or-string") {
                fields.remove("description");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// File name of the definition.
pub fn file_name() -> String {
    format!("{GROUP}_routingstrategies.yaml")
}

/// The definition as YAML, to be applied as it is.
///
/// # Errors
/// As [`routing_strategy`], and when it has become too large.
pub fn plain() -> Result<String> {
    let yaml = serde_saphyr::to_string(&routing_strategy()?)?;
    ensure!(yaml.len() <= MAX_BYTES, "the definition has {} bytes, more than {MAX_BYTES}", yaml.len());
    Ok(format!("# Written by crdgen.\n{yaml}"))
}

/// The definition as a Helm template: installed if `crds.enabled`, upgraded with the chart, and kept when
/// the chart is uninstalled if `crds.keep`.
///
/// # Errors
/// As [`plain`].
pub fn template() -> Result<String> {
    const MARK: &str = "keep-policy: here";
    let mut crd = routing_strategy()?;
    crd["metadata"]["annotations"] = json!({"keep-policy": "here"});
    let yaml = serde_saphyr::to_string(&crd)?;
    ensure!(!yaml.contains("{{"), "the definition would be read as a template");
    let (before, after) = yaml.split_once(MARK).context("the annotation was not written as expected")?;
    let indent = before.rsplit('\n').next().unwrap_or_default();
    let before = before.strip_suffix(indent).unwrap_or(before).trim_end_matches("annotations:\n").trim_end();
    let outer = &indent[..indent.len() / 2];
    Ok(format!(
        "{{{{- /* Written by crdgen. */}}}}\n{{{{- if .Values.crds.enabled }}}}\n{before}\n{{{{- if .Values.crds.keep \
         }}}}\n{outer}annotations:\n{indent}helm.sh/resource-policy: keep\n{{{{- end }}}}{after}{{{{- end }}}}\n"
    ))
}

#[cfg(test)]
mod tests;
