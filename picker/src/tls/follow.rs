//! Files of TLS, looked at again and again.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::certificate::TlsError;

/// The outcome of a look at files.
#[derive(Debug)]
pub enum Change {
    /// They are as they were.
    None,
    /// They are new, and count from now on.
    Replaced,
    /// They are new and no good: the old ones go on.
    Refused(TlsError),
}

/// Has a `look` every `period` for as long as it is polled, and says by `tell` what is new, or why it is refused: once for
/// each fault, not every few seconds.
pub(super) async fn follow(
    period: Duration,
    mut look: impl FnMut() -> Change,
    tell: impl Fn(Result<(), &str>),
) -> Infallible {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = String::new();
    loop {
        ticks.tick().await;
        match look() {
            Change::None => told.clear(),
            Change::Replaced => {
                told.clear();
                tell(Ok(()));
            }
            Change::Refused(error) => {
                let error = error.to_string();
                if error != told {
                    tell(Err(&error));
                    told = error;
                }
            }
        }
    }
}
