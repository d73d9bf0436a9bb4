//! Pools of groups for the tests of plugins, and those of the groups themselves.

use proptest::prelude::*;

use super::*;
use crate::endpoint::Load;
use crate::testing::{labelled, unknown};

/// A view of pods with these roles and groups; an empty text stands for no label.
pub fn pods(pods: &[(&str, &str)]) -> View {
    let labels: Vec<Vec<_>> = pods.iter().map(|(role, group)| labels(role, group)).collect();
    labelled(labels.iter().map(Vec::as_slice))
}

/// The labels of a pod.
fn labels<'a>(role: &'a str, group: &'a str) -> Vec<(&'a str, &'a str)> {
    let all = [("openfuyao.com/pdRole", role), ("openfuyao.com/pdGroupID", group)];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Two groups of a leader, two prefill pods and a decode pod, and a pod that serves alone:
/// leader 0, prefill 1 and 2, decode 3; leader 4, prefill 5 and 6, decode 7; alone 8.
pub const POOL: [(&str, &str); 9] = [
    ("leader", "a"),
    ("prefill", "a"),
    ("prefill", "a"),
    ("decode", "a"),
    ("leader", "b"),
    ("prefill", "b"),
    ("prefill", "b"),
    ("decode", "b"),
    ("aggregate", ""),
];

/// The fact about `view` with the usual labels.
pub fn fact(view: &View) -> PdGroups {
    PdGroups { groups: Some(Arc::new(GroupLabels::default().groups(view))), ..PdGroups::default() }
}

/// For each pod the prefill and decode pods that do its requests.
fn members(view: &View) -> Vec<Option<(Vec<u32>, Vec<u32>)>> {
    let groups = GroupLabels::default().groups(view);
    assert!(groups.is_of(view));
    (0..view.len()).map(|i| groups.of(i).map(|g| (g.prefill.to_vec(), g.decode.to_vec()))).collect()
}

#[test]
fn a_leader_has_the_pods_of_its_group_and_one_that_serves_alone_itself() {
    let [a, b] = [(vec![1, 2], vec![3]), (vec![5, 6], vec![7])].map(Some);
    let none = None::<(Vec<u32>, Vec<u32>)>;
    let alone = Some((vec![8], vec![8]));
    let expected = [a, none.clone(), none.clone(), none.clone(), b, none.clone(), none.clone(), none, alone];
    assert_eq!(members(&pods(&POOL)), expected);
}

#[test]
fn a_group_without_prefill_or_decode_pods_or_without_a_name_takes_nothing() {
    let view = pods(&[
        ("leader", "a"),
        ("prefill", "a"),
        ("leader", "b"),
        ("decode", "b"),
        ("leader", ""),
        ("prefill", ""),
        ("decode", ""),
        ("", "a"),
        ("Leader", "a"),
    ]);
    assert_eq!(members(&view), vec![None; 9]);
}

#[test]
fn where_no_pod_has_a_role_each_serves_alone() {
    let own = |i: u32| Some((vec![i], vec![i]));
    assert_eq!(members(&pods(&[("", "a"), ("", "")])), [own(0), own(1)]);
    assert_eq!(members(&pods(&[("", "a"), ("aggregate", "")])), [None, own(1)]);
}

#[test]
fn groups_are_those_of_one_view() {
    let groups = GroupLabels::default().groups(&pods(&POOL));
    assert_eq!([groups.is_of(&pods(&POOL)), groups.is_of(&pods(&POOL[..8]))], [true, false]);
    assert_eq!(groups.of(9), None);
}

#[test]
fn the_cheapest_of_equals_has_the_fewest_requests_in_flight() {
    let view = unknown(4);
    view.endpoints[1].live().add(Load { requests: 1, tokens: 0 });
    let cost = |i: usize| [3.0, 1.0, 1.0, 1.0][i];
    assert_eq!(cheapest(&view, &[0, 1], cost), (1, 1.0));
    assert_eq!(cheapest(&view, &[0, 1, 2, 3], cost), (2, 1.0));
}

#[test]
fn the_last_pair_of_a_destination_counts_and_is_forgotten_with_the_request() {
    let mut fact = fact(&pods(&POOL));
    let pair = |prefill| Pair { prefill, decode: 3 };
    fact.note(0, pair(1));
    fact.note(4, Pair { prefill: 5, decode: 7 });
    fact.note(0, pair(2));
    assert_eq!([fact.noted(0), fact.noted(0), fact.noted(8)], [Some(pair(2)), Some(pair(2)), None]);
    fact.clear();
    assert_eq!((fact.noted(0), fact.of(0)), (None, None));
}

proptest! {
    /// A pod takes requests if it serves alone, or leads a group that has both kinds of pods.
    #[test]
    fn whoever_takes_requests_has_whom_to_give_them_to(
        roles in prop::collection::vec((0..5_usize, 0..3_usize), 0..12),
    ) {
        let names = |&(role, group): &(usize, usize)| {
            (["", "prefill", "decode", "leader", "aggregate"][role], ["", "a", "b"][group])
        };
        let all: Vec<_> = roles.iter().map(names).collect();
        let of = |role: &str, group: &str| {
            let is = |pod: &(&str, &str)| *pod == (role, group) && !group.is_empty();
            all.iter().zip(0..).filter(|(pod, _)| is(pod)).map(|(_, i)| i).collect::<Vec<u32>>()
        };
        let plain = |i: usize| match all[i] {
            ("aggregate", _) => Some((vec![i as u32], vec![i as u32])),
            ("leader", group) => Some((of("prefill", group), of("decode", group)))
                .filter(|(prefill, decode)| !prefill.is_empty() && !decode.is_empty()),
            _ if all.iter().all(|(role, _)| role.is_empty()) => Some((vec![i as u32], vec![i as u32])),
            _ => None,
        };
        prop_assert_eq!(members(&pods(&all)), (0..all.len()).map(plain).collect::<Vec<_>>());
    }
}
