//! The primitives of concurrency behind [`coalescing_waker`](crate::coalescing_waker) and
//! [`peer_limits`](crate::peer_limits). `tests/models.rs` compiles those modules with loom's in their place.

pub(crate) use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard};

pub(crate) use futures::task::AtomicWaker;
