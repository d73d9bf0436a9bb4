//! Profile handlers: plugins that decide which profiles run.

use std::sync::Arc;

use crate::role::ProfileHandler;

room! {
    disagg::DisaggProfileHandler,
    header::HeaderProfileHandler,
    single_profile::SingleProfileHandler,
}

/// The handler of a configuration that names none.
pub fn default() -> Arc<dyn ProfileHandler> {
    Arc::new(SingleProfileHandler)
}
