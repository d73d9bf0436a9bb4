//! The progress of a Deployment's rollout, read from its status.

use kube::core::DynamicObject;

/// The progress of a Deployment's rollout.
pub(super) struct Rollout {
    observed: bool,
    stuck: bool,
    overdue: bool,
    /// Replicas that are wanted.
    pub wanted: i64,
    updated: i64,
    /// Replicas that are ready, of whatever template.
    pub ready: i64,
    total: i64,
}

impl Rollout {
    /// Reads the status of a Deployment.
    pub fn of(live: &DynamicObject) -> Self {
        let status = &live.data["status"];
        let number = |name: &str| status[name].as_i64().unwrap_or_default();
        let mut conditions = status["conditions"].as_array().into_iter().flatten();
        let progressing = conditions.find(|c| c["type"] == "Progressing" && c["status"] == "False");
        Self {
            observed: status["observedGeneration"].as_i64() >= live.metadata.generation,
            stuck: progressing.is_some(),
            overdue: progressing.is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded"),
            wanted: live.data["spec"]["replicas"].as_i64().unwrap_or(1),
            updated: number("updatedReplicas"),
            ready: number("readyReplicas"),
            total: number("replicas"),
        }
    }

    /// Whether every wanted replica is ready and of the newest template, and no other is left.
    pub fn is_complete(&self) -> bool {
        self.observed
            && self.updated >= self.wanted
            && self.ready >= self.wanted
            && self.total <= self.updated
    }

    /// Whether it has made no progress for longer than it may take.
    pub fn is_overdue(&self) -> bool {
        self.overdue
    }

    /// Whether pods of an older template are being replaced.
    pub fn is_rolling(&self) -> bool {
        !self.stuck && (!self.observed || self.updated < self.wanted || self.total > self.updated)
    }

    /// Whether the Deployment controller has given up.
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }
}
