use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use bytes::Bytes;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::compile::compile;
use crate::config::Scope;
use crate::cx::Cx;
use crate::http::NoClient;
use crate::prepare::Prepared;
use crate::request::Request;
use crate::role::Sleep;
use crate::store::StateStore;
use crate::strategy::Strategy;
use crate::testing::{build, request, unknown, view, view_of};
use crate::trace::NoTrace;
use crate::view::{Signals, View};

const KIND: &str = BurstPrefixCacheProducer::TYPE;

/// A clock that stands still but when it is told to go on.
#[derive(Clone)]
struct Clock {
    start: Instant,
    now: Arc<Mutex<(Duration, Vec<Waker>)>>,
}

impl Clock {
    fn new() -> Self {
        Self { start: Instant::now(), now: Arc::default() }
    }

    fn now(&self) -> Instant {
        self.start + self.now.lock().unwrap().0
    }

    fn go(&self, milliseconds: u64) {
        let mut now = self.now.lock().unwrap();
        now.0 += Duration::from_millis(milliseconds);
        now.1.drain(..).for_each(Waker::wake);
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        let (now, end) = (self.now.clone(), self.now.lock().unwrap().0 + duration);
        Box::pin(std::future::poll_fn(move |cx| {
            let mut now = now.lock().unwrap();
            if now.0 >= end {
                return Poll::Ready(());
            }
            now.1.push(cx.waker().clone());
            Poll::Pending
        }))
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A request that is being prepared, as a task: polled only when it was woken.
struct Task<'a> {
    work: std::pin::Pin<Box<dyn Future<Output = Prepared> + 'a>>,
    woken: Arc<Woken>,
    prepared: Option<Prepared>,
}

/// Requests of one strategy.
struct Stage<'a> {
    clock: Clock,
    view: &'a View,
    tasks: Vec<Option<Task<'a>>>,
}

impl<'a> Stage<'a> {
    fn new(view: &'a View) -> Self {
        Self { clock: Clock::new(), view, tasks: Vec::new() }
    }

    /// A request comes, and waits. It has a number from 0.
    fn comes(&mut self, strategy: &'a Strategy, request: &'a Request) -> usize {
        let (clock, now) = (self.clock.clone(), self.clock.now());
        let sleep = move |duration| clock.sleep(duration);
        let work = Box::pin(strategy.prepare(request, self.view, now, &NoClient, sleep));
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.tasks.push(Some(Task { work, woken, prepared: None }));
        self.run();
        self.tasks.len() - 1
    }

    /// So many equal ones come.
    fn all_come(&mut self, strategy: &'a Strategy, request: &'a Request, count: usize) {
        for _ in 0..count {
            self.comes(strategy, request);
        }
    }

    /// Its client has gone.
    fn goes(&mut self, n: usize) {
        self.tasks[n] = None;
    }

    fn go(&mut self, milliseconds: u64) {
        self.clock.go(milliseconds);
        self.run();
    }

    fn run(&mut self) {
        while let Some(task) =
            self.tasks.iter_mut().flatten().find(|t| t.woken.0.swap(false, Ordering::Relaxed))
        {
            if task.prepared.is_none()
                && let Poll::Ready(prepared) =
                    task.work.as_mut().poll(&mut Context::from_waker(&Waker::from(task.woken.clone())))
            {
                task.prepared = Some(prepared);
            }
        }
    }

    /// The numbers of those that do not wait any more.
    fn done(&self) -> Vec<usize> {
        let done = |task: &Option<Task<'_>>| task.as_ref().is_some_and(|task| task.prepared.is_some());
        (0..self.tasks.len()).filter(|&n| done(&self.tasks[n])).collect()
    }

    /// Where the request `n` goes by `strategy`.
    fn pod(&mut self, n: usize, strategy: &Strategy, request: &Request) -> String {
        let prepared = self.tasks[n].take().unwrap().prepared.unwrap();
        assert_eq!(prepared.failed.len(), 0);
        let mut cx = Cx::new(self.clock.now(), n as u64);
        let flight = strategy.route_traced(request, self.view, None, prepared, &mut cx, &mut NoTrace);
        flight.unwrap().endpoint().pod.clone()
    }
}

fn routing(parameters: Value) -> Value {
    json!({"plugins": [
        {"type": KIND, "parameters": parameters},
        {"type": "prefix-cache-scorer", "parameters": {"prefixMatchInfoProducerName": KIND}},
    ]})
}

fn strategy(parameters: Value) -> Arc<Strategy> {
    crate::testing::strategy(&routing(parameters).to_string())
}

