//! The fields of a JSON object as text, so that each can be decoded, replaced or left out by itself.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The fields of an object, each as its text.
pub type RawFields = BTreeMap<String, Box<RawValue>>;

/// The fields of an object; `None` when the text is no object.
pub fn split(text: &str) -> Option<RawFields> {
    serde_json::from_str(text).ok()
}

/// The text of the object that has these fields.
pub fn join(fields: &RawFields) -> Option<Box<RawValue>> {
    RawValue::from_string(serde_json::to_string(fields).ok()?).ok()
}

/// An object's text without `metadata.managedFields`, and the text of these. Any other text is returned as it is.
pub fn without_managed_fields(text: &str) -> (String, Option<Box<RawValue>>) {
    let cut = || {
        let mut object = split(text)?;
        let mut metadata = split(object.get("metadata")?.get())?;
        let managed = metadata.remove("managedFields")?;
        object.insert("metadata".to_owned(), join(&metadata)?);
        Some((serde_json::to_string(&object).ok()?, managed))
    };
    match cut() {
        Some((text, managed)) => (text, Some(managed)),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::deep;

    #[test]
    fn managed_fields_are_cut_out_however_deep() {
        let object = json!({"metadata": {"managedFields": [deep()], "name": "a"}, "spec": {"x": 1}});
        let (text, managed) = without_managed_fields(&object.to_string());
        assert_eq!(text, r#"{"metadata":{"name":"a"},"spec":{"x":1}}"#);
        assert_eq!(managed.unwrap().get(), json!([deep()]).to_string());
    }

    #[test]
    fn other_texts_stay() {
        for text in ["[1]", "{}", r#"{"metadata":{"name":"a"}}"#, r#"{"metadata":5}"#] {
            let (same, managed) = without_managed_fields(text);
            assert_eq!((same.as_str(), managed.is_none()), (text, true));
        }
    }
}
