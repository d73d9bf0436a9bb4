use std::future::{pending, ready};
use std::task::Wake;

use futures::poll;
use futures::task::AtomicWaker;

use super::*;

/// A transport that counts how often it was flushed.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl Transport for Counted {
    fn begin_round(&self) {}

    fn flush(&self, _: &mut Context<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn wakes() -> (Waker, Arc<Wakes>) {
    let wakes = Arc::<Wakes>::default();
    (wakes.clone().into(), wakes)
}

/// A stream that wakes itself so many times, and then waits.
fn restless(times: usize, polled: &Arc<AtomicUsize>) -> impl Future<Output = ()> + use<> {
    let (mut left, polled) = (times, polled.clone());
    poll_fn(move |cx| {
        polled.fetch_add(1, Ordering::Relaxed);
        if left > 0 {
            left -= 1;
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
}

#[tokio::test]
async fn streams_answer_before_the_connection_writes_again() {
    let (new_streams, answered) = (NewStreams::default(), Arc::new(AtomicUsize::new(0)));
    let (found, counted, writer) = (new_streams.clone(), answered.clone(), Arc::new(AtomicWaker::new()));
    let mut polls = 0;
    // Finds a stream while it writes the answer of the one before, three times in all.
    let connection = poll_fn(move |cx| {
        writer.register(cx.waker());
        assert_eq!(counted.load(Ordering::Relaxed), polls, "each answers before the next write");
        if polls < 3 {
            polls += 1;
            let (counted, writer) = (counted.clone(), writer.clone());
            found.execute(async move {
                counted.fetch_add(1, Ordering::Relaxed);
                writer.wake();
                pending::<()>().await;
            });
        }
        Poll::<()>::Pending
    });
    let mut task = ConnectionTask::new(connection, new_streams, Counted::default());
    assert!(poll!(&mut task).is_pending());
    assert_eq!((answered.load(Ordering::Relaxed), task.streams.len()), (3, 3));
}

#[tokio::test]
async fn all_answer_before_the_next_write_though_they_wake_themselves() {
    let (new_streams, polled) = (NewStreams::default(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..10 {
        // As a stream does that sends.
        new_streams.execute(restless(1, &polled));
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (at_each, counted) = (seen.clone(), polled.clone());
    let connection = poll_fn(move |_| {
        at_each.lock().unwrap().push(counted.load(Ordering::Relaxed));
        Poll::<()>::Pending
    });
    let mut task = ConnectionTask::new(connection, new_streams, Counted::default());
    assert!(poll!(&mut task).is_pending());
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..2], [0, 20], "{seen:?}");
}

/// How often the transport was flushed, and whether the task was woken, when a stream woke itself so many times.
fn flushed(times: usize) -> (usize, bool) {
    let (new_streams, transport) = (NewStreams::default(), Counted::default());
    new_streams.execute(restless(times, &Arc::default()));
    let (waker, woken) = wakes();
    let mut task = ConnectionTask::new(pending::<()>(), new_streams, transport.clone());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    (transport.0.load(Ordering::Relaxed), woken.0.load(Ordering::Relaxed) > 0)
}

#[test]
fn is_flushed_once_and_when_nothing_more_can_be_done() {
    assert_eq!(flushed(0), (1, false));
    assert_eq!(flushed(ROUNDS), (1, false));
    // Other tasks are polled too, and this one again after them.
    assert_eq!(flushed(usize::MAX), (1, true));
}

#[test]
fn many_streams_yield_to_other_tasks_sooner() {
    let (new_streams, polled) = (NewStreams::default(), Arc::default());
    (0..POLLS).for_each(|_| new_streams.execute(restless(usize::MAX, &polled)));
    let (waker, woken) = wakes();
    let mut task = ConnectionTask::new(pending::<()>(), new_streams, Counted::default());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    // Twice each in the only round.
    assert_eq!(polled.load(Ordering::Relaxed), 2 * POLLS);
}

#[test]
fn is_woken_between_its_polls() {
    let new_streams = NewStreams::default();
    let (ask, answer) = futures::channel::oneshot::channel::<()>();
    new_streams.execute(answer.map(drop));
    let (waker, woken) = wakes();
    let mut task = ConnectionTask::new(pending::<()>(), new_streams, Counted::default());
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    ask.send(()).unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stream_that_panics_takes_no_other_with_it() {
    let (new_streams, ended) = (NewStreams::default(), Arc::new(AtomicUsize::new(0)));
    let last = ended.clone();
    new_streams.execute(async { panic!("on purpose") });
    new_streams.execute(async move {
        last.fetch_add(1, Ordering::Relaxed);
    });
    let mut task = ConnectionTask::new(pending::<()>(), new_streams, Counted::default());
    assert!(poll!(&mut task).is_pending());
    assert_eq!((ended.load(Ordering::Relaxed), task.streams.len()), (1, 0));
}

#[tokio::test]
async fn it_ends_with_the_connection() {
    let new_streams = NewStreams::default();
    let held = Arc::new(());
    let stream = held.clone();
    new_streams.execute(async move {
        pending::<()>().await;
        drop(stream);
    });
    ConnectionTask::new(ready(()), new_streams, Counted::default()).await;
    assert_eq!(Arc::strong_count(&held), 1);
}
