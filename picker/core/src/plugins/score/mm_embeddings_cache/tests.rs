use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::request::Request;
use crate::testing::{Instance, unknown};

const KIND: &str = MmEmbeddingsCacheScorer::TYPE;

fn scores(items: &[u64], matched: &[u32], count: usize) -> Vec<f32> {
    let found = EncoderCacheMatch { items: items.into(), matched: matched.to_vec() };
    Instance::new(KIND, json!({})).unwrap().knowing(found).scores(&Request::default(), &unknown(count))
}

#[test]
fn the_share_of_items_that_a_server_has() {
    assert_eq!(scores(&[1, 2, 3, 4], &[0, 1, 4, 3], 4), [0.0, 0.25, 1.0, 0.75]);
    assert_eq!(scores(&[1], &[], 2), [0.0, 0.0]);
    assert_eq!(scores(&[], &[], 2), [0.0, 0.0]);
}

proptest! {
    /// matched item size / total item size, each item counts 1; 0 without items.
    #[test]
    fn agrees_with_the_published_formula(total in 0..9_u32, matched in prop::collection::vec(0..9_u32, 1..20)) {
        let matched: Vec<_> = matched.into_iter().map(|matched| matched.min(total)).collect();
        let items: Vec<_> = (0..u64::from(total)).collect();
        let ours = scores(&items, &matched, matched.len());
        for (ours, matched) in ours.into_iter().zip(matched) {
            let published = if total == 0 { 0.0 } else { f64::from(matched) / f64::from(total) };
            prop_assert!((f64::from(ours) - published).abs() < 1e-5);
        }
    }
}
