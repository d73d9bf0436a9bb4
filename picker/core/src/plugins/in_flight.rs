//! What plugins have in common that read the requests under way, which the picker counts itself: the parameter
//! `inFlightLoadProducerName`, and what an explanation says of them.

use crate::ask::Ask;
use crate::fact::{Fact, RequestLoad};
use crate::inputs::Inputs;
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

/// The requests under way at endpoints, as they are now.
pub(super) fn requests(ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
    inputs.number("inFlight", |i| ask.view.endpoints[i].live().in_flight() as f32);
}

/// Their tokens.
pub(super) fn tokens(ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
    inputs.number("inFlightTokens", |i| ask.view.endpoints[i].live().tokens() as f32);
}
