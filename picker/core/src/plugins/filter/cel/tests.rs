use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::testing::{Instance, labelled, view, with_headers};
use crate::view::Signals;

const KIND: &str = "cel-filter";

const ZONES: [&[(&str, &str)]; 4] =
    [&[("zone", "a"), ("app.kubernetes.io/tier", "gold")], &[("zone", "b")], &[], &[("zone", "a")]];

#[rstest]
#[case("endpoint.labels.zone == 'a'", "Keep", &[0, 2, 3])]
#[case("endpoint.labels.zone == 'a'", "Remove", &[0, 3])]
#[case("endpoint.labels['app.kubernetes.io/tier'] == 'gold'", "Remove", &[0])]
#[case("!('zone' in endpoint.labels) || endpoint.labels.zone in ['b', 'c']", "Remove", &[1, 2])]
#[case("has(endpoint.labels.zone)", "Remove", &[0, 1, 3])]
#[case("endpoint.labels.zone == request.headers['x-zone']", "Remove", &[1])]
#[case("endpoint.labels.zone == request.headers['x-none']", "Remove", &[])]
#[case("endpoint.labels.zone == request.headers['x-none']", "Keep", &[0, 1, 2, 3])]
#[case("endpoint.name.endsWith('-1-rank-0') || endpoint.name.contains('pod-2')", "Remove", &[1, 2])]
#[case("request.model == 'm'", "Remove", &[])]
#[case("!has(request.model)", "Remove", &[0, 1, 2, 3])]
#[case("true", "Remove", &[0, 1, 2, 3])]
#[case("false", "Keep", &[])]
fn endpoints_are_kept_where_it_is_true(
    #[case] expression: &str,
    #[case] on_error: &str,
    #[case] expected: &[usize],
) {
    let parameters = json!({"expression": expression, "onError": on_error});
    let mut filter = Instance::new(KIND, parameters).unwrap();
    let request = with_headers([("x-zone", "b")]);
    assert_eq!(filter.kept(&request, &labelled(ZONES)), expected);
    // And again, when labels have been compared before.
    assert_eq!(filter.kept(&request, &labelled(ZONES)), expected);
    let reversed: Vec<usize> = expected.iter().rev().map(|i| 3 - i).collect();
    let mut zones = ZONES;
    zones.reverse();
    if !expression.contains("name") {
        assert_eq!(filter.kept(&request, &labelled(zones)), reversed);
    }
}

#[test]
fn it_is_by_labels_where_it_reads_nothing_else() {
    let by_labels = |expression: &str| {
        Instance::new(KIND, json!({"expression": expression})).unwrap().roles.filter.unwrap().is_by_labels()
    };
    assert!(by_labels("endpoint.labels.zone == 'a' || has(endpoint.labels.b)"));
    assert!(!by_labels("endpoint.labels.zone == request.headers.zone"));
    assert!(!by_labels("endpoint.waiting < 5.0"));
    assert!(!by_labels("true"));
}

#[rstest]
#[case(json!({}), "expression: is required")]
#[case(
    json!({"expression": "true", "onError": "keep"}),
    "onError: unknown variant `keep`, expected `Keep` or `Remove`"
)]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] message: &str) {
    let error = Instance::new(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{message}")));
}

proptest! {
    #[test]
    fn the_published_rule(
        rows in prop::collection::vec(prop_oneof![4 => (0..20_u8).prop_map(|n| Some(f32::from(n))), 1 => Just(None), 1 => Just(Some(f32::NAN))], 1..20),
        limit in 0..20_u8,
        zone in prop::option::of("[ab]"),
        keeps in any::<bool>(),
    ) {
        let view = view(rows.iter().map(|waiting| Signals { waiting: *waiting, ..Signals::default() }));
        let expression = format!("request.headers.zone == 'a' ? endpoint.waiting < {limit}.0 : endpoint.waiting >= {limit}.0");
        let on_error = if keeps { "Keep" } else { "Remove" };
        let mut filter = Instance::new(KIND, json!({"expression": expression, "onError": on_error})).unwrap();
        let request = with_headers(zone.as_deref().map(|zone| ("zone", zone)));
        let is_kept = |waiting: &Option<f32>| match (zone.as_deref(), waiting.filter(|w| !w.is_nan())) {
            (Some("a"), Some(waiting)) => waiting < f32::from(limit),
            (Some(_), Some(waiting)) => waiting >= f32::from(limit),
            _ => keeps,
        };
        let expected: Vec<usize> = (0..rows.len()).filter(|i| is_kept(&rows[*i])).collect();
        prop_assert_eq!(filter.kept(&request, &view), expected);
    }
}
