use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, oneshot};
use tokio::time::advance;

use super::*;

fn key(name: &str) -> StrategyKey {
    StrategyKey { namespace: "llm".to_owned(), name: name.to_owned() }
}

fn ask(queue: &mut Queue, name: &str, lane: Lane) {
    queue.ask(Request { strategy: key(name), lane });
}

/// The strategies that begin now.
fn begin(queue: &mut Queue) -> Vec<String> {
    std::iter::from_fn(|| queue.next()).map(|key| key.name).collect()
}

#[test]
fn what_is_urgent_is_first_and_has_room_of_its_own() {
    let mut queue = Queue { room: 2, ..Queue::default() };
    for name in ["a", "b", "c", "d"] {
        ask(&mut queue, name, Lane::Usual);
    }
    assert_eq!(begin(&mut queue), ["a", "b"]);
    // One that waits already, and one that is new.
    ask(&mut queue, "d", Lane::Urgent);
    ask(&mut queue, "e", Lane::Urgent);
    ask(&mut queue, "f", Lane::Urgent);
    assert_eq!(begin(&mut queue), ["d", "e"]);
    queue.done(&key("a"), Next::Change, Instant::now());
    assert_eq!(begin(&mut queue), ["c"]);
    queue.done(&key("e"), Next::Change, Instant::now());
    queue.done(&key("b"), Next::Change, Instant::now());
    // Of d there is nothing left in the usual lane.
    assert_eq!(begin(&mut queue), ["f"]);
}

/// While the usual lane stands, nothing is left in it of what ran in the urgent one.
#[test]
fn what_became_urgent_leaves_the_usual_lane() {
    let mut queue = Queue { room: 1, ..Queue::default() };
    for name in ["a", "b"] {
        ask(&mut queue, name, Lane::Usual);
    }
    assert_eq!(begin(&mut queue), ["a"]);
    for _ in 0..100 {
        ask(&mut queue, "b", Lane::Usual);
        ask(&mut queue, "b", Lane::Urgent);
        assert_eq!(begin(&mut queue), ["b"]);
        queue.done(&key("b"), Next::Change, Instant::now());
    }
    assert_eq!((queue.lanes.len(), queue.waiting.len()), (0, 0));
}

#[test]
fn a_strategy_runs_once_at_a_time_and_again_if_it_was_asked_for() {
    let mut queue = Queue { room: 8, ..Queue::default() };
    ask(&mut queue, "a", Lane::Usual);
    ask(&mut queue, "a", Lane::Usual);
    assert_eq!(begin(&mut queue), ["a"]);
    ask(&mut queue, "a", Lane::Usual);
    ask(&mut queue, "a", Lane::Urgent);
    assert_eq!(begin(&mut queue), Vec::<String>::new());
    queue.done(&key("a"), Next::After(Duration::from_secs(9)), Instant::now());
    assert_eq!((queue.waiting[&key("a")].0, queue.due()), (Lane::Urgent, None));
    assert_eq!(begin(&mut queue), ["a"]);
    queue.done(&key("a"), Next::Change, Instant::now());
    assert_eq!(begin(&mut queue), Vec::<String>::new());
}

#[test]
fn what_comes_later_comes_in_its_lane_unless_it_is_asked_for_before() {
    let (mut queue, start) = (Queue { room: 8, ..Queue::default() }, Instant::now());
    for name in ["a", "b", "c"] {
        ask(&mut queue, name, Lane::Urgent);
    }
    assert_eq!(begin(&mut queue).len(), 3);
    let second = Duration::from_secs(1);
    queue.done(&key("a"), Next::After(second), start);
    queue.done(&key("b"), Next::Retry(second), start);
    queue.done(&key("c"), Next::After(2 * second), start);
    assert_eq!(queue.due(), Some(start + second));
    queue.wake(start + second / 2);
    assert_eq!(begin(&mut queue), Vec::<String>::new());
    ask(&mut queue, "c", Lane::Usual);
    assert_eq!(begin(&mut queue), ["c"]);
    queue.wake(start + second);
    assert_eq!(begin(&mut queue), ["b", "a"]);
    assert_eq!(queue.due(), None);
}

/// The strategies that began, and what ends each.
type Begun = Arc<Mutex<Vec<(String, oneshot::Sender<Next>)>>>;

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_at_the_end_is_finished() {
    let (sender, requests) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let begun = Begun::default();
    let seen = begun.clone();
    let names = || begun.lock().unwrap().iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let end = |next| begun.lock().unwrap().remove(0).1.send(next).unwrap();
    let running = tokio::spawn(run(
        requests,
        1,
        std::future::ready(()),
        async { drop(stopped.await) },
        move |strategy| {
            let (end, ended) = oneshot::channel();
            seen.lock().unwrap().push((strategy.name, end));
            async { ended.await.unwrap() }
        },
    ));
    let ask = |name: &str| sender.send(Request { strategy: key(name), lane: Lane::Usual }).unwrap();
    ask("a");
    ask("b");
    settle().await;
    assert_eq!(names(), ["a"]);
    end(Next::After(Duration::from_secs(3)));
    settle().await;
    assert_eq!(names(), ["b"]);
    end(Next::Change);
    advance(Duration::from_secs(3)).await;
    settle().await;
    assert_eq!(names(), ["a"]);
    ask("b");
    drop(stop);
    settle().await;
    assert!(!running.is_finished());
    end(Next::Change);
    running.await.unwrap();
    assert_eq!(names(), Vec::<String>::new());
}

/// Requests that come before the caches are filled take no more room than their strategies.
#[tokio::test(start_paused = true)]
async fn what_is_asked_for_before_all_is_ready_is_gathered() {
    let (sender, requests) = mpsc::unbounded_channel();
    let (ready, is_ready) = oneshot::channel::<()>();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = begun.clone();
    let all_ready = async { drop(is_ready.await) };
    let running = tokio::spawn(run(requests, 1, all_ready, std::future::pending(), move |strategy| {
        seen.lock().unwrap().push(strategy.name);
        async { Next::Change }
    }));
    for _ in 0..100 {
        sender.send(Request { strategy: key("a"), lane: Lane::Usual }).unwrap();
    }
    settle().await;
    assert_eq!(begun.lock().unwrap().len(), 0);
    drop(ready);
    settle().await;
    assert_eq!(*begun.lock().unwrap(), ["a"]);
    drop(sender);
    running.await.unwrap();
}
