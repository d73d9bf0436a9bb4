use super::*;

#[test]
fn an_absent_api_is_decided_but_not_listed() {
    let index = Index::<u8>::default();
    assert!(!index.is_decided());
    index.absent();
    assert!(index.is_decided() && !index.is_listed());
    index.replace(Objects::new());
    assert!(index.is_decided() && index.is_listed());
}

#[test]
fn objects_are_found_by_namespace() {
    let index = Index::default();
    assert_eq!(index.insert("a", "x", Arc::new(1)), None);
    assert_eq!(index.insert("b", "x", Arc::new(2)), None);
    assert_eq!(index.insert("a", "x", Arc::new(3)), Some(Arc::new(1)));
    assert_eq!(index.within("a"), [Arc::new(3)]);
    assert_eq!(index.remove("a", "x"), Some(Arc::new(3)));
    assert_eq!(index.within("a"), []);
    assert_eq!(index.all(), [Arc::new(2)]);
}

#[test]
fn objects_are_found_by_label() {
    let index = Index::<(&str, u8)>::by_label(|object| Some(object.0).filter(|label| !label.is_empty()));
    let found = |label: &str| index.labelled("a", label).iter().map(|o| o.1).collect::<Vec<_>>();
    index.insert("a", "x", Arc::new(("chat", 1)));
    index.insert("a", "y", Arc::new(("chat", 2)));
    index.insert("b", "x", Arc::new(("chat", 3)));
    index.insert("a", "z", Arc::new(("", 4)));
    assert_eq!((found("chat"), found("code"), found("")), (vec![1, 2], vec![], vec![]));
    // A label that changes takes its object along.
    index.insert("a", "x", Arc::new(("code", 5)));
    assert_eq!((found("chat"), found("code")), (vec![2], vec![5]));
    index.remove("a", "y");
    assert_eq!((found("chat"), found("code")), (vec![], vec![5]));
    let listed = [("x".to_owned(), Arc::new(("chat", 6)))].into();
    index.replace([("a".to_owned(), listed)].into());
    assert_eq!((found("chat"), found("code")), (vec![6], vec![]));
    index.absent();
    assert_eq!(found("chat"), Vec::<u8>::new());
}
