//! The view of all endpoints, as decisions share it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use picker_core::View;

/// The current [`View`]: written by the one task of [`crate::watch::publish`], loaded once per decision.
pub type SharedView = Arc<ArcSwap<View>>;

/// A shared view without endpoints.
pub fn empty() -> SharedView {
    Arc::new(ArcSwap::from_pointee(View::empty()))
}
