//! Profile handlers: plugins that decide which profiles run.

use std::sync::Arc;

use crate::role::ProfileHandler;

room! {
    data_parallel::DataParallelProfileHandler,
    disagg::DisaggProfileHandler,
    header::HeaderProfileHandler,
    pd::PdProfileHandler,
    single_profile::SingleProfileHandler,
}

pub(super) mod disagg_headers;

/// The handler of a configuration that names none.
pub fn default() -> Arc<dyn ProfileHandler> {
    Arc::new(SingleProfileHandler)
}
