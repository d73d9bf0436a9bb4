use std::sync::Mutex;

use futures::stream;

use super::*;

#[tokio::test(start_paused = true)]
async fn retries_are_neither_many_nor_far_apart() {
    let mut retry = Retry::default();
    let mut waits = |count| {
        let next = || {
            retry.reset();
            retry.next().unwrap().as_millis()
        };
        std::iter::repeat_with(next).take(count).collect::<Vec<_>>()
    };
    assert_eq!(waits(8), [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(waits(2), [50, 100]);
}

/// What a list leaves out was deleted while the watch was away, and is told.
#[tokio::test]
async fn lists_tell_what_changed() {
    let (index, told) = (Index::<(&str, u8)>::default(), Mutex::new(Vec::new()));
    let events = stream::iter([
        Event::Init,
        Event::InitApply(("a", 1)),
        Event::InitApply(("b", 1)),
        Event::InitDone,
        Event::Apply(("a", 1)),
        Event::Apply(("a", 2)),
        Event::Init,
        Event::InitApply(("a", 2)),
        Event::InitApply(("c", 1)),
        Event::InitDone,
        Event::Delete(("c", 1)),
    ])
    .map(|event| mapped(event, Arc::new));
    follow(
        events,
        &index,
        |v| (String::new(), v.0.to_owned()),
        |old, new| told.lock().unwrap().push((old.copied(), new.copied())),
        || {},
    )
    .await;
    assert_eq!(
        told.into_inner().unwrap(),
        [
            (None, Some(("a", 1))),
            (None, Some(("b", 1))),
            (Some(("a", 1)), Some(("a", 2))),
            (None, Some(("c", 1))),
            (Some(("b", 1)), None),
            (Some(("c", 1)), None),
        ]
    );
}
