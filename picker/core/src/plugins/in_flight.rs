//! The parameter `inFlightLoadProducerName` of plugins that read the requests under way, which the picker counts itself.

use crate::fact::{Fact, RequestLoad};
use crate::plugin::{BuildCx, BuildError};

/// Takes `name`. It makes no difference, but one that is neither empty nor the usual one must be that of a declared plugin
/// that counts requests.
///
/// # Errors
/// When it is not.
pub(super) fn named(name: Option<&str>, cx: &mut BuildCx<'_>) -> Result<(), BuildError> {
    if let Some(name) = name.filter(|name| !name.is_empty() && Some(*name) != RequestLoad::DEFAULT_PRODUCER) {
        cx.reads::<RequestLoad>("inFlightLoadProducerName", Some(name))?;
    }
    Ok(())
}
