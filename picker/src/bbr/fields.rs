//! The fields of bodies that are written into headers.

use bytes::Bytes;
use http::HeaderName;

/// The field that names the model.
pub const MODEL: &str = "model";
/// The header that the model is written to by default.
pub const MODEL_HEADER: &str = "X-Gateway-Model-Name";
/// The header that its base model is written to by default.
pub const BASE_MODEL_HEADER: &str = "X-Gateway-Base-Model-Name";

/// Headers that are about the message itself: who writes them breaks it.
const OF_THE_MESSAGE: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A field of the top level of a body, and its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name of the field.
    pub name: String,
    /// Name of the header, in lower case.
    pub header: Bytes,
}

/// The fields that are read, and the header of the base model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    fields: Vec<Field>,
    base_model_header: Option<Bytes>,
}

impl Fields {
    /// These fields, and the base model of the field [`MODEL`] if it has a header.
    pub fn new(fields: Vec<Field>, base_model_header: Option<Bytes>) -> Self {
        Self { fields, base_model_header }
    }

    /// The fields that are written.
    pub fn each(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// The header of the base model.
    pub fn base_model_header(&self) -> Option<&Bytes> {
        self.base_model_header.as_ref()
    }

    /// The names of the fields that are read: those of [`Fields::each`] in their order, and then what else is needed.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.fields.iter().map(|field| field.name.as_str()).collect();
        if self.base_model_header.is_some() && !names.contains(&MODEL) {
            names.push(MODEL);
        }
        names
    }

    /// All headers that may be written.
    pub fn headers(&self) -> impl Iterator<Item = &Bytes> {
        self.fields.iter().map(|field| &field.header).chain(&self.base_model_header)
    }
}

/// The name of a header to write, in lower case.
///
/// # Errors
/// When it is none, or one that must be left alone.
pub fn header_name(text: &str) -> Result<Bytes, String> {
    let name = HeaderName::try_from(text).map_err(|_| format!("{text:?} is no name of a header"))?;
    if OF_THE_MESSAGE.contains(&name.as_str()) {
        return Err(format!("the header {text} is about the message itself, and can't be written"));
    }
    Ok(Bytes::copy_from_slice(name.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_for_its_base_too_and_once() {
        let field = |name: &str, header| Field { name: name.to_owned(), header: Bytes::from_static(header) };
        let base = || Some(Bytes::from_static(b"base"));
        let names = |fields: Vec<Field>, base| {
            Fields::new(fields, base).names().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(vec![field("user", b"u"), field("model", b"m")], base()), ["user", "model"]);
        assert_eq!(names(vec![field("user", b"u")], base()), ["user", "model"]);
        assert_eq!(names(vec![field("user", b"u")], None), ["user"]);
    }

    #[test]
    fn a_header_has_a_name_that_breaks_no_message() {
        assert_eq!(header_name("X-Gateway-Model-Name"), Ok(Bytes::from_static(b"x-gateway-model-name")));
        for bad in ["", "a b", ":path", "Host", "content-length", "é"] {
            assert!(header_name(bad).is_err(), "{bad}");
        }
    }
}
