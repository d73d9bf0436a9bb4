//! JSON of more levels than are decoded, for tests.

use serde_json::{Value, json};

/// A value that is nested too deep to be decoded.
pub(crate) fn deep() -> Value {
    (0..200).fold(json!(1), |inner, _| json!({"a": inner}))
}
