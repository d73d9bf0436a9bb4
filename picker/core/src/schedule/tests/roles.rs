//! The roles around filters, scorers and pickers.

use super::*;

/// Notes what it is told of a response, and says so in edits.
#[derive(Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

struct Watch(Arc<Mutex<Vec<String>>>);

impl Observer for Notes {
    fn watch(&self, _: &Ask<'_>, decision: &Decision) -> Option<Box<dyn ResponseWatch>> {
        self.0.lock().unwrap().push(format!("to {:?}", decision.destination().unwrap()));
        Some(Box::new(Watch(self.0.clone())))
    }
}

impl ResponseWatch for Watch {
    fn head(&mut self, head: &ResponseHead<'_>, edits: &mut Edits) {
        self.0.lock().unwrap().push(format!("head {:?}", head.status));
        edits.set_header("x-seen", "yes");
    }

    fn chunk(&mut self, piece: &[u8]) {
        self.0.lock().unwrap().push(format!("chunk {}", piece.len()));
    }

    fn ended(&mut self, outcome: &Outcome, edits: &mut Edits) {
        self.0.lock().unwrap().push(format!("{outcome:?}"));
        edits.number("test", "tokens", 1.0);
    }
}

/// Books ten tokens on every endpoint that was picked, and changes the request.
struct Books;

impl PreRequest for Books {
    fn pre_request(&self, _: &Ask<'_>, decision: &Decision, launch: &mut Launch<'_>) {
        for (profile, endpoint) in decision.firsts() {
            let until = if profile == 0 { Until::End } else { Until::FirstByte };
            launch.book(endpoint, Load { requests: 0, tokens: 10 }, until);
        }
        launch.edits.set_header("x-prefill", "10.0.0.1:8000");
    }
}

struct Turnstile;

impl Admitter for Turnstile {
    fn admit(&self, ask: &Ask<'_>, candidates: &Candidates, _: &mut Cx) -> Result<(), Refusal> {
        assert_eq!(candidates.len(), ask.view.len());
        Err(RefusalKind::Shed.into())
    }
}

fn observed(strategy: &mut Strategy) -> Arc<Mutex<Vec<String>>> {
    let notes = Notes::default();
    let seen = notes.0.clone();
    strategy.observers = Box::new([named("notes", Arc::new(notes) as Arc<dyn Observer>)]);
    seen
}

/// Requests and tokens booked on each endpoint.
fn load(view: &View) -> Vec<(u32, u64)> {
    view.endpoints.iter().map(|e| (e.live().in_flight(), e.live().tokens())).collect()
}

/// Two profiles: the first one picks endpoint 0, which is the destination, and the second one endpoint 1.
fn decode_and_prefill() -> Strategy {
    let mut strategy = strategy(vec![
        profile_of(vec![Arc::new(Keep(&[0]))], vec![], pick::default()),
        profile_of(vec![Arc::new(Keep(&[1]))], vec![], pick::default()),
    ]);
    strategy.handler = Arc::new(Sequence { profiles: &[0, 1], primary: 0 });
    strategy
}

#[test]
fn screeners_take_candidates_out_for_all_and_leave_nobody_with_a_reason() {
    let screened = |keep: &'static [usize]| {
        let mut strategy = strategy(vec![profile_of(vec![], vec![], Arc::new(Noting::default()))]);
        strategy.screeners = Box::new([named("screener", Arc::new(Keep(keep)) as Arc<dyn Screener>)]);
        route(&Arc::new(strategy), &unknown(4), None).map(|flight| flight.targets().len())
    };
    assert_eq!(screened(&[1, 3]), Ok(2));
    assert_eq!(screened(&[]), Err(RefusalKind::NoEndpoints.into()));
}

#[test]
fn an_admitter_refuses_before_any_profile_runs() {
    let mut strategy = strategy(vec![profile_of(vec![Arc::new(Broken)], vec![], pick::default())]);
    strategy.admitters = Box::new([named("turnstile", Arc::new(Turnstile) as Arc<dyn Admitter>)]);
    let view = unknown(2);
    assert_eq!(route(&Arc::new(strategy), &view, None).err(), Some(RefusalKind::Shed.into()));
    assert_eq!(load(&view), [(0, 0); 2]);
}

