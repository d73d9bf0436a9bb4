//! The clients of the elections.

use kube::Client;

/// The clients of the elections.
#[derive(Clone)]
pub struct Clients {
    /// For requests of [`Timing::request`](super::Timing::request): one of its own, so that renewals don't wait behind other requests.
    pub requests: Client,
    /// For watches, which may be quiet for as long as nothing changes.
    pub watches: Client,
}
