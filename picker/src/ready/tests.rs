use super::*;

fn serving() -> Serving {
    Serving { revision: Some("r1".to_owned()), scrape: Some(Default::default()), ..Serving::default() }
}

fn progress(endpoints: usize, attempted: usize) -> Progress {
    Progress { listed: true, endpoints, attempted }
}

#[test]
fn what_is_missing_has_a_name() {
    assert_eq!(
        missing(&Serving::default(), Progress::default()),
        ["a routing: the API server has not told it yet", "the list of endpoints"]
    );
    let refused = Serving { error: Some("plugins[0].type: unknown".to_owned()), ..Serving::default() };
    assert_eq!(missing(&refused, progress(0, 0)), ["a routing that compiles: plugins[0].type: unknown"]);
    assert_eq!(missing(&serving(), progress(3, 1)), ["a first scrape of 2 of 3 endpoints"]);
}

#[test]
fn a_picker_is_ready_without_endpoints_and_without_need_of_metrics() {
    let nothing: [&str; 0] = [];
    assert_eq!(missing(&serving(), progress(0, 0)), nothing);
    assert_eq!(missing(&serving(), progress(3, 3)), nothing);
    assert_eq!(missing(&Serving { scrape: None, ..serving() }, progress(3, 0)), nothing);
    // One that serves the last good revision is ready, whatever the present one is.
    assert_eq!(missing(&Serving { error: Some("bad".to_owned()), ..serving() }, progress(0, 0)), nothing);
}

#[tokio::test(start_paused = true)]
async fn it_becomes_ready_once_and_drains_for_good() {
    let readiness = Readiness::default();
    let mut ready = readiness.subscribe();
    let (strategy, endpoints) = (watch::Sender::new(Serving::default()), watch::Sender::new(progress(1, 0)));
    let run = readiness.run(strategy.subscribe(), endpoints.subscribe());
    let steps = async {
        strategy.send_replace(serving());
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(readiness.state(), State::Starting(vec!["a first scrape of 1 of 1 endpoints".to_owned()]));
        assert!(!*ready.borrow_and_update());
        endpoints.send_replace(progress(1, 1));
    };
    tokio::join!(run, steps);
    assert_eq!(readiness.state(), State::Ready);
    assert!(*ready.borrow_and_update());
    readiness.drain();
    readiness.enter(State::Ready);
    assert_eq!(readiness.state(), State::Draining);
    assert!(!*ready.borrow_and_update());
}
