//! Profile handlers: plugins that decide which profiles run.

use std::sync::Arc;

use crate::role::ProfileHandler;

room! {
    data_parallel::DataParallelProfileHandler,
    disagg::DisaggProfileHandler,
    disagg_headers::DisaggHeadersHandler,
    header::HeaderProfileHandler,
    pd::PdProfileHandler,
    single_profile::SingleProfileHandler,
}

/// The handler of a configuration that names none.
pub fn default() -> Arc<dyn ProfileHandler> {
    Arc::new(SingleProfileHandler)
}
