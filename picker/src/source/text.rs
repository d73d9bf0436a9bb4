//! A strategy from the command line, or the default one.

use picker_core::compile::{default_routing, read_document};
use picker_core::config::{Errors, Scope};

use super::{Desk, Offer};

/// Brings the text of an EndpointPickerConfig.
///
/// # Errors
/// When it is not one, or doesn't compile.
pub fn offer(text: &str, desk: &Desk) -> Result<(), String> {
    let document = read_document(text).map_err(|errors: Errors| errors.to_string())?;
    bring(&document.routing, desk)
}

/// Brings the routing of a picker that was given none.
///
/// # Errors
/// Never, unless the default is broken.
pub fn offer_default(desk: &Desk) -> Result<(), String> {
    bring(&default_routing(), desk)
}

fn bring(routing: &serde_json::Value, desk: &Desk) -> Result<(), String> {
    if desk.offer(Offer { routing, scope: Scope::File, generation: None }) {
        return Ok(());
    }
    Err(desk.installed().borrow().error.clone().unwrap_or_default())
}
