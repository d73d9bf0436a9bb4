//! The tasks of the process.

use tokio::task::JoinSet;

/// Tasks that live as long as the process: one that ends is a fault, and says what it was for.
pub(super) type Tasks = JoinSet<&'static str>;
