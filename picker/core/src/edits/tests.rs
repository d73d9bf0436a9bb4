use super::*;

#[test]
fn the_last_word_on_a_header_wins() {
    let mut edits = Edits::default();
    edits.set_header("a", "1");
    edits.remove_header("b");
    edits.remove_header("a");
    edits.set_header("b", "2");
    edits.set_header("b", "3");
    assert_eq!(edits.headers(), [("b".into(), Bytes::from("3"))]);
    assert_eq!(edits.removed(), ["a"]);
}

#[test]
fn splices_are_in_order_and_never_overlap() {
    let mut edits = Edits::default();
    let fits = [(4..6, "x"), (0..2, "y"), (1..5, "z"), (2..4, ""), (6..6, "i"), (5..9, "w")]
        .map(|(range, with)| edits.splice(range, with));
    assert_eq!(fits, [true, true, false, true, true, false]);
    let ranges: Vec<_> = edits.splices().iter().map(|s| s.range.clone()).collect();
    assert_eq!(ranges, [0..2, 2..4, 4..6, 6..6]);
}

#[test]
fn metadata_has_one_value_for_a_key_and_only_finite_numbers() {
    let mut edits = Edits::default();
    edits.number("envoy.lb", "cost", f64::NAN);
    assert!(edits.is_empty());
    edits.number("envoy.lb", "cost", 1.0);
    edits.number("envoy.lb", "cost", 2.0);
    edits.text("waypost.dev", "cost", "much");
    let values: Vec<_> = edits.metadata().iter().map(|m| m.value.clone()).collect();
    assert_eq!(values, [MetadataValue::Number(2.0), MetadataValue::Text("much".into())]);
}