#[test]
fn every_profile_books_and_the_first_byte_and_the_end_give_back() {
    let mut strategy = decode_and_prefill();
    strategy.pre_requests = Box::new([named("books", Arc::new(Books) as Arc<dyn PreRequest>)]);
    let view = unknown(2);
    let mut flight = route(&Arc::new(strategy), &view, None).unwrap();
    assert_eq!(load(&view), [(1, 10), (1, 10)]);
    assert_eq!(flight.edits().headers(), [("x-prefill".into(), Bytes::from("10.0.0.1:8000"))]);
    flight.chunk(b"", || panic!("nothing has come"));
    assert_eq!(load(&view), [(1, 10), (1, 10)]);
    flight.chunk(b"token", Instant::now);
    assert_eq!(load(&view), [(1, 10), (0, 0)]);
    flight.ended(None, Instant::now());
    assert_eq!(load(&view), [(0, 0), (0, 0)]);

    let mut strategy = decode_and_prefill();
    strategy.pre_requests = Box::new([named("books", Arc::new(Books) as Arc<dyn PreRequest>)]);
    drop(route(&Arc::new(strategy), &view, None).unwrap());
    assert_eq!(load(&view), [(0, 0), (0, 0)]);
}

/// Sends requests to all endpoints, each a target, with the second one as prefill server too.
fn with_targets() -> Strategy {
    let mut strategy = strategy(vec![
        profile_of(vec![], vec![], Arc::new(Noting::default())),
        profile_of(vec![Arc::new(Keep(&[1]))], vec![], pick::default()),
    ]);
    strategy.handler = Arc::new(Sequence { profiles: &[0, 1], primary: 0 });
    strategy.pre_requests = Box::new([named("books", Arc::new(Books) as Arc<dyn PreRequest>)]);
    strategy
}

/// Tells `flight` the head of its response, from `served`.
fn head(flight: &mut Flight, served: Option<&str>) {
    let headers = crate::request::Headers::default();
    let served = served.map(|address| address.parse().unwrap());
    flight.head(&ResponseHead { status: Some(200), headers: &headers, served });
}

#[test]
fn what_is_booked_on_the_first_target_moves_to_the_one_that_served() {
    let view = unknown(3);
    let strategy = Arc::new(with_targets());
    let mut flight = route(&strategy, &view, None).unwrap();
    let before = [(1, 10), (1, 10), (0, 0)];
    assert_eq!(load(&view), before);
    for served in [None, Some("10.0.0.0:8000"), Some("10.0.9.9:8000")] {
        head(&mut flight, served);
        assert_eq!(load(&view), before, "{served:?}");
    }
    head(&mut flight, Some("10.0.0.2:8000"));
    assert_eq!(load(&view), [(0, 0), (1, 10), (1, 10)]);
    flight.chunk(b"token", Instant::now);
    assert_eq!(load(&view), [(0, 0), (0, 0), (1, 10)]);
    flight.ended(None, Instant::now());
    assert_eq!(load(&view), [(0, 0); 3]);
    // One that is cut after it moved.
    let mut flight = route(&strategy, &view, None).unwrap();
    head(&mut flight, Some("10.0.0.1:8000"));
    assert_eq!(load(&view), [(0, 0), (2, 20), (0, 0)]);
    drop(flight);
    assert_eq!(load(&view), [(0, 0); 3]);
}

#[test]
fn without_headers_the_destination_alone_is_booked() {
    let view = unknown(2);
    let mut flight = route(&Arc::new(with_targets()), &view, None).unwrap();
    assert_eq!(load(&view), [(1, 10), (1, 10)]);
    flight.without_headers();
    assert_eq!(load(&view), [(1, 10), (0, 0)]);
    flight.ended(None, Instant::now());
    assert_eq!(load(&view), [(0, 0); 2]);
}

/// Sends requests to another port, which passes them on.
struct PassesOn(&'static str);

impl PreRequest for PassesOn {
    fn pre_request(&self, _: &Ask<'_>, _: &Decision, launch: &mut Launch<'_>) {
        launch.edits.set_destination(self.0);
    }
}

#[test]
fn another_port_that_passes_on_stands_for_the_destination() {
    let served = |sent_to: &'static str, told: &str| {
        let mut strategy = strategy(vec![profile_of(vec![], vec![], pick::default())]);
        strategy.pre_requests =
            Box::new([named("other", Arc::new(PassesOn(sent_to)) as Arc<dyn PreRequest>)]);
        let flight = route(&Arc::new(strategy), &unknown(1), None).unwrap();
        flight.served(told.parse().unwrap()).to_string()
    };
    assert_eq!(served("10.0.0.0:8001", "10.0.0.0:8001"), "10.0.0.0:8000");
    assert_eq!(served("10.0.0.7:1, 10.0.0.0:8001", "10.0.0.0:8001"), "10.0.0.0:8000");
    assert_eq!(served("10.0.0.0:8001", "10.0.0.0:8002"), "10.0.0.0:8002");
    assert_eq!(served("nowhere", "10.0.0.0:8002"), "10.0.0.0:8002");
}

