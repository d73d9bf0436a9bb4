//! InferenceObjective, in both groups under which it exists. Only read.

use kube::core::ApiResource;
use serde::Deserialize;

use crate::PoolGroup;

/// Which of its two APIs an objective belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectiveGroup {
    /// `llm-d.ai`.
    LlmD,
    /// `inference.networking.x-k8s.io`, before it moved to llm-d.
    GatewayApi,
}

impl ObjectiveGroup {
    /// Both, the newer first.
    pub const ALL: [Self; 2] = [Self::LlmD, Self::GatewayApi];

    /// Name of the API group.
    pub fn group(self) -> &'static str {
        match self {
            Self::LlmD => "llm-d.ai",
            Self::GatewayApi => "inference.networking.x-k8s.io",
        }
    }

    /// The resource InferenceObjective, as the API server knows it.
    pub fn resource(self) -> ApiResource {
        self.kind("InferenceObjective", "inferenceobjectives")
    }

    /// The resource `kind` of this group, all of which have one version.
    pub(crate) fn kind(self, kind: &str, plural: &str) -> ApiResource {
        let (group, version) = (self.group(), "v1alpha2");
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: format!("{group}/{version}"),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }
}

/// Spec of an InferenceObjective, as far as it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InferenceObjectiveSpec {
    /// How important requests are that name it, higher before lower; what is below 0 may be turned away under load.
    pub priority: Option<i64>,
    /// The pool that it is for.
    #[serde(default)]
    pub pool_ref: ObjectivePoolRef,
}

/// The pool that an objective, or a rule of models, is for, in its namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ObjectivePoolRef {
    /// API group of the pool; `inference.networking.k8s.io` if it is left out.
    pub group: Option<String>,
    /// Name of the pool.
    #[serde(default)]
    pub name: String,
}

impl InferenceObjectiveSpec {
    /// The priority, 0 without one. What is beyond 32 bits is as far from 0 as those reach.
    pub fn priority(&self) -> i32 {
        let priority = self.priority.unwrap_or(0);
        priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32
    }
}

impl ObjectivePoolRef {
    /// Whether it means the pool called `name` of this group.
    pub fn is_for(&self, group: PoolGroup, name: &str) -> bool {
        let own = self.group.as_deref().filter(|group| !group.is_empty());
        self.name == name && own.unwrap_or(PoolGroup::V1.group()) == group.group()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: serde_json::Value) -> InferenceObjectiveSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_priority_is_0_unless_it_is_said() {
        let of = |priority: serde_json::Value| spec(json!({"priority": priority})).priority();
        assert_eq!(spec(json!({})).priority(), 0);
        let given = [json!(null), json!(-1), json!(10), json!(3_000_000_000_i64), json!(-3_000_000_000_i64)];
        assert_eq!(given.map(of), [0, -1, 10, i32::MAX, i32::MIN]);
    }

    #[test]
    fn it_is_for_the_pool_that_it_names() {
        let refers = |pool_ref: serde_json::Value| {
            let spec = spec(json!({"poolRef": pool_ref}));
            PoolGroup::ALL.map(|group| spec.pool_ref.is_for(group, "qwen"))
        };
        assert_eq!(refers(json!({"name": "qwen", "kind": "InferencePool"})), [true, false]);
        assert_eq!(refers(json!({"name": "qwen", "group": ""})), [true, false]);
        assert_eq!(refers(json!({"name": "qwen", "group": PoolGroup::V1Alpha2.group()})), [false, true]);
        assert_eq!(refers(json!({"name": "other"})), [false, false]);
        assert_eq!(refers(json!({})), [false, false]);
    }

    #[test]
    fn both_resources() {
        let [new, old] = ObjectiveGroup::ALL.map(ObjectiveGroup::resource);
        let names = |resource: &ApiResource| (resource.api_version.clone(), resource.plural.clone());
        assert_eq!(names(&new), ("llm-d.ai/v1alpha2".to_owned(), "inferenceobjectives".to_owned()));
        let old_version = "inference.networking.x-k8s.io/v1alpha2".to_owned();
        assert_eq!(names(&old), (old_version, "inferenceobjectives".to_owned()));
    }
}
