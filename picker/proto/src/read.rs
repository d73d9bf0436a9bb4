//! Reading what a gateway sent.

use bytes::Bytes;

use crate::{Fields, HeaderMap, HeaderValue, HttpHeaders, field_value};

impl HeaderValue {
    /// The value, wherever the gateway put it: `raw_value` comes first.
    pub fn bytes(&self) -> &Bytes {
        if self.raw_value.is_empty() { &self.value } else { &self.raw_value }
    }

    /// The name, and the value as [`bytes`](Self::bytes) finds it.
    pub fn into_parts(self) -> (Bytes, Bytes) {
        (self.key, if self.raw_value.is_empty() { self.value } else { self.raw_value })
    }
}

impl HeaderMap {
    /// The first value of the header `name` (in lower case), if there is one.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().find(|h| h.key == name.as_bytes()).map(HeaderValue::bytes)
    }

    /// As [`get`](Self::get), if the value is UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|v| std::str::from_utf8(v).ok())
    }
}

impl HttpHeaders {
    /// The first value of the header `name` (in lower case), if there is one in UTF-8.
    pub fn get_str(&self, name: &str) -> Option<&str> {
        self.headers.as_ref()?.get_str(name)
    }
}

impl Fields {
    fn get(&self, key: &str) -> Option<&field_value::Kind> {
        let field = self.fields.iter().find(|field| field.key == key.as_bytes())?;
        field.value.as_ref()?.kind.as_ref()
    }

    /// The text of `key` in `namespace`, if there is one in UTF-8.
    pub fn get_str(&self, namespace: &str, key: &str) -> Option<&str> {
        let field_value::Kind::StructValue(fields) = self.get(namespace)? else { return None };
        let field_value::Kind::StringValue(text) = fields.get(key)? else { return None };
        std::str::from_utf8(text).ok()
    }
}
