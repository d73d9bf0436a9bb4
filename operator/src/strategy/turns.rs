//! A new release of the operator changes every picker: they are rolled out one Deployment at a time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::core::DynamicObject;
use serde_json::Value;

use crate::build::deployment::ASKED;

/// Longest time that one rollout keeps others waiting: one that is stuck must not stop the rest.
const LONGEST: Duration = Duration::from_secs(600);

/// Whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Option<(String, Instant)>>);

impl Turns {
    /// Asks for the turn of the Deployment with `uid`. `is_done` tells whether the one whose turn it is has
    /// come to its end.
    pub fn take(&self, uid: &str, now: Instant, is_done: impl Fn(&str) -> bool) -> bool {
        let mut turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*turn {
            Some((other, since))
                if other != uid && now.duration_since(*since) < LONGEST && !is_done(other) =>
            {
                false
            }
            Some((own, _)) if own == uid => true,
            _ => {
                *turn = Some((uid.to_owned(), now));
                true
            }
        }
    }
}

/// Whether only the operator's release makes `wanted` another rollout than `live`: the strategy asks for the
/// same, and the pods would be others.
pub(super) fn is_upgrade(live: &DynamicObject, wanted: &DynamicObject) -> bool {
    let asked =
        |object: &DynamicObject| object.metadata.annotations.as_ref().and_then(|a| a.get(ASKED)).cloned();
    asked(live).is_some() && asked(live) == asked(wanted) && image(live) != image(wanted)
}

/// The image of the picker.
pub(super) fn image(deployment: &DynamicObject) -> Option<&Value> {
    let containers = deployment.data.pointer("/spec/template/spec/containers")?.as_array()?;
    containers.iter().find(|container| container["name"] == "picker")?.get("image")
}

/// `wanted` with the image of `live`.
pub(super) fn postponed(live: &DynamicObject, wanted: &DynamicObject) -> DynamicObject {
    let mut postponed = wanted.clone();
    let containers =
        postponed.data.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter(|container| container["name"] == "picker") {
        container["image"] = image(live).cloned().unwrap_or_default();
    }
    postponed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(asked: &str, image: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "metadata": {"name": "x", "annotations": {ASKED: asked}},
            "spec": {"template": {"spec": {"containers": [{"name": "picker", "image": image}]}}},
        }))
        .unwrap()
    }

    #[test]
    fn one_at_a_time() {
        let (turns, start) = (Turns::default(), Instant::now());
        assert!(turns.take("a", start, |_| false));
        assert!(turns.take("a", start, |_| false));
        assert!(!turns.take("b", start, |_| false));
        assert!(turns.take("b", start, |uid| uid == "a"));
        assert!(!turns.take("c", start + LONGEST / 2, |_| false));
        assert!(turns.take("c", start + LONGEST, |_| false));
    }

    #[test]
    fn what_the_strategy_asks_for_is_no_upgrade() {
        let live = deployment("asked", "picker:1");
        assert!(is_upgrade(&live, &deployment("asked", "picker:2")));
        assert!(!is_upgrade(&live, &deployment("asked", "picker:1")));
        assert!(!is_upgrade(&live, &deployment("other", "picker:2")));
        assert_eq!(postponed(&live, &deployment("asked", "picker:2")), live);
    }
}
