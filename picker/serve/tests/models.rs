//! What threads share, in every order in which they can run: loom runs each model once for each of them, and knows of
//! a thread that waits for ever.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use coalescing_waker::{CoalescingWaker, Round};
use peer_limits::PeerLimits;
use sync::Ordering;

#[path = "../src/coalescing_waker.rs"]
mod coalescing_waker;
#[allow(dead_code)]
#[path = "../src/peer_limits.rs"]
mod peer_limits;

/// What `src/sync.rs` is to the library.
mod sync {
    use std::task::Waker;

    pub use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
    pub use loom::sync::{Mutex, MutexGuard};

    /// A waker as `futures` has it.
    #[derive(Debug)]
    pub struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub fn new() -> Self {
            Self(Mutex::new(None))
        }

        pub fn register(&self, waker: &Waker) {
            let _before = self.0.lock().unwrap().replace(waker.clone());
        }

        pub fn wake(&self) {
            let waker = self.0.lock().unwrap().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// A stream that has something to do once, when another thread says so.
#[derive(Debug, Default)]
struct Stream(AtomicBool);

impl Stream {
    /// As whoever hands it something: what it is need not be ordered by anything but the waker.
    fn ready(&self, waker: &Arc<CoalescingWaker>) {
        self.0.store(true, Ordering::Relaxed);
        Waker::from(waker.clone()).wake();
    }
}

/// A task whose streams all become ready. It yields after `rounds` rounds.
async fn task(waker: Arc<CoalescingWaker>, streams: Vec<Arc<Stream>>, rounds: usize) {
    let poll = |cx: &mut Context<'_>| {
        let mut left = rounds;
        let round = || {
            left -= 1;
            if streams.iter().all(|stream| stream.0.load(Ordering::Relaxed)) {
                return Round::Ended(());
            }
            if left == 0 { Round::Yield } else { Round::Waiting }
        };
        waker.poll(cx.waker(), round, || {})
    };
    std::future::poll_fn(poll).await;
}

/// Runs a task and a thread for each of its streams.
fn ready_together(streams: usize, rounds: usize) {
    let waker = Arc::new(CoalescingWaker::new());
    let streams: Vec<Arc<Stream>> = std::iter::repeat_with(Arc::default).take(streams).collect();
    for stream in &streams {
        let (waker, stream) = (waker.clone(), stream.clone());
        thread::spawn(move || stream.ready(&waker));
    }
    block_on(task(waker, streams, rounds));
}

#[test]
fn no_wake_up_is_lost() {
    for rounds in [1, 2] {
        loom::model(move || ready_together(1, rounds));
    }
}

#[test]
fn no_wake_up_of_several_is_lost() {
    let mut model = loom::model::Builder::new();
    // Beyond that it takes minutes, and finds nothing more in what is so short.
    model.preemption_bound = Some(2);
    model.check(|| ready_together(2, 2));
}

#[test]
fn a_peer_never_has_more_than_it_may_and_all_is_given_back() {
    loom::model(|| {
        let (limits, peer) = (PeerLimits::new(1), IpAddr::from([10, 0, 0, 1]));
        let threads = [(); 2].map(|()| {
            let limits = limits.clone();
            thread::spawn(move || {
                let mut permit = limits.permit(peer)?;
                permit.lives_on();
                Some(permit)
            })
        });
        let here = limits.permit(peer);
        assert!(here.is_none() || limits.permit(peer).is_none());
        drop(here);
        let permits = threads.map(|thread| thread.join().unwrap());
        drop(permits);
        let mut living = Vec::new();
        while let Some(mut permit) = limits.permit(peer) {
            permit.lives_on();
            living.push(permit);
        }
        assert_eq!(living.len(), 4, "all that a peer may have");
    });
}
