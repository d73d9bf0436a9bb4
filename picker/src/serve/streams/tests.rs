use std::future::{pending, ready};
use std::task::Wake;

use futures::poll;
use futures::task::AtomicWaker;

use super::*;

/// A pipe, and how often was sent.
#[derive(Clone, Default)]
struct Counted(Arc<AtomicUsize>);

impl Pipe for Counted {
    fn begin(&self) {}

    fn send(&self, _: &mut Context<'_>) {
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
    let (inbox, answered) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
    let (found, counted, writer) = (inbox.clone(), answered.clone(), Arc::new(AtomicWaker::new()));
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
    let mut together = Together::new(connection, inbox, Counted::default());
    assert!(poll!(&mut together).is_pending());
    assert_eq!((answered.load(Ordering::Relaxed), together.streams.len()), (3, 3));
}

#[tokio::test]
async fn all_answer_before_the_next_write_though_they_wake_themselves() {
    let (inbox, polled) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..10 {
        // As a stream does that sends.
        inbox.execute(restless(1, &polled));
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (at_each, counted) = (seen.clone(), polled.clone());
    let connection = poll_fn(move |_| {
        at_each.lock().unwrap().push(counted.load(Ordering::Relaxed));
        Poll::<()>::Pending
    });
    let mut together = Together::new(connection, inbox, Counted::default());
    assert!(poll!(&mut together).is_pending());
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..2], [0, 20], "{seen:?}");
}

/// How often was sent, and whether the task was woken, when a stream woke itself so many times.
fn sent(times: usize) -> (usize, bool) {
    let (inbox, pipe) = (Inbox::default(), Counted::default());
    inbox.execute(restless(times, &Arc::default()));
    let (waker, woken) = wakes();
    let mut together = Together::new(pending::<()>(), inbox, pipe.clone());
    assert!(Pin::new(&mut together).poll(&mut Context::from_waker(&waker)).is_pending());
    (pipe.0.load(Ordering::Relaxed), woken.0.load(Ordering::Relaxed) > 0)
}

#[test]
fn is_sent_once_and_when_nothing_more_can_be_done() {
    assert_eq!(sent(0), (1, false));
    assert_eq!(sent(ROUNDS), (1, false));
    // Others have their turn too, and this one again after them.
    assert_eq!(sent(usize::MAX), (1, true));
}

#[test]
fn many_streams_leave_others_their_turn_sooner() {
    let (inbox, polled) = (Inbox::default(), Arc::default());
    (0..ENOUGH).for_each(|_| inbox.execute(restless(usize::MAX, &polled)));
    let (waker, woken) = wakes();
    let mut together = Together::new(pending::<()>(), inbox, Counted::default());
    assert!(Pin::new(&mut together).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    // Twice each in the only round.
    assert_eq!(polled.load(Ordering::Relaxed), 2 * ENOUGH);
}

#[test]
fn is_woken_between_its_turns() {
    let inbox = Inbox::default();
    let (ask, answer) = futures::channel::oneshot::channel::<()>();
    inbox.execute(answer.map(drop));
    let (waker, woken) = wakes();
    let mut together = Together::new(pending::<()>(), inbox, Counted::default());
    assert!(Pin::new(&mut together).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    ask.send(()).unwrap();
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stream_that_panics_takes_no_other_with_it() {
    let (inbox, ended) = (Inbox::default(), Arc::new(AtomicUsize::new(0)));
    let last = ended.clone();
    inbox.execute(async { panic!("on purpose") });
    inbox.execute(async move {
        last.fetch_add(1, Ordering::Relaxed);
    });
    let mut together = Together::new(pending::<()>(), inbox, Counted::default());
    assert!(poll!(&mut together).is_pending());
    assert_eq!((ended.load(Ordering::Relaxed), together.streams.len()), (1, 0));
}

#[tokio::test]
async fn it_ends_with_the_connection() {
    let inbox = Inbox::default();
    let held = Arc::new(());
    let stream = held.clone();
    inbox.execute(async move {
        pending::<()>().await;
        drop(stream);
    });
    Together::new(ready(()), inbox, Counted::default()).await;
    assert_eq!(Arc::strong_count(&held), 1);
}
