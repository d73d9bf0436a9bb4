use futures::stream;

use super::*;
use crate::view;

/// A list that fails: its beginning, and its error.
fn failure() -> [watcher::Result<Event<u8>>; 2] {
    [Ok(Event::Init), Err(watcher::Error::NoResourceVersion)]
}

fn errors(metrics: &Metrics) -> u64 {
    metrics.scraping.watch_errors.get_or_create(&Watch { watch: "w" }).get()
}

#[tokio::test(start_paused = true)]
async fn pauses_double_although_each_attempt_begins_well() {
    let metrics = Metrics::new(view::empty());
    let attempts =
        (0..7).flat_map(|_| failure()).chain([Ok(Event::InitDone)]).chain(failure()).chain([Ok(Event::Init)]);
    let mut events = Events::over(stream::iter(attempts.collect::<Vec<_>>()), &metrics, "w");
    let started = Instant::now();
    let mut at = Vec::new();
    for _ in 0..10 {
        let event = events.next().await;
        at.push((matches!(event, Event::Init), started.elapsed().as_millis()));
    }
    // After the list that was complete, the pauses begin anew.
    let expected = [0, 100, 300, 700, 1500, 2500, 3500].map(|at| (true, at));
    assert_eq!(at, [expected.as_slice(), &[(false, 4500), (true, 4500), (true, 4600)]].concat());
    assert_eq!(errors(&metrics), 8);
}

#[tokio::test(start_paused = true)]
async fn a_pause_goes_on_where_it_was_left() {
    let metrics = Metrics::new(view::empty());
    let attempts = failure().into_iter().chain([Ok(Event::InitDone)]);
    let mut events = Events::over(stream::iter(attempts.collect::<Vec<_>>()), &metrics, "w");
    assert!(matches!(events.next().await, Event::Init));
    let started = Instant::now();
    let early = tokio::time::timeout(Duration::from_millis(60), events.next()).await;
    assert!(early.is_err());
    assert!(matches!(events.next().await, Event::InitDone));
    assert_eq!(started.elapsed().as_millis(), 100);
}

#[test]
fn causes_are_told_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(&'static str, #[source] std::io::Error);
    let refused = || std::io::Error::other("refused");
    assert_eq!(chain(&Outer("cannot connect", refused())), "cannot connect: refused");
    assert_eq!(chain(&Outer("cannot connect: refused", refused())), "cannot connect: refused");
}

/// The answer of an API server with this status.
fn refused(code: u16) -> watcher::Error {
    let status = kube::core::Status { code, ..kube::core::Status::default() };
    watcher::Error::InitialListFailed(kube::Error::Api(Box::new(status)))
}

#[tokio::test(start_paused = true)]
async fn an_optional_kind_that_is_not_there_has_no_objects_and_is_looked_for_every_eight_seconds() {
    let metrics = Metrics::new(view::empty());
    let up = || metrics.scraping.watch_up.get(&Watch { watch: "w" }).map(|gauge| gauge.get());
    let attempts: Vec<watcher::Result<Event<u8>>> = vec![
        Ok(Event::Init),
        Err(refused(404)),
        Ok(Event::Init),
        Err(refused(403)),
        Ok(Event::Init),
        Ok(Event::InitDone),
        Err(refused(404)),
        Err(refused(500)),
        Ok(Event::Init),
    ];
    let mut events = Events::over(stream::iter(attempts), &metrics, "w");
    events.optional = true;
    let started = Instant::now();
    let mut seen = Vec::new();
    for _ in 0..8 {
        let event = events.next().await;
        seen.push((matches!(event, Event::InitDone), started.elapsed().as_millis(), up()));
    }
    let expected = [
        (false, 0, None),
        (true, 0, None),
        (false, 8_000, None),
        (true, 8_000, None),
        (false, 16_000, None),
        (true, 16_000, Some(1)),
        (true, 16_000, None),
        // Anything else is a failure.
        (false, 24_100, Some(0)),
    ];
    assert_eq!((seen.as_slice(), errors(&metrics)), (expected.as_slice(), 1));
}