#[test]
fn an_observer_sees_the_whole_response_and_its_outcome() {
    let mut strategy = strategy(vec![profile_of(vec![], vec![], pick::default())]);
    let seen = observed(&mut strategy);
    let (view, start) = (unknown(1), Instant::now());
    let mut cx = Cx::new(start, 1);
    let mut flight = strategy.route(&Request::default(), &view, None, &mut cx).unwrap();
    let after = |millis| start + Duration::from_millis(millis);
    let served = Some(view.endpoints[0].address);
    let headers = crate::request::Headers::default();
    let edits = flight.head(&ResponseHead { status: Some(200), headers: &headers, served });
    assert_eq!(edits.headers(), [("x-seen".into(), Bytes::from("yes"))]);
    flight.chunk(b"four", || after(20));
    flight.chunk(b"seven77", || panic!("the first byte has come before"));
    let usage = Some(Usage { prompt: 8, cached: 4, completion: 2, reasoning: 0 });
    let edits = flight.ended(usage, after(50));
    assert_eq!(edits.metadata().len(), 1);
    let outcome = Outcome {
        ending: Ending::Complete,
        status: Some(200),
        first_byte: Some(Duration::from_millis(20)),
        duration: Some(Duration::from_millis(50)),
        usage,
        served,
    };
    let wanted =
        ["to [0]", "head Some(200)", "chunk 4", "chunk 7", &format!("{outcome:?}")].map(str::to_owned);
    assert_eq!(*seen.lock().unwrap(), wanted);
}

#[test]
fn a_response_that_is_cut_off_is_told_once() {
    let mut strategy = strategy(vec![profile_of(vec![], vec![], pick::default())]);
    let seen = observed(&mut strategy);
    drop(route(&Arc::new(strategy), &unknown(1), None).unwrap());
    let outcome = Outcome {
        ending: Ending::Cut,
        status: None,
        first_byte: None,
        duration: None,
        usage: None,
        served: None,
    };
    assert_eq!(*seen.lock().unwrap(), ["to [0]".to_owned(), format!("{outcome:?}")]);
}

/// Keeps all but those below `from`, says why, and reads the position.
struct From(usize);

impl Filter for From {
    fn filter(&self, _: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        keep.retain(|i| i >= self.0);
    }

    fn why(&self, _: &Ask<'_>, endpoint: usize) -> Option<String> {
        (endpoint > 0).then(|| format!("below {}", self.0))
    }

    fn inputs(&self, _: &Ask<'_>, inputs: &mut Inputs<'_>) {
        inputs.number("position", |i| i as f32);
    }
}

#[test]
fn a_trace_tells_every_step_with_who_was_removed_and_why() {
    let mut strategy = strategy(vec![profile_of(
        vec![Arc::new(From(2))],
        vec![(2.0, Fixed(&[0.0, 0.0, 1.0, 0.25, 7.0]))],
        pick::default(),
    )]);
    strategy.screeners = Box::new([named("screener", Arc::new(Keep(&[0, 1, 2, 3, 4])) as Arc<dyn Screener>)]);
    let (mut explain, mut cx) = (Explain::timed(Instant::now), Cx::new(Instant::now(), 1));
    let prepared = Prepared::default();
    let flight = strategy
        .route_traced(&Request::default(), &unknown(6), None, prepared, &mut cx, &mut explain)
        .unwrap();
    let picked = if pods(&flight) == ["pod-2"] { 2 } else { 4 };
    let removed = |why: Option<&str>, endpoints| Removed { why: why.map(str::to_owned), endpoints };
    let position = |values: &[f32]| vec![Input { name: "position".into(), values: values.into() }];
    assert_eq!(explain.candidates, [0, 1, 2, 3, 4, 5]);
    assert_eq!(explain.took.len(), explain.steps.len());
    assert_eq!(explain.totals(), [(2, 2.0), (3, 0.5), (4, 2.0)]);
    assert_eq!(
        explain.steps,
        [
            Step::Screened {
                plugin: "screener".into(),
                left: vec![0, 1, 2, 3, 4],
                removed: vec![removed(None, vec![5])]
            },
            Step::Profile("p".into()),
            Step::Filtered {
                plugin: "filter".into(),
                left: vec![2, 3, 4],
                removed: vec![removed(None, vec![0]), removed(Some("below 2"), vec![1])],
                inputs: position(&[2.0, 3.0, 4.0, 0.0, 1.0]),
            },
            Step::Scored {
                plugin: "scorer".into(),
                weight: 2.0,
                scores: vec![(2, 1.0), (3, 0.25), (4, 1.0)],
                inputs: vec![],
            },
            Step::Picked {
                plugin: "picker".into(),
                picked: vec![picked],
                totals: vec![(2, 2.0), (3, 0.5), (4, 2.0)],
                ties: vec![2, 4],
            },
            Step::Launched { primary: 0, edits: Edited::default() },
        ]
    );
}
