use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::plugins::pd_groups::tests::{POOL, fact, pods};
use crate::request::Request;
use crate::testing::{Instance, labelled, strategy};
use crate::view::View;

const KIND: &str = "pd-group-filter";

fn kept(view: &View) -> Vec<usize> {
    Instance::new(KIND, json!({})).unwrap().knowing(fact(view)).kept(&Request::default(), view)
}

#[test]
fn keeps_leaders_of_complete_groups_and_pods_that_serve_alone() {
    assert_eq!(kept(&pods(&POOL)), [0, 4, 8]);
    // The second group has lost its decode pod.
    assert_eq!(kept(&pods(&POOL[..7])), [0]);
    assert_eq!(kept(&pods(&[("leader", "a"), ("decode", "a"), ("", "")])), [0_usize; 0]);
    assert_eq!(kept(&pods(&[("", "a"), ("", "")])), [0, 1]);
    assert_eq!(kept(&View::empty()), [0_usize; 0]);
}

#[test]
fn keeps_all_where_no_producer_has_told() {
    let view = pods(&POOL[..3]);
    assert_eq!(Instance::new(KIND, json!({})).unwrap().kept(&Request::default(), &view), [0, 1, 2]);
}

/// A configuration of Hermes-router 25.12: the labels are parameters of the filter.
#[test]
fn the_producer_is_made_with_the_labels_that_the_former_filter_had() {
    let strategy = strategy(
        "
plugins:
- type: filter-by-pd-label
  parameters: {pdLabelName: role, pdGroupLabelName: group, prefillValue: p, decodeValue: decode, leaderValue: leader}
- type: random-picker
schedulingProfiles:
- name: default
  plugins: [{pluginRef: filter-by-pd-label}, {pluginRef: random-picker}]
",
    );
    let pod = |role: &'static str| [("role", role), ("group", "1")];
    let view = labelled([&pod("p")[..], &pod("leader")[..], &pod("decode")[..]]);
    let mut cx = Cx::new(Instant::now(), 1);
    let flight = strategy.route(&Request::default(), &view, None, &mut cx).unwrap();
    assert_eq!(flight.endpoint().pod, "pod-1");

    let moved = |field: &str, value: &str| {
        let message = format!(
            "is a parameter of the plugin pd-group-producer now, which is made with it; add that, and write {field}: \
             {value:?} there"
        );
        format!("plugins[0].parameters.{field}: {message}")
    };
    let told: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "plugins[0].type: filter-by-pd-label is a former name of pd-group-filter; write that".to_owned(),
            moved("pdLabelName", "role"),
            moved("pdGroupLabelName", "group"),
            moved("prefillValue", "p"),
            moved("decodeValue", "decode"),
            moved("leaderValue", "leader"),
        ]
    );
}

proptest! {
    /// Leaders of groups with a prefill and a decode pod, and pods that serve alone; without any role, all.
    #[test]
    fn agrees_with_the_rule(roles in prop::collection::vec((0..5_usize, 0..3_usize), 0..12)) {
        let names = |&(role, group): &(usize, usize)| {
            (["", "prefill", "decode", "leader", "aggregate"][role], ["", "a", "b"][group])
        };
        let all: Vec<_> = roles.iter().map(names).collect();
        let unlabelled = all.iter().all(|(role, _)| role.is_empty());
        let stays = |&i: &usize| {
            let (role, group) = all[i];
            let complete = !group.is_empty() && all.contains(&("prefill", group)) && all.contains(&("decode", group));
            unlabelled || role == "aggregate" || role == "leader" && complete
        };
        prop_assert_eq!(kept(&pods(&all)), (0..all.len()).filter(stays).collect::<Vec<_>>());
    }
}
