use std::collections::BTreeSet;
use std::time::Instant;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fact::Facts;
use crate::request::Request;
use crate::testing::{build, strategy, unknown};
use crate::view::Candidates;

/// What is picked in `draws` decisions, each time `count`, as positions among `totals`.
fn picks(count: i64, totals: &[f32], draws: u32) -> Vec<Vec<usize>> {
    let view = unknown(totals.len() + 1);
    let mut candidates = Candidates::of(&view.endpoints, None);
    candidates.retain(|i| i > 0);
    let picker = build("min-score-picker", json!({"maxNumOfEndpoints": count})).unwrap().picker.unwrap();
    let mut cx = Cx::new(Instant::now(), 1);
    let (request, facts) = (Request::default(), Facts::default());
    let ask = Ask { request: &request, view: &view, facts: &facts, done: &[], now: cx.now() };
    let mut pick = || picker.pick(&ask, &mut cx, Scored { candidates: &candidates, totals });
    (0..draws).map(|_| pick().iter().map(|&i| i as usize - 1).collect()).collect()
}

#[test]
fn several_are_named_lowest_first() {
    assert_eq!(picks(3, &[3.0, 0.5, -1.0, 2.0], 1), [[2, 1, 3]]);
}

#[test]
fn the_endpoint_without_load_wins_a_score_that_is_a_cost() {
    let strategy = strategy("plugins: [{type: kvcache-aware-scorer}, {type: min-score-picker}]");
    let view = crate::testing::view(
        [0.9, 0.1, 0.5]
            .map(|usage| crate::view::Signals { kv_usage: Some(usage), ..crate::view::Signals::default() }),
    );
    let flight = strategy.route(&Request::default(), &view, None, &mut Cx::new(Instant::now(), 1)).unwrap();
    assert_eq!(flight.targets()[0].pod, "pod-1");
}

#[test]
fn former_names_are_taken_with_a_warning() {
    for name in ["picker-min-random", "picker-pd-kv-cache-aware"] {
        let strategy = strategy(&format!("plugins: [{{type: kvcache-aware-scorer}}, {{type: {name}}}]"));
        let told: Vec<_> = strategy.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [format!("plugins[1].type: {name} is a former name of min-score-picker; write that")]
        );
    }
}

proptest! {
    /// Uniformly random among the candidates with the lowest total.
    #[test]
    fn picks_each_of_the_lowest_as_often_and_no_other(
        totals in prop::collection::vec(prop_oneof![Just(0.0_f32), Just(0.25), Just(1.0), -2.0_f32..2.0], 1..8),
    ) {
        const DRAWS: u32 = 2000;
        let lowest = totals.iter().copied().fold(f32::INFINITY, f32::min);
        let expected: BTreeSet<_> = (0..totals.len()).filter(|&n| totals[n] == lowest).collect();
        let mut counts = vec![0_u32; totals.len()];
        for picked in picks(1, &totals, DRAWS) {
            counts[picked[0]] += 1;
        }
        let share = 1.0 / expected.len() as f64;
        // Six standard deviations.
        let margin = 6.0 * (share * (1.0 - share) / f64::from(DRAWS)).sqrt();
        for (n, count) in counts.iter().enumerate() {
            let wanted = if expected.contains(&n) { share } else { 0.0 };
            prop_assert!((f64::from(*count) / f64::from(DRAWS) - wanted).abs() <= margin * wanted.ceil(), "{counts:?} of {totals:?}");
        }
    }
}
