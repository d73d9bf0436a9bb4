use futures::stream;

use super::*;

/// An object of a namespace, and its state.
type Object = (&'static str, &'static str, u8);

fn key((namespace, name, _): &Object) -> Key {
    ((*namespace).to_owned(), (*name).to_owned())
}

fn noted(events: Vec<(usize, Event<Object>)>) -> Vec<String> {
    let new = || Watched { known: HashMap::new(), listing: HashMap::new(), listed: false };
    let mut state = Merged { watches: vec![new(), new()], told: false };
    let told = events.into_iter().flat_map(|(at, event)| state.note(at, event, &key));
    told.map(|event| format!("{event:?}")).collect()
}

/// Before every namespace is listed, nothing can be told from what is not there.
#[test]
fn there_is_one_list_when_all_are_listed() {
    let told = noted(vec![
        (0, Event::Init),
        (1, Event::Init),
        (0, Event::InitApply(("a", "x", 1))),
        (0, Event::InitDone),
        (0, Event::Apply(("a", "y", 1))),
        (0, Event::Delete(("a", "x", 1))),
        (1, Event::InitApply(("b", "x", 1))),
        (1, Event::InitDone),
    ]);
    let expected = ["Init", "InitApply((\"a\", \"y\", 1))", "InitApply((\"b\", \"x\", 1))", "InitDone"];
    assert_eq!(told, expected);
}

/// A watch that was away lists again: of the other nothing is lost, and what is gone is told.
#[test]
fn a_later_list_is_the_changes_that_it_shows() {
    let listed = |at| vec![(at, Event::Init), (at, Event::InitDone)];
    let mut events = [listed(0), listed(1)].concat();
    events.extend([
        (0, Event::Apply(("a", "x", 1))),
        (0, Event::Apply(("a", "z", 1))),
        (1, Event::Apply(("b", "x", 1))),
        (0, Event::Init),
        (0, Event::InitApply(("a", "x", 2))),
        (0, Event::InitDone),
        (1, Event::Delete(("b", "x", 1))),
    ]);
    let expected = [
        "Init",
        "InitDone",
        "Apply((\"a\", \"x\", 1))",
        "Apply((\"a\", \"z\", 1))",
        "Apply((\"b\", \"x\", 1))",
        "Apply((\"a\", \"x\", 2))",
        "Delete((\"a\", \"z\", 1))",
        "Delete((\"b\", \"x\", 1))",
    ];
    assert_eq!(noted(events), expected);
}

#[tokio::test]
async fn one_watch_is_as_it_is() {
    let events = [Event::Init, Event::InitApply(("a", "x", 1)), Event::InitDone, Event::Init];
    let one = stream::iter(events.clone()).boxed();
    let told: Vec<_> = merged(vec![one], key).map(|event| format!("{event:?}")).collect().await;
    assert_eq!(told, events.map(|event| format!("{event:?}")));
}
