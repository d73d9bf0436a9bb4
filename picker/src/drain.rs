//! The graceful shutdown, so that no request is lost when a picker is replaced.
//!
//! 1. Health says NOT_SERVING, and gateways begin to ask others.
//! 2. For the drain time requests are still taken: not every gateway has heard.
//! 3. Connections are told to go away (GOAWAY), and no new ones are taken.
//! 4. Streams end with their responses, and then the process does.
//!
//! A signal while it drains cuts the drain time out, and one after that ends the process at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::ready::Readiness;

/// The signals that end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from their default, which is to end the process at once.
    ///
    /// # Errors
    /// When the system doesn't allow it.
    pub fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the first signal, and then out the drain time, or for a second signal. Someone who
    /// presses ctrl-C wants it to end now: an interrupt cuts the drain time out.
    pub async fn drained(&mut self, readiness: &Readiness, drain: Duration, closing: &CancellationToken) {
        let drain = tokio::select! {
            _ = self.terminate.recv() => drain,
            _ = self.interrupt.recv() => Duration::ZERO,
        };
        readiness.drain();
        tracing::info!(seconds = drain.as_secs_f64(), "ending: requests are taken for the drain time");
        tokio::select! {
            () = tokio::time::sleep(drain) => {}
            () = self.again() => {}
        }
        tracing::info!("connections are told to go elsewhere; streams end with their responses");
        closing.cancel();
    }

    /// Waits for another signal.
    pub async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
