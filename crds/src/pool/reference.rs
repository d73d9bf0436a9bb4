//! The reference from a pool to its endpoint picker.

use serde_json::{Value, json};

use super::group::PoolGroup;

/// The port that is meant where a v1alpha2 reference gives none.
const DEFAULT_PORT: u16 = 9002;

/// A reference to an endpoint picker, the same for both groups, with their defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PickerRef {
    /// API group of the picker; empty for a Service.
    pub group: String,
    /// Kind of the picker, usually Service.
    pub kind: String,
    /// Name of the picker, in the pool's namespace.
    pub name: String,
    /// Port of the Service; `None` where a v1 reference has none.
    pub port: Option<u16>,
    /// What the gateway does when the picker doesn't answer; `None` in a reference that is to be written and leaves
    /// that to the pool.
    pub failure_mode: Option<String>,
}

impl PickerRef {
    /// A reference to a Service.
    pub fn service<'a>(name: &str, port: u16, failure_mode: impl Into<Option<&'a str>>) -> Self {
        Self {
            group: String::new(),
            kind: "Service".to_owned(),
            name: name.to_owned(),
            port: Some(port),
            failure_mode: failure_mode.into().map(str::to_owned),
        }
    }

    /// Whether it names the same picker as `other`, on the same port, with whatever failure mode.
    pub fn names_same(&self, other: &Self) -> bool {
        (&self.group, &self.kind, &self.name, self.port)
            == (&other.group, &other.kind, &other.name, other.port)
    }

    /// Whether it refers to the Service called `name`, on whatever port.
    pub fn is_service(&self, name: &str) -> bool {
        self.group.is_empty() && self.kind == "Service" && self.name == name
    }

    /// Reads the stored form of a pool of `group`; `None` when it names nothing.
    pub fn read(group: PoolGroup, stored: &Value) -> Option<Self> {
        let text = |field: &str, default: &str| match &stored[field] {
            Value::String(s) => s.clone(),
            _ => default.to_owned(),
        };
        let number = |value: &Value| value.as_u64().and_then(|n| u16::try_from(n).ok());
        let port = match group {
            PoolGroup::V1 => number(&stored["port"]["number"]),
            PoolGroup::V1Alpha2 => Some(number(&stored["portNumber"]).unwrap_or(DEFAULT_PORT)),
        };
        let name = stored["name"].as_str().filter(|name| !name.is_empty())?.to_owned();
        let (kind, failure_mode) = (text("kind", "Service"), Some(text("failureMode", "FailClose")));
        Some(Self { group: text("group", ""), kind, name, port, failure_mode })
    }

    /// The form in which a pool of `group` stores it.
    pub fn write(&self, group: PoolGroup) -> Value {
        let mut stored = json!({"group": self.group, "kind": self.kind, "name": self.name});
        if let Some(mode) = &self.failure_mode {
            stored["failureMode"] = mode.as_str().into();
        }
        match (group, self.port) {
            (PoolGroup::V1, Some(port)) => stored["port"] = json!({"number": port}),
            (PoolGroup::V1Alpha2, Some(port)) => stored["portNumber"] = port.into(),
            (_, None) => {}
        }
        stored
    }
}