fn prompt(letter: &str, bytes: usize) -> Request {
    request("m", &letter.repeat(bytes))
}

#[test]
fn a_burst_waits_for_the_end_of_its_window_and_stays_together() {
    let (strategy, view, burst) = (strategy(json!({})), unknown(8), prompt("a", 1000));
    let mut stage = Stage::new(&view);
    for _ in 0..16 {
        stage.comes(&strategy, &burst);
        stage.go(6);
    }
    assert_eq!(stage.done(), [0; 0]);
    stage.go(3);
    assert_eq!(stage.done(), [0; 0]);
    stage.go(1);
    // The others need not wait for their own hundred milliseconds.
    assert_eq!(stage.done(), Vec::from_iter(0..16));
    let pods: Vec<_> = (0..16).map(|n| stage.pod(n, &strategy, &burst)).collect();
    assert!(pods.iter().all(|pod| *pod == pods[0]), "{pods:?}");
}

#[test]
fn the_groups_of_a_window_are_spread_and_single_requests_left_to_other_scorers() {
    let (strategy, view) = (strategy(json!({})), unknown(4));
    let prompts: Vec<_> = ["a", "b", "c", "d", "x"].map(|letter| prompt(letter, 1000)).into();
    let mut stage = Stage::new(&view);
    let requests: Vec<&Request> = (0..16).map(|n| &prompts[n % 4]).chain([&prompts[4]; 1]).collect();
    let requests_again = requests.clone();
    for request in requests {
        stage.comes(&strategy, request);
    }
    stage.go(100);
    let pods: Vec<_> = (0..16).map(|n| stage.pod(n, &strategy, requests_again[n])).collect();
    assert_eq!(pods[..4], ["pod-0", "pod-1", "pod-2", "pod-3"]);
    assert!(pods.chunks(4).all(|chunk| chunk == &pods[..4]), "{pods:?}");
    let alone = stage.tasks[16].take().unwrap().prepared.unwrap();
    assert_eq!(alone.failed.len(), 0);
    assert!(matched(&strategy, alone, &view).matched.is_empty());
}

#[test]
fn each_window_is_for_itself() {
    let (strategy, view, burst) = (strategy(json!({"windowDurationMs": 10})), unknown(2), prompt("a", 1000));
    let mut stage = Stage::new(&view);
    stage.comes(&strategy, &burst);
    stage.go(10);
    assert_eq!(stage.done(), [0]);
    stage.comes(&strategy, &burst);
    stage.go(9);
    stage.comes(&strategy, &burst);
    assert_eq!(stage.done(), [0]);
    stage.go(1);
    assert_eq!(stage.done(), [0, 1, 2]);
    assert_eq!(stage.pod(1, &strategy, &burst), stage.pod(2, &strategy, &burst));
}

#[test]
fn a_full_window_ends_early() {
    let (strategy, view, burst) = (strategy(json!({"maxBatchSize": 3})), unknown(8), prompt("a", 1000));
    let mut stage = Stage::new(&view);
    stage.all_come(&strategy, &burst, 2);
    assert_eq!(stage.done(), [0; 0]);
    stage.comes(&strategy, &burst);
    assert_eq!(stage.done(), [0, 1, 2]);
    // The next one opens another.
    stage.comes(&strategy, &burst);
    stage.go(99);
    assert_eq!(stage.done(), [0, 1, 2]);
    stage.go(1);
    assert_eq!(stage.done(), [0, 1, 2, 3]);
}

#[test]
fn a_window_of_long_prompts_ends_early() {
    let parameters = json!({"blockSizeTokens": 1, "maxPrefixTokensToMatch": 65_536, "maxBatchSize": -1});
    let (strategy, view, long) = (strategy(parameters), unknown(2), prompt("a", 4 * 65_536));
    let mut stage = Stage::new(&view);
    stage.all_come(&strategy, &long, 63);
    // What goes takes its hashes along.
    stage.goes(0);
    stage.all_come(&strategy, &long, 1);
    assert_eq!(stage.done(), [0; 0]);
    stage.all_come(&strategy, &long, 1);
    assert_eq!(stage.done(), Vec::from_iter(1..65));
}

#[test]
fn clients_that_come_and_go_do_not_make_a_window_grow() {
    let (strategy, view, burst) =
        (strategy(json!({"windowDurationMs": 10_000})), unknown(2), prompt("a", 1000));
    let mut stage = Stage::new(&view);
    let first = stage.comes(&strategy, &burst);
    for _ in 1..19_999 {
        let next = stage.comes(&strategy, &burst);
        stage.goes(next);
    }
    assert_eq!(stage.done(), [0; 0]);
    let last = stage.comes(&strategy, &burst);
    assert_eq!(stage.done(), [first, last]);
}

