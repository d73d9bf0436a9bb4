use rstest::rstest;
use serde_json::json;

use crate::column::{Column, Columns};
use crate::compile::compile;
use crate::config::Scope;
use crate::request::Request;
use crate::store::StateStore;
use crate::testing::{scores, view};
use crate::view::Signals;

const QUEUE: &str = "multicluster-queue-scorer";
const CACHE: &str = "multicluster-kv-cache-utilization-scorer";
const NAN: f32 = f32::NAN;

/// The scores of clusters that tell these numbers; NaN for one that tells none.
pub fn scored(kind: &str, values: &[f32]) -> Vec<f32> {
    // That of the first attribute that a strategy reads.
    let column = Columns::default().intern("first").unwrap();
    let told = |&value: &f32| Signals {
        // What a model server would tell is not looked at.
        waiting: Some(7.0),
        kv_usage: Some(0.3),
        others: if value.is_nan() { Vec::new() } else { vec![(column, value)] },
        ..Signals::default()
    };
    scores(kind, json!({}), &Request::default(), &view(values.iter().map(told)))
}

#[rstest]
#[case::queues(QUEUE, &[2.0, 4.0, 10.0], &[1.0, 0.75, 0.0])]
#[case::equal_queues(QUEUE, &[0.5, 0.5], &[1.0, 1.0])]
#[case::unknown_queues(QUEUE, &[2.0, NAN, 10.0], &[1.0, 0.0, 0.0])]
#[case::no_queues(QUEUE, &[NAN, NAN], &[0.0, 0.0])]
#[case::far_apart(QUEUE, &[f32::MIN, 0.0, f32::MAX], &[1.0, 0.5, 0.0])]
#[case::endless(QUEUE, &[f32::INFINITY, 1.0], &[0.0, 1.0])]
#[case::caches(CACHE, &[0.0, 0.25, 1.0], &[1.0, 0.75, 0.0])]
#[case::unknown_caches(CACHE, &[NAN, 0.25, f32::INFINITY], &[0.0, 0.75, 0.0])]
#[case::no_shares(CACHE, &[-1.0, 95.0], &[1.0, 0.0])]
fn clusters_are_scored_by_what_they_tell(
    #[case] kind: &str,
    #[case] values: &[f32],
    #[case] expected: &[f32],
) {
    assert_eq!(scored(kind, values), expected);
}

#[rstest]
#[case(QUEUE, "llm-d.ai/multicluster-queue-size")]
#[case(CACHE, "llm-d.ai/multicluster-kv-cache-utilization")]
fn without_an_extractor_of_it_the_strategy_is_refused(#[case] kind: &str, #[case] attribute: &str) {
    let routing = json!({"plugins": [{"type": kind}]});
    let errors = compile(&routing, Scope::File, &StateStore::default()).err().unwrap();
    let error = errors.0[0].to_string();
    let expected = format!(
        "plugins[0].parameters: nothing sets {attribute:?}; add a plugin of type multicluster-metrics-extractor"
    );
    assert_eq!(error, expected);
}

#[test]
fn the_types_for_clusters_are_those_for_servers_by_another_name() {
    let builtin = crate::plugins::builtin();
    for name in ["session-affinity-filter", "prefix-cache-scorer", "approx-prefix-cache-producer"] {
        let (one, of_clusters) =
            (builtin.find(name).unwrap(), builtin.find(&format!("multicluster-{name}")).unwrap());
        assert_eq!((one.roles, one.formula), (of_clusters.roles, of_clusters.formula));
        assert_eq!(one.schema(), of_clusters.schema());
    }
    assert_ne!(Column::WAITING, Columns::default().intern("first").unwrap());
}
