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
    #[error("{}", words(.0))]
    Api(#[from] kube::Error),
}

impl WriteError {
    /// Whether the object changed meanwhile, so that the decision has to be made again.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_conflict())
    }

    /// Whether another manager holds a field that was to be applied without force.
    pub fn is_field_conflict(&self) -> bool {
        self.has_cause("FieldManagerConflict")
    }

    /// Whether the object is not there.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.is_not_found())
    }

    /// Whether nothing can be made since the namespace is being deleted.
    pub fn is_end_of_namespace(&self) -> bool {
        self.has_cause("NamespaceTerminating")
    }

    /// Whether the API server gives this reason among its causes.
    fn has_cause(&self, reason: &str) -> bool {
        let Self::Api(kube::Error::Api(status)) = self else { return false };
        status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
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

/// What the API server said, without the whole of its answer, which the error of the client repeats as it is in memory.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => {
            format!("the API server answered {}: {}", status.code, status.message)
        }
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn answer(status: serde_json::Value) -> WriteError {
        let status: Status = serde_json::from_value(status).unwrap();
        WriteError::Api(kube::Error::Api(status.boxed()))
    }

    /// As the API server of 1.34 answers.
    #[test]
    fn the_end_of_a_namespace_is_told_from_other_refusals() {
        let message = "roles \"a\" is forbidden: unable to create new content in namespace llm because it is being \
                       terminated";
        let causes = json!([{"reason": "NamespaceTerminating", "field": "metadata.namespace",
            "message": "namespace llm is being terminated"}]);
        let error = answer(json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403,
            "message": message, "details": {"name": "a", "kind": "roles", "causes": causes}}));
        assert!(error.is_end_of_namespace());
        assert_eq!(error.refusal(), Some(message));
        assert_eq!(error.to_string(), format!("the API server answered 403: {message}"));
        let other =
            answer(json!({"status": "Failure", "reason": "Forbidden", "code": 403, "message": "no right"}));
        assert!(!other.is_end_of_namespace());
    }
}
