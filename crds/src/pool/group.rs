//! The two API groups of InferencePool.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API group of a pool, and with it the version.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[schemars(inline)]
pub enum PoolGroup {
    // Undocumented here, since documented variants become a oneOf, which the API server refuses.
    #[allow(missing_docs)]
    #[default]
    #[serde(rename = "inference.networking.k8s.io")]
    V1,
    #[allow(missing_docs)]
    #[serde(rename = "inference.networking.x-k8s.io")]
    V1Alpha2,
}

impl PoolGroup {
    /// Both, the newer first.
    pub const ALL: [Self; 2] = [Self::V1, Self::V1Alpha2];

    /// Name of the API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::V1 => "inference.networking.k8s.io",
            Self::V1Alpha2 => "inference.networking.x-k8s.io",
        }
    }

    /// The one whose API group is `name`.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.group() == name)
    }

    /// Group and version, as in `apiVersion`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "inference.networking.k8s.io/v1",
            Self::V1Alpha2 => "inference.networking.x-k8s.io/v1alpha2",
        }
    }

    /// Name of the field of the spec that names the endpoint picker.
    pub fn ref_field(self) -> &'static str {
        match self {
            Self::V1 => "endpointPickerRef",
            Self::V1Alpha2 => "extensionRef",
        }
    }
}