#[test]
fn who_has_nothing_to_compare_or_no_choice_waits_for_nobody() {
    let (strategy, several, one, none) = (strategy(json!({})), unknown(2), unknown(1), View::empty());
    let (burst, empty) = (prompt("a", 1000), Request::default());
    for (view, request, waits) in
        [(&several, &burst, true), (&several, &empty, false), (&one, &burst, false), (&none, &burst, false)]
    {
        let mut stage = Stage::new(view);
        stage.comes(&strategy, request);
        assert_eq!(stage.done().is_empty(), waits);
    }
}

#[test]
fn a_client_that_goes_holds_nobody_up() {
    let (strategy, view) = (strategy(json!({})), unknown(2));
    let (burst, other) = (prompt("a", 1000), prompt("b", 1000));
    let mut stage = Stage::new(&view);
    // The request with which the window opened, and one in its midst.
    let first = stage.comes(&strategy, &other);
    stage.go(50);
    let second = stage.comes(&strategy, &burst);
    let third = stage.comes(&strategy, &other);
    let fourth = stage.comes(&strategy, &burst);
    stage.goes(first);
    stage.goes(third);
    stage.go(49);
    assert_eq!(stage.done(), [0; 0]);
    stage.go(1);
    assert_eq!(stage.done(), [second, fourth]);
    // What went had no part: the prompt of the others is the first.
    assert_eq!(stage.pod(second, &strategy, &burst), "pod-0");
    assert_eq!(stage.pod(fourth, &strategy, &burst), "pod-0");
}

#[test]
fn a_window_that_all_have_left_is_closed() {
    let (strategy, view, burst) = (strategy(json!({})), unknown(2), prompt("a", 1000));
    let mut stage = Stage::new(&view);
    let first = stage.comes(&strategy, &burst);
    stage.go(90);
    stage.goes(first);
    let second = stage.comes(&strategy, &burst);
    stage.go(99);
    assert_eq!(stage.done(), [0; 0]);
    stage.go(1);
    assert_eq!(stage.done(), [second]);
}

#[test]
fn servers_with_fewer_running_requests_come_first() {
    let running = [3.0, 1.0, f32::NAN, 2.0].map(|running| Some(running).filter(|r| !r.is_nan()));
    let view = view(running.map(|running| Signals { running, ..Signals::default() }));
    let (strategy, prompts) = (strategy(json!({})), ["a", "b", "c", "d"].map(|letter| prompt(letter, 1000)));
    let mut stage = Stage::new(&view);
    for n in 0..8 {
        stage.comes(&strategy, &prompts[n % 4]);
    }
    stage.go(100);
    let pods: Vec<_> = (0..4).map(|n| stage.pod(n, &strategy, &prompts[n])).collect();
    assert_eq!(pods, ["pod-2", "pod-1", "pod-3", "pod-0"]);
}

#[test]
fn nothing_is_placed_at_a_server_that_fails() {
    let (view, burst) = (unknown(3), prompt("a", 1000));
    let (strategy, mut stage) = (strategy(json!({})), Stage::new(&view));
    let now = stage.clock.now();
    for i in [0, 1] {
        (0..20).for_each(|_| {
            view.endpoints[i].health().report(crate::health::Verdict::Unreachable, now, true, 0, now);
        });
    }
    stage.all_come(&strategy, &burst, 2);
    stage.go(100);
    assert_eq!(stage.tasks.len(), 2);
    let prepared = stage.tasks[0].take().unwrap().prepared.unwrap();
    assert_eq!(matched(&strategy, prepared, &view).matched, [0, 0, 4]);
}

/// What the scorer reads of `prepared` in a decision about `view`.
fn matched(strategy: &Strategy, prepared: Prepared, view: &View) -> PrefixMatch {
    let (request, mut facts) = (Request::default(), crate::fact::Facts::default());
    facts.fit(&strategy.layout);
    facts.learn(prepared.findings);
    let mut allowed = Candidates::default();
    allowed.reset(&view.endpoints, None);
    for producing in &strategy.producers {
        facts.produce(&producing.slots, |facts, own| {
            let ask = Ask { request: &request, view, facts, done: &[], now: Instant::now() };
            producing.producer.role.produce(&ask, &allowed, own);
        });
    }
    facts.get(Slot::<PrefixMatch>::new(1)).clone()
}

