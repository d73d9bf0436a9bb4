//! The trait of readers that decode an object of one kind from its text, and leave out what can't be decoded.

use kube::Resource;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;

use crate::raw_fields::{join, split, without_managed_fields};

/// A value that is read from the text of an object of one kind.
pub trait ReadPartial: Sized {
    /// The kind as the API server calls it.
    type Kind: Resource;

    /// Reads an object.
    ///
    /// # Errors
    /// Why it can't be read.
    fn read(text: &str) -> Result<Self, String>;
}

/// Decodes the whole text as a `T`.
///
/// # Errors
/// Why it is none.
pub fn decode<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

impl ReadPartial for DynamicObject {
    type Kind = Self;

    /// The object without its managed fields; where that can't be read, its metadata alone.
    fn read(text: &str) -> Result<Self, String> {
        let (text, _) = without_managed_fields(text);
        decode(&text).or_else(|why| {
            let metadata = || {
                let mut object = split(&text)?;
                object.retain(|name, _| ["apiVersion", "kind", "metadata"].contains(&name.as_str()));
                serde_json::from_str(join(&object)?.get()).ok()
            };
            metadata().ok_or(why)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::deep;

    #[test]
    fn an_object_is_read_without_its_managed_fields() {
        let object = json!({"metadata": {"name": "a", "managedFields": [deep()]}, "spec": {"replicas": 2}});
        let read = DynamicObject::read(&object.to_string()).unwrap();
        assert_eq!((read.metadata.name.as_deref(), read.data), (Some("a"), json!({"spec": {"replicas": 2}})));
    }

    #[test]
    fn of_an_object_that_is_too_deep_the_metadata_remain() {
        let object = json!({"metadata": {"name": "a"}, "data": deep()});
        let read = DynamicObject::read(&object.to_string()).unwrap();
        assert_eq!((read.metadata.name.as_deref(), read.data), (Some("a"), json!({})));
        assert_eq!(DynamicObject::read("[1]").map_err(|error| error.is_empty()), Err(false));
        assert!(decode::<Value>("{").unwrap_err().starts_with("EOF while parsing an object"));
    }
}
