use proptest::prelude::*;

use super::super::cluster_signal::tests::scored;
use super::*;

proptest! {
    /// The published rule, in which clusters that tell nothing are left unscored.
    #[test]
    fn the_published_rule_holds(shares in prop::collection::vec(prop_oneof![3 => 0.0_f32..1.0, 1 => Just(f32::NAN)], 1..12)) {
        let scores = scored(MulticlusterKvCacheUtilizationScorer::TYPE, &shares);
        for (score, share) in scores.into_iter().zip(&shares) {
            let expected = if share.is_nan() { 0.0 } else { 1.0 - f64::from(*share) };
            prop_assert!((f64::from(score) - expected).abs() < 1e-5, "{score} {expected}");
        }
    }
}
