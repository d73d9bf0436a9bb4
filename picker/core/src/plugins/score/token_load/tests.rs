use rstest::rstest;
use serde_json::{Value, json};

use crate::endpoint::Load;
use crate::fact::RequestLoad;
use crate::request::Request;
use crate::testing::{Instance, strategy, unknown};

const KIND: &str = "token-load-scorer";

#[rstest]
#[case::default_threshold(json!({}), &[0, 1_048_576, 4_194_304, 5_000_000], &[0, 0, 0, 0], &[1.0, 0.75, 0.0, 0.0])]
#[case::of_this_request(json!({"queueThresholdTokens": 1000}), &[0, 0, 0], &[0, 250, 1001], &[1.0, 0.75, 0.0])]
#[case::both(json!({"queueThresholdTokens": 1000}), &[500, 250, 999], &[0, 125, 500], &[0.5, 0.625, 0.0])]
#[case::no_threshold(json!({"queueThresholdTokens": 0}), &[1_048_576], &[0], &[0.75])]
#[case::more_than_can_be_counted(json!({}), &[u64::MAX], &[u64::MAX], &[0.0])]
fn scores_by_tokens(
    #[case] parameters: Value,
    #[case] under_way: &[u64],
    #[case] uncached: &[u64],
    #[case] expected: &[f32],
) {
    let view = unknown(under_way.len());
    for (endpoint, &tokens) in view.endpoints.iter().zip(under_way) {
        endpoint.live().add(Load { requests: 1, tokens });
    }
    let load = RequestLoad { prompt: 0, output: 0, uncached: uncached.into() };
    let scorer = Instance::new(KIND, parameters).unwrap().knowing(load);
    assert_eq!(scorer.scores(&Request::default(), &view), expected);
}

#[test]
fn answers_count_and_so_do_whole_prompts_where_nothing_is_known() {
    let scorer = Instance::new(KIND, json!({"queueThresholdTokens": 1000})).unwrap();
    let scorer = scorer.knowing(RequestLoad { prompt: 200, output: 50, uncached: vec![] });
    assert_eq!(scorer.scores(&Request::default(), &unknown(2)), [0.75, 0.75]);
}

#[test]
fn a_threshold_of_nothing_is_the_default() {
    let routing = json!({"plugins": [{"type": KIND, "parameters": {"queueThresholdTokens": 0}}]});
    let warnings =
        strategy(&routing.to_string()).warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = "plugins[0].parameters.queueThresholdTokens: 0 counts as the default, 4194304; leave it out, or write that";
    assert_eq!(warnings, [expected]);
}
