use super::*;

#[test]
fn the_table_is_in_the_order_of_the_kinds_and_its_names_are_unique() {
    for (n, row) in TABLE.iter().enumerate() {
        assert_eq!(row.kind as usize, n, "{row:?}");
        assert!(TABLE[..n].iter().all(|other| other.name != row.name), "{row:?}");
        assert!((400..600).contains(&row.status) && row.dropped.starts_with("rejected-"), "{row:?}");
    }
}

#[test]
fn a_refusal_says_what_the_table_says_or_something_more_precise() {
    let plain = Refusal::from(RefusalKind::NoEndpoints);
    assert_eq!(plain.message(), TABLE[0].message);
    assert_eq!(Refusal::with(RefusalKind::BadBody, "no JSON").message(), "no JSON");
}
