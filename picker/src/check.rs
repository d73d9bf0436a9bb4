//! The subcommand `picker check`, which compiles strategies offline with the code that serves them.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use picker_core::Strategy;
use picker_core::compile::{compile, read_document};
use picker_core::config::{API_VERSIONS, Errors, Scope};
use picker_core::store::StateStore;
use serde_json::Value;

#[cfg(test)]
mod tests;

const KIND: &str = "EndpointPickerConfig";

/// The exit code when everything compiles.
pub const GOOD: u8 = 0;
/// The exit code when something doesn't compile.
pub const BAD: u8 = 1;
/// The exit code when a file can't be read, or holds nothing to compile.
pub const UNUSABLE: u8 = 2;

/// Checks `files`, writes what is wrong to `out`, and returns the exit code: the worst of all of them.
pub fn run(files: &[PathBuf], out: &mut impl Write) -> u8 {
    files.iter().map(|file| check_file(file, out)).max().unwrap_or(UNUSABLE)
}

fn check_file(file: &Path, out: &mut impl Write) -> u8 {
    let name = file.display().to_string();
    // What can't be written to a closed pipe is not wanted.
    let mut say = |line: String| drop(writeln!(out, "{name}: {line}"));
    let text = match read(file) {
        Ok(text) => text,
        Err(error) => {
            say(format!("cannot be read: {error}"));
            return UNUSABLE;
        }
    };
    let documents: Vec<Value> = match serde_saphyr::from_multiple(&text) {
        Ok(documents) => documents,
        Err(error) => {
            say(format!("no YAML: {error}"));
            return BAD;
        }
    };
    let subjects: Vec<Subject> = documents.into_iter().flat_map(subjects).collect();
    if subjects.is_empty() {
        say("holds no EndpointPickerConfig and no RoutingStrategy".to_owned());
        return UNUSABLE;
    }
    let mut worst = GOOD;
    for subject in subjects {
        let Subject { label, prefix, .. } = &subject;
        match subject.compile() {
            Ok(strategy) => {
                for warning in &strategy.warnings {
                    say(format!("{label}: warning: {}", at(prefix, &warning.path, &warning.message)));
                }
                for file in &strategy.files {
                    let needs = format!("the picker reads the file {}", file.path);
                    say(format!("{label}: {}", at(prefix, &file.field, &needs)));
                }
                say(format!("{label}: ok, revision {}", strategy.revision));
            }
            Err(Errors(errors)) => {
                worst = BAD;
                for error in errors {
                    say(format!("{label}: {}", at(prefix, &error.path, &error.message)));
                }
            }
        }
    }
    worst
}

/// `message` with the whole path of the field at `path` of a routing that stands at `prefix`.
fn at(prefix: &str, path: &str, message: &str) -> String {
    let dot = if prefix.is_empty() || path.is_empty() || path.starts_with('[') { "" } else { "." };
    let path = format!("{prefix}{dot}{path}");
    let colon = if path.is_empty() { "" } else { ": " };
    format!("{path}{colon}{message}")
}

fn read(file: &Path) -> std::io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}

/// A routing to compile.
struct Subject {
    /// Its name in messages.
    label: String,
    /// The field path of its routing body, before the paths of errors.
    prefix: String,
    body: Result<Value, Errors>,
    scope: Scope,
}

impl Subject {
    /// The strategy, if it compiles.
    fn compile(&self) -> Result<Strategy, Errors> {
        let body = self.body.as_ref().map_err(Clone::clone)?;
        Ok(compile(body, self.scope, &StateStore::default())?.strategy)
    }
}

/// The routings in a document.
fn subjects(document: Value) -> Vec<Subject> {
    let name = document["metadata"]["name"].as_str().unwrap_or("").to_owned();
    match document["kind"].as_str() {
        Some("RoutingStrategy") => vec![Subject {
            label: format!("RoutingStrategy {name}"),
            prefix: "spec.routing".to_owned(),
            // The API server fills in the default where there is none.
            body: Ok(match &document["spec"]["routing"] {
                Value::Null => picker_core::compile::default_routing(),
                routing => routing.clone(),
            }),
            scope: Scope::Resource,
        }],
        Some(KIND) => vec![config(KIND.to_owned(), &document.to_string())],
        Some("ConfigMap") => {
            let entries = document["data"].as_object().into_iter().flatten();
            let texts = entries.filter_map(|(key, text)| Some((key, text.as_str()?)));
            let configs = texts.filter(|(_, text)| is_config(text));
            configs.map(|(key, text)| config(format!("ConfigMap {name}, {key}"), text)).collect()
        }
        Some("List") => {
            document["items"].as_array().cloned().into_iter().flatten().flat_map(subjects).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a text in a ConfigMap is an EndpointPickerConfig, or was to become one: whoever forgot its kind, or
/// broke its YAML, wants to know.
fn is_config(text: &str) -> bool {
    let mentioned = text.contains(KIND);
    match serde_saphyr::from_str::<Value>(text) {
        Ok(Value::Object(fields)) => match fields.get("kind") {
            Some(kind) => kind == KIND,
            None => {
                mentioned || fields.get("apiVersion").is_some_and(|v| API_VERSIONS.iter().any(|a| v == a))
            }
        },
        // Prose may mention it.
        Ok(_) => false,
        Err(_) => mentioned,
    }
}

fn config(label: String, text: &str) -> Subject {
    let body = read_document(text).map(|document| document.routing);
    Subject { label, prefix: String::new(), body, scope: Scope::File }
}
