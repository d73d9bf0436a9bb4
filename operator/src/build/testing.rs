//! Objects as tests have them built.

use crds::{PickerSpec, PoolGroup};

use super::{Defaults, Input, Limits, OverlayError, objects};
use crate::kinds::Object;

/// The defaults of a release.
pub(crate) fn defaults() -> Defaults {
    Defaults {
        image: "waypost-picker:1.2.3".to_owned(),
        version: "1.2.3".to_owned(),
        allow_unsafe_pod_templates: false,
        limits: Limits::default(),
    }
}

/// The objects of the pickers `name` of a pool, with these defaults.
pub(crate) fn built(
    pool: &str,
    group: PoolGroup,
    name: &str,
    picker: &PickerSpec,
    defaults: &Defaults,
) -> Result<Vec<Object>, OverlayError> {
    objects(&Input {
        strategy: "chat",
        uid: "0b5c1f6e-0000-4000-8000-000000000001",
        made_for: ("chat", "0b5c1f6e-0000-4000-8000-000000000001"),
        namespace: "llm",
        pool,
        group,
        name,
        picker,
        defaults,
    })
}
