use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use crate::fact::RequestLoad;
use crate::request::Request;
use crate::testing::{Instance, build, labelled};

const KIND: &str = "context-length-aware";
const LABEL: &str = "llm-d.ai/context-length-range";

fn of(prompt: u64, filters: bool) -> Instance {
    let instance = Instance::new(KIND, json!({"enableFiltering": filters})).unwrap();
    instance.knowing(RequestLoad { prompt, ..RequestLoad::default() })
}

/// The published cases: the narrow range before the wide one, both before those out of range.
#[rstest]
#[case(1000, [0.3 + 0.7 * (0.7 / 1.2048 + 0.3 * 1048.0 / 2048.0), 0.3 / (1.0 + 7.192), 0.5, 0.0, 0.3 / 2.0])]
#[case(2000, [0.3 + 0.7 * (0.7 / 1.2048 + 0.3 * 48.0 / 2048.0), 0.3 / (1.0 + 6.192), 0.5, 0.0, 1.0])]
#[case(8192, [0.3 / (1.0 + 6.144), 0.3 + 0.7 * (0.7 / 3.4576 + 0.3), 0.5, 0.0, 0.3 / (1.0 + 6.192)])]
fn the_nearer_the_range_the_better(#[case] tokens: u64, #[case] expected: [f64; 5]) {
    let ranges = ["0-2048", "8192-32768", "", "many", "2000-2000"];
    let labels = ranges.map(|range| [(LABEL, range)]);
    let view =
        labelled(labels.iter().map(|label| if label[0].1.is_empty() { &label[..0] } else { &label[..] }));
    let scores = of(tokens, false).scores(&Request::default(), &view);
    for (score, expected) in scores.iter().zip(expected) {
        assert!((f64::from(*score) - expected).abs() < 1e-6, "{scores:?}");
    }
    let wanted: Vec<usize> = (0..5).filter(|&i| expected[i] > 0.3).collect();
    assert_eq!(of(tokens, true).kept(&Request::default(), &view), wanted);
}

#[test]
fn the_label_must_have_a_name() {
    let error = build(KIND, json!({"label": ""})).err().unwrap().to_string();
    assert_eq!(error, "plugins[0].parameters.label: must be the name of a label");
}

/// The published rule, restated.
fn restated(tokens: f64, range: Option<(f64, f64)>) -> f64 {
    match range {
        None => 0.5,
        Some((min, max)) if min > max => 0.0,
        Some((min, _)) if tokens < min => 0.3 / (1.0 + (min - tokens) / 1000.0),
        Some((_, max)) if tokens > max => 0.3 / (1.0 + (tokens - max) / 1000.0),
        Some((min, max)) if min == max => 1.0,
        Some((min, max)) => {
            0.3 + 0.7 * (0.7 * (1.0 / (1.0 + (max - min) / 10000.0)) + 0.3 * ((max - tokens) / (max - min)))
        }
    }
}

proptest! {
    #[test]
    fn the_published_rule_holds(ranges in prop::collection::vec(prop::option::of((0..9000_u32, 0..9000_u32)), 1..12), tokens in 0..9000_u32) {
        let texts: Vec<Option<String>> = ranges.iter().map(|r| r.map(|(min, max)| format!("{min}-{max}"))).collect();
        let labels: Vec<Vec<(&str, &str)>> =
            texts.iter().map(|text| text.as_deref().map(|text| (LABEL, text)).into_iter().collect()).collect();
        let view = labelled(labels.iter().map(Vec::as_slice));
        let scores = of(tokens.into(), false).scores(&Request::default(), &view);
        for (score, range) in scores.iter().zip(&ranges) {
            let expected = restated(tokens.into(), range.map(|(min, max)| (min.into(), max.into())));
            prop_assert!((f64::from(*score) - expected).abs() < 1e-5, "{range:?}: {score} {expected}");
        }
        let kept = of(tokens.into(), true).kept(&Request::default(), &view);
        let expected: Vec<usize> = (0..ranges.len())
            .filter(|&i| ranges[i].is_none_or(|(min, max)| min <= tokens && tokens <= max))
            .collect();
        prop_assert_eq!(kept, expected);
    }
}
