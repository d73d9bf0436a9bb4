//! The error of a write to the cluster, or of a read past the caches.

use std::time::Duration;

/// Longest time that one request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// Why something was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another replica leads.
    #[error("this replica does not lead")]
    NotLeading,
    /// The API server did not answer.
    #[error("the API server did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The API server refused.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

impl WriteError {
    /// Whether the object changed meanwhile, so that the decision has to be made again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_conflict())
    }

    /// Whether another manager holds a field that was to be applied without force.
    pub fn is_field_conflict(&self) -> bool {
        let Self::Api(kube::Error::Api(status)) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
    }

    /// Whether the object is not there.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_not_found())
    }

    /// The API server's words when it will refuse the same again: an invalid or forbidden object.
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Api(kube::Error::Api(status))
                if status.is_invalid() || status.is_forbidden() || matches!(status.code, 400 | 422) =>
            {
                Some(&status.message)
            }
            _ => None,
        }
    }
}
