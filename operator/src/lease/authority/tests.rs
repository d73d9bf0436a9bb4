use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;

use super::super::marks::marked;
use super::*;

fn scope(namespace: Option<&str>) -> ScopeAuthority {
    let (leadership, marks) = (Leadership::default(), Arc::default());
    ScopeAuthority { namespace: namespace.map(str::to_owned), leadership, marks }
}

#[tokio::test(start_paused = true)]
async fn each_namespace_is_held_on_its_own() {
    let soon = Instant::now() + Duration::from_secs(10);
    let (home, scopes) = (Leadership::default(), vec![scope(Some("a")), scope(Some("b"))]);
    scopes[0].leadership.extend(soon);
    let authority = Authority::new("x/waypost".to_owned(), home.clone(), scopes, None);
    assert!(!authority.leads() && !authority.works_in("a"));
    home.extend(soon);
    assert!(authority.leads() && authority.works_in("a"));
    assert!(!authority.works_in("b") && !authority.works_in("c"));
    tokio::time::timeout(Duration::from_secs(1), authority.gained()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_yields_is_told_to_the_strategies() {
    let scope = scope(None);
    let lease = marked(Lease::default(), "y/waypost", Timestamp::UNIX_EPOCH);
    scope.marks.note(&lease, Instant::now());
    let authority = Authority::new("x/waypost".to_owned(), Leadership::alone(), vec![scope], None);
    let overlap = Overlap { holder: "x/waypost".to_owned(), yielding: vec!["y/waypost".to_owned()] };
    assert_eq!(authority.overlap("any"), Some(overlap));
    let mut last = LastLook::default();
    authority.changes(&mut last);
    assert_eq!(authority.changes(&mut last), Concerned::In([].into()));
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(authority.overlap("any"), None);
    assert_eq!(authority.changes(&mut last), Concerned::All);
    assert_eq!(Authority::alone().overlap("any"), None);
}

/// Whoever may write the Lease of a namespace moves the strategies of that one alone, and only by a change of who works
/// there.
#[tokio::test(start_paused = true)]
async fn a_lease_of_a_namespace_concerns_the_strategies_there() {
    let elsewhere = Arc::<Elsewhere>::default();
    let authority =
        Authority::new(String::new(), Leadership::alone(), vec![scope(None)], Some(elsewhere.clone()));
    let mut last = LastLook::default();
    authority.changes(&mut last);
    elsewhere.know();
    assert_eq!(authority.changes(&mut last), Concerned::All);
    let held = |holder: &str| [("a".to_owned(), holder.to_owned())].into();
    let a = || Concerned::In(["a".to_owned()].into());
    elsewhere.set(held("x"), Instant::now());
    assert_eq!(authority.changes(&mut last), a());
    elsewhere.set(held("y"), Instant::now());
    assert_eq!(authority.changes(&mut last), Concerned::In([].into()));
    // Taken and given back between two looks.
    elsewhere.set([].into(), Instant::now());
    elsewhere.set(held("y"), Instant::now());
    assert_eq!(authority.changes(&mut last), a());
}

#[tokio::test(start_paused = true)]
async fn a_mark_on_the_lease_of_a_namespace_concerns_the_strategies_there() {
    let scopes = vec![scope(Some("a")), scope(Some("b"))];
    let marks = scopes[1].marks.clone();
    let authority = Authority::new(String::new(), Leadership::alone(), scopes, None);
    let mut last = LastLook::default();
    authority.changes(&mut last);
    marks.note(&marked(Lease::default(), "y/waypost", Timestamp::UNIX_EPOCH), Instant::now());
    assert_eq!(authority.changes(&mut last), Concerned::In(["b".to_owned()].into()));
}