/// While a request waits, endpoints come and go: the place is an endpoint, and no position in a list that is old by then.
#[test]
fn a_place_is_found_in_the_list_of_the_decision() {
    let (strategy, burst) = (strategy(json!({"blockSizeTokens": 16})), prompt("a", 1000));
    let running = |running: f32| Signals { running: Some(running), ..Signals::default() };
    let three = view([running(5.0), running(0.0), running(5.0)]);
    let without = |gone: usize| {
        view_of((0..3).filter(|i| *i != gone).map(|i| three.endpoints[i].clone()).collect::<Vec<_>>())
    };
    let (first, placed) = (without(0), without(1));
    for (view, expected) in [(&three, &[0, 16, 0][..]), (&first, &[16, 0]), (&placed, &[])] {
        let mut stage = Stage::new(&three);
        stage.all_come(&strategy, &burst, 2);
        stage.go(100);
        let prepared = stage.tasks[1].take().unwrap().prepared.unwrap();
        let found = matched(&strategy, prepared, view);
        assert_eq!(found.matched, expected);
        let prompt = if expected.is_empty() { (0, 0) } else { (16, 16) };
        assert_eq!((found.hashes.len(), found.block_tokens), prompt);
    }
}

#[test]
fn a_change_elsewhere_in_the_strategy_does_not_break_a_window_apart() {
    let store = StateStore::default();
    let compiled = |weight: f64, window: u32| {
        let mut routing = routing(json!({"windowDurationMs": window}));
        routing["schedulingProfiles"] =
            json!([{"name": "default", "plugins": [{"pluginRef": "prefix-cache-scorer", "weight": weight}]}]);
        let compiled = compile(&routing, Scope::File, &store).unwrap_or_else(|e| panic!("{e}"));
        store.commit(compiled.staging);
        compiled.strategy
    };
    let (view, burst) = (unknown(8), prompt("a", 1000));
    let strategies = [compiled(1.0, 100), compiled(2.0, 100), compiled(2.0, 50)];
    let mut stage = Stage::new(&view);
    for strategy in &strategies {
        stage.comes(strategy, &burst);
        stage.go(10);
    }
    // A window of another length is another one.
    stage.go(40);
    assert_eq!(stage.done(), [2]);
    stage.go(30);
    assert_eq!(stage.done(), [0, 1, 2]);
    let pods = [0, 1].map(|n| stage.pod(n, &strategies[n], &burst));
    assert_eq!(pods, ["pod-0", "pod-0"]);
}

#[test]
fn nothing_is_kept_of_requests_that_are_decided() {
    let (strategy, view, burst) = (strategy(json!({})), unknown(2), prompt("a", 1000));
    let mut stage = Stage::new(&view);
    stage.all_come(&strategy, &burst, 3);
    stage.go(100);
    (0..3).for_each(|n| drop(stage.pod(n, &strategy, &burst)));
    assert_eq!(Arc::strong_count(&view.endpoints), 1);
    assert!(Bytes::is_unique(&burst.body));
}

#[rstest]
#[case(json!({"windowDurationMs": 0}), "windowDurationMs: must lie between 1 and 10000")]
#[case(json!({"windowDurationMs": 10_001}), "windowDurationMs: must lie between 1 and 10000")]
#[case(json!({"maxPerReplica": 0}), "maxPerReplica: must be at least 1, or -1 for no limit")]
#[case(json!({"maxBatchSize": -2}), "maxBatchSize: must be at least 1, or -1 for no limit")]
#[case(json!({"blockSizeTokens": 0}), "blockSizeTokens: must be at least 1")]
#[case(json!({"maxPrefixTokensToMatch": 63}), "maxPrefixTokensToMatch: must be 0, or at least a block, 64")]
#[case(json!({"balanceBy": "bytes"}), "balanceBy: unknown variant `bytes`, expected one of ``, `requests`, `tokens`")]
fn wrong_parameters_are_named(#[case] parameters: Value, #[case] expected: &str) {
    let error = build(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{expected}")));
}

#[test]
fn there_is_an_end_to_what_waits() {
    let limits = |parameters: Value| {
        let params: Params = serde_json::from_value(parameters).unwrap();
        (params.limits().requests, params.max_blocks())
    };
    assert_eq!(limits(json!({})), (1000, 2048));
    assert_eq!(limits(json!({"maxBatchSize": -1, "maxPrefixTokensToMatch": 6400})), (10_000, 100));
    let huge = json!({"maxBatchSize": 1_000_000, "maxPrefixTokensToMatch": u32::MAX, "blockSizeTokens": 1});
    assert_eq!(limits(huge), (10_000, 1 << 16));
}
