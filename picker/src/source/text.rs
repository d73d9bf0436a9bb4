//! The strategy of the command line, or the default one.

use picker_core::compile::{default_routing, read_document};
use picker_core::config::{Errors, Scope};

use super::{Installer, Offer};

/// Offers the routing of an EndpointPickerConfig's text.
///
/// # Errors
/// When it is not one, or doesn't compile.
pub fn offer(text: &str, installer: &Installer) -> Result<(), String> {
    let document = read_document(text).map_err(|errors: Errors| errors.to_string())?;
    install(&document.routing, installer)
}

/// Offers the routing of a picker that was given none.
///
/// # Errors
/// Never, unless the default is broken.
pub fn offer_default(installer: &Installer) -> Result<(), String> {
    install(&default_routing(), installer)
}

fn install(routing: &serde_json::Value, installer: &Installer) -> Result<(), String> {
    if installer.offer(Offer { routing, scope: Scope::File, generation: None }) {
        return Ok(());
    }
    Err(installer.serving().borrow().error.clone().unwrap_or_default())
}
