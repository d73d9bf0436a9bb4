use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fact::PrefixMatch;
use crate::request::Request;
use crate::testing::{Instance, build, view};
use crate::view::Signals;

const KIND: &str = "latency-scorer";

fn scores(parameters: Value, rows: &[(f32, f32, u32)]) -> Vec<f32> {
    let matched = rows.iter().map(|row| row.2).collect();
    let found = PrefixMatch { hashes: vec![1, 2, 3, 4], block_tokens: 64, matched };
    let known = |v: f32| Some(v).filter(|v| v.is_finite());
    let view = view(rows.iter().map(|&(kv_usage, waiting, _)| Signals {
        kv_usage: known(kv_usage),
        waiting: known(waiting),
        ..Signals::default()
    }));
    Instance::new(KIND, parameters).unwrap().knowing(found).scores(&Request::default(), &view)
}

const NAN: f32 = f32::NAN;

#[rstest]
#[case::all_three(json!({}), &[(0.0, 0.0, 4), (1.0, 8.0, 0), (0.5, 4.0, 2)], &[1.0, 0.0, 0.5])]
#[case::rounded(json!({}), &[(0.123, 0.0, 0), (0.0, 3.0, 1)], &[0.63, 0.42])]
#[case::weights(json!({"compositeKVWeight": 3, "compositeQueueWeight": 0, "compositePrefixWeight": 1}), &[(0.2, 9.0, 4)], &[0.85])]
#[case::no_weights(json!({"compositeKVWeight": 0, "compositeQueueWeight": 0, "compositePrefixWeight": 0}), &[(0.25, 9.0, 4)], &[0.75])]
#[case::nobody_waits(json!({"compositeKVWeight": 0, "compositePrefixWeight": 0}), &[(0.0, 0.0, 0), (0.9, 0.0, 4)], &[1.0, 1.0])]
#[case::the_unknown_is_the_mean(json!({"compositePrefixWeight": 0}), &[(0.0, 0.0, 0), (1.0, 2.0, 0), (NAN, NAN, 0)], &[1.0, 0.0, 0.5])]
#[case::all_unknown(json!({"compositePrefixWeight": 0}), &[(NAN, NAN, 0), (NAN, NAN, 0)], &[1.0, 1.0])]
fn the_composite_is_the_weighted_mean(
    #[case] parameters: Value,
    #[case] rows: &[(f32, f32, u32)],
    #[case] expected: &[f32],
) {
    assert_eq!(scores(parameters, rows), expected);
}

#[test]
fn what_needs_predictions_is_taken_with_a_warning() {
    let parameters = json!({
        "ttftWeight": 0.8, "tpotWeight": 0.2, "headroomSelectionStrategy": "most", "latencyPredictionInfoProducerName": "p",
    });
    let routing = json!({"plugins": [{"type": KIND, "parameters": parameters}]});
    let strategy = crate::testing::strategy(&routing.to_string());
    let fields: Vec<_> = strategy.warnings.iter().map(|warning| warning.path.clone()).collect();
    let of = |name: &str| format!("plugins[0].parameters.{name}");
    assert_eq!(
        fields,
        ["ttftWeight", "tpotWeight", "headroomSelectionStrategy", "latencyPredictionInfoProducerName"]
            .map(of)
    );
    let error = build(KIND, json!({"compositeQueueWeight": -1})).err().unwrap().to_string();
    assert_eq!(error, "plugins[0].parameters.compositeQueueWeight: must lie between 0 and 1e6");
}

proptest! {
    /// The published rule: what is known of all endpoints.
    #[test]
    fn the_published_rule_holds(
        rows in prop::collection::vec((0.0_f32..=1.0, 0..20_u32, 0..=4_u32), 1..12),
        weights in prop::array::uniform3(0..4_u32),
    ) {
        let [kv, queue, prefix] = weights.map(f64::from);
        let parameters =
            json!({"compositeKVWeight": kv, "compositeQueueWeight": queue, "compositePrefixWeight": prefix});
        let found = scores(parameters, &rows.iter().map(|&(kv, q, m)| (kv, q as f32, m)).collect::<Vec<_>>());
        let sum = kv + queue + prefix;
        let (kv, queue, prefix) = if sum > 0.0 { (kv / sum, queue / sum, prefix / sum) } else { (1.0, 0.0, 0.0) };
        let most = rows.iter().map(|row| row.1).max().unwrap();
        for (score, &(usage, waiting, matched)) in found.iter().zip(&rows) {
            let short = if most > 0 { f64::from(most - waiting) / f64::from(most) } else { 1.0 };
            let composite = kv * (1.0 - f64::from(usage)) + queue * short + prefix * f64::from(matched) / 4.0;
            // Rounding to hundredths may fall either way where it is close.
            prop_assert!((f64::from(*score) - composite).abs() < 0.005 + 1e-5, "{score} {composite}");
            prop_assert!((f64::from(*score) * 100.0).fract().min(1.0 - (f64::from(*score) * 100.0).fract()) < 1e-4);
        }
    }
}
