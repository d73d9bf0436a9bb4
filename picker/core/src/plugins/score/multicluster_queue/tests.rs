use proptest::prelude::*;

use super::super::cluster_signal::tests::scored;
use super::*;

proptest! {
    /// The published rule, in which clusters that tell nothing are left unscored.
    #[test]
    fn the_published_rule_holds(queues in prop::collection::vec(prop_oneof![3 => 0.0_f32..50.0, 1 => Just(f32::NAN), 1 => Just(5.0)], 1..12)) {
        let known: Vec<f64> = queues.iter().filter(|queue| !queue.is_nan()).map(|queue| f64::from(*queue)).collect();
        let (least, most) = known.iter().fold((f64::MAX, f64::MIN), |(l, m), queue| (l.min(*queue), m.max(*queue)));
        for (score, queue) in scored(MulticlusterQueueScorer::TYPE, &queues).into_iter().zip(&queues) {
            let expected = match (queue.is_nan(), most == least) {
                (true, _) => 0.0,
                (false, true) => 1.0,
                (false, false) => (most - f64::from(*queue)) / (most - least),
            };
            prop_assert!((f64::from(score) - expected).abs() < 1e-5, "{score} {expected}");
        }
    }
}
