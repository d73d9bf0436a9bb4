//! Where accepted routings are kept: ControllerRevisions in ten slots, so that a picker that starts
//! while the strategy holds a bad routing finds the last good one by names that its Role can list.

use k8s_openapi::api::apps::v1::ControllerRevision;
use serde_json::Value;

use crate::RoutingBody;

/// Number of slots, and so of accepted routings that are kept.
pub const SLOTS: usize = 10;

/// Label of a slot with the revision of the routing in its `data`.
pub const REVISION_LABEL: &str = "waypost.dev/revision";

/// Names of the slots of the strategy called `strategy`.
pub fn slots(strategy: &str) -> impl Iterator<Item = String> {
    (0..SLOTS).map(move |slot| format!("{strategy}-routing-{slot}"))
}

/// The strategy to whose history a slot of this name belongs.
pub fn strategy_of(slot: &str) -> Option<&str> {
    let (strategy, number) = slot.rsplit_once("-routing-")?;
    number.parse().is_ok_and(|number: usize| number < SLOTS).then_some(strategy)
}

/// Revision of the routing in a slot.
pub fn revision(slot: &ControllerRevision) -> Option<&str> {
    slot.metadata.labels.as_ref()?.get(REVISION_LABEL).map(String::as_str)
}

/// The routing in a slot, if it is there and is the one that the slot's label promises.
pub fn routing(slot: &ControllerRevision) -> Option<RoutingBody> {
    let data: &Value = &slot.data.as_ref()?.0;
    (revision(slot)? == picker_core::config::revision(data)).then(|| RoutingBody(data.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
    use serde_json::json;

    fn slot(label: &str, data: Value) -> ControllerRevision {
        let mut slot = ControllerRevision { data: Some(RawExtension(data)), ..Default::default() };
        slot.metadata.labels = Some([(REVISION_LABEL.to_owned(), label.to_owned())].into());
        slot
    }

    #[test]
    fn names_are_those_of_the_role() {
        let names: Vec<_> = slots("chat").collect();
        assert_eq!(names.len(), SLOTS);
        assert_eq!((names[0].as_str(), names[9].as_str()), ("chat-routing-0", "chat-routing-9"));
        assert!(names.iter().all(|name| strategy_of(name) == Some("chat")));
        for other in ["chat-routing-10", "chat-routing-x", "chat-picker"] {
            assert_eq!(strategy_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_slot_that_is_not_what_it_says_is_not_used() {
        let data = json!({"plugins": [{"type": "queue-scorer"}]});
        let revision = picker_core::config::revision(&data);
        assert_eq!(routing(&slot(&revision, data.clone())), Some(RoutingBody(data.clone())));
        assert_eq!(routing(&slot("0000000000000000", data)), None);
    }
}
