//! InferenceModelRewrite, in both groups under which it exists, and InferenceModel, its predecessor. Only read.

use kube::core::ApiResource;
use serde::Deserialize;

use crate::objective::{ObjectiveGroup, ObjectivePoolRef};

/// The resource InferenceModelRewrite of this group, as the API server knows it.
pub fn rewrite_resource(group: ObjectiveGroup) -> ApiResource {
    group.kind("InferenceModelRewrite", "inferencemodelrewrites")
}

/// The resource InferenceModel, as the API server knows it.
pub fn model_resource() -> ApiResource {
    ObjectiveGroup::GatewayApi.kind("InferenceModel", "inferencemodels")
}

/// Spec of an InferenceModelRewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InferenceModelRewriteSpec {
    /// The pool that it is for.
    #[serde(default)]
    pub pool_ref: ObjectivePoolRef,
    /// Its rules, the first that matches counts.
    #[serde(default)]
    pub rules: Vec<ModelRewriteRule>,
}

/// A rule of an InferenceModelRewrite.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ModelRewriteRule {
    /// It is for requests that one of these matches; without any, for every request.
    #[serde(default)]
    pub matches: Vec<ModelRewriteMatch>,
    /// The models among which requests are split.
    #[serde(default)]
    pub targets: Vec<ModelRewriteTarget>,
}

/// A condition on requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ModelRewriteMatch {
    /// The condition on the model; `None` for any.
    pub model: Option<ModelNameMatch>,
}

/// A condition on the name of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ModelNameMatch {
    /// How it is compared; `Exact` if it is left out, and there is no other way.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The name.
    #[serde(default)]
    pub value: String,
}

/// A model, and its part of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRewriteTarget {
    /// The model.
    #[serde(default)]
    pub model_rewrite: String,
    /// How many requests it gets, in proportion.
    pub weight: Option<i64>,
}

/// Spec of an InferenceModel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InferenceModelSpec {
    /// The model that clients ask for.
    #[serde(default)]
    pub model_name: String,
    /// How important its requests are: `Critical`, `Standard` (if it is left out) or `Sheddable`.
    pub criticality: Option<String>,
    /// The models among which requests are split; without any, they keep theirs.
    #[serde(default)]
    pub target_models: Vec<InferenceModelTarget>,
    /// The pool that it is for.
    #[serde(default)]
    pub pool_ref: ObjectivePoolRef,
}

/// A model, and its part of the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct InferenceModelTarget {
    /// The model.
    #[serde(default)]
    pub name: String,
    /// How many requests it gets, in proportion.
    pub weight: Option<i64>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_resources() {
        let name = |resource: ApiResource| format!("{}/{}", resource.api_version, resource.plural);
        let rewrites = ObjectiveGroup::ALL.map(|group| name(rewrite_resource(group)));
        assert_eq!(
            rewrites,
            [
                "llm-d.ai/v1alpha2/inferencemodelrewrites",
                "inference.networking.x-k8s.io/v1alpha2/inferencemodelrewrites"
            ]
        );
        assert_eq!(name(model_resource()), "inference.networking.x-k8s.io/v1alpha2/inferencemodels");
    }

    #[test]
    fn specs_are_read_as_they_are_published() {
        let rewrite: InferenceModelRewriteSpec = serde_json::from_value(json!({
            "poolRef": {"name": "qwen"},
            "rules": [{
                "matches": [{"model": {"type": "Exact", "value": "food"}}],
                "targets": [{"modelRewrite": "food-v1", "weight": 9}, {"modelRewrite": "food-v2"}],
            }],
        }))
        .unwrap();
        let target = |name: &str, weight| ModelRewriteTarget { model_rewrite: name.to_owned(), weight };
        let matches = ModelNameMatch { kind: Some("Exact".to_owned()), value: "food".to_owned() };
        let expected = ModelRewriteRule {
            matches: vec![ModelRewriteMatch { model: Some(matches) }],
            targets: vec![target("food-v1", Some(9)), target("food-v2", None)],
        };
        assert_eq!((rewrite.pool_ref.name.as_str(), rewrite.rules), ("qwen", vec![expected]));

        let model: InferenceModelSpec = serde_json::from_value(json!({
            "modelName": "food", "criticality": "Critical", "poolRef": {"name": "qwen", "group": "g", "kind": "k"},
            "targetModels": [{"name": "food-v1", "weight": 100}],
        }))
        .unwrap();
        let expected = InferenceModelSpec {
            model_name: "food".to_owned(),
            criticality: Some("Critical".to_owned()),
            target_models: vec![InferenceModelTarget { name: "food-v1".to_owned(), weight: Some(100) }],
            pool_ref: ObjectivePoolRef { group: Some("g".to_owned()), name: "qwen".to_owned() },
        };
        assert_eq!(model, expected);
    }
}
