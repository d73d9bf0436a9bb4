//! What a compilation gathers: errors and warnings, with their paths.

use serde_json::Value;

use crate::config::{self, ConfigError, ErrorKind, Warning};
use crate::plugin::Registry;
use crate::strategy::NeededFile;

/// One compilation.
pub(super) struct Compiler<'a> {
    pub registry: &'a Registry,
    pub errors: Vec<ConfigError>,
    pub warnings: Vec<ConfigError>,
}

impl<'a> Compiler<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, errors: Vec::new(), warnings: Vec::new() }
    }

    pub fn fail(&mut self, path: impl Into<String>, kind: ErrorKind, message: impl Into<String>) {
        self.errors.push(ConfigError::new(path, kind, message));
    }

    pub fn warn(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(ConfigError::new(path, ErrorKind::Invalid, message));
    }

    /// The warnings, in the order of the text of `routing`.
    pub fn told_warnings(self, routing: &Value) -> Box<[Warning]> {
        config::told(self.warnings, routing).0.into_iter().map(Warning::from).collect()
    }

    /// Who writes a strategy of the cluster may not read files of the pickers' pods.
    pub fn refuse_files(&mut self, files: &[NeededFile]) {
        for file in files {
            let message =
                "names a file of the picker's pod, which only a configuration file may do; take it out";
            self.fail(&file.field, ErrorKind::Invalid, message);
        }
    }

    /// No plugin is called `name`; `names` are those there are.
    pub fn dangling<'n>(
        &mut self,
        path: impl Into<String>,
        name: &str,
        names: impl Iterator<Item = &'n str>,
    ) {
        let names: Vec<_> = names.collect();
        let no_plugins = if names.is_empty() { "; there are no plugins" } else { "" };
        let message = format!("no plugin is called {name:?}{no_plugins}");
        let there_are = ("there are", &*names);
        self.errors.push(ConfigError::unknown(path, ErrorKind::UnknownRef, message, name, there_are));
    }
}
