use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::request::Request;
use crate::testing::{Instance, build, labelled, strategy};
use crate::view::View;

const KIND: &str = "pd-group-producer";

/// The pods of `view` that take requests.
fn takers(producer: &mut Instance, view: &View) -> Vec<usize> {
    producer.produce(&Request::default(), view);
    (0..view.len()).filter(|&i| producer.fact::<PdGroups>().of(i).is_some()).collect()
}

#[test]
fn labels_and_roles_may_have_other_names_and_groups_follow_labels() {
    let names = json!({
        "pdLabelName": "role", "pdGroupLabelName": "group",
        "prefillValue": "p", "decodeValue": "d", "leaderValue": "l",
    });
    let mut producer = Instance::new(KIND, names).unwrap();
    let pods = |leader: &str| {
        let pod = |role: &'static str| [("role", role), ("group", "1")];
        let leader = [("role", "l"), ("group", leader)];
        labelled([&pod("p")[..], &leader[..], &pod("d")[..]])
    };
    assert_eq!(takers(&mut producer, &pods("1")), [1]);
    assert_eq!(takers(&mut producer, &pods("2")), [0_usize; 0]);
    assert_eq!(takers(&mut producer, &pods("1")), [1]);
    assert_eq!(takers(&mut producer, &View::empty()), [0_usize; 0]);
    // With the usual labels, none of them has a role.
    assert_eq!(takers(&mut Instance::new(KIND, json!({})).unwrap(), &pods("1")), [0, 1, 2]);
}

#[test]
fn equal_labels_are_not_compared_again() {
    let mut producer = Instance::new(KIND, json!({})).unwrap();
    let view = labelled([&[("openfuyao.com/pdRole", "aggregate")][..]]);
    let mut groups = || {
        producer.produce(&Request::default(), &view);
        producer.fact::<PdGroups>().groups.clone().unwrap()
    };
    assert!(Arc::ptr_eq(&groups(), &groups()));
}

#[rstest]
#[case(json!({"decodeValue": "prefill"}), "decodeValue: \"prefill\"")]
#[case(json!({"leaderValue": "decode"}), "leaderValue: \"decode\"")]
#[case(json!({"prefillValue": "aggregate"}), "prefillValue: \"aggregate\"")]
fn each_role_has_a_value_of_its_own(#[case] parameters: Value, #[case] says: &str) {
    let error = build(KIND, parameters).err().unwrap().to_string();
    let expected =
        format!("plugins[0].parameters.{says} is another role already; give each role a value of its own");
    assert_eq!(error, expected);
}

#[test]
fn an_empty_name_is_the_default() {
    let strategy = strategy(
        "plugins: [{type: pd-group-producer, parameters: {pdLabelName: '', leaderValue: ''}}, {type: pd-group-filter}]",
    );
    let told: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
    let default = |field: &str, default: &str| {
        format!(
            "plugins[0].parameters.{field}: \"\" counts as the default, {default:?}; leave it out, or write that"
        )
    };
    assert_eq!(told, [default("pdLabelName", "openfuyao.com/pdRole"), default("leaderValue", "leader")]);
}
