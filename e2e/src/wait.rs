//! Polling with a deadline, with an error that includes the last failure.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::Instant;

/// The time between two looks.
pub const LOOK: Duration = Duration::from_millis(100);

/// Asks `probe` every 100 ms until it is `Ok`. Its errors mean "not yet".
///
/// # Errors
/// When `within` has passed: names `what`, and the last thing that `probe` missed.
pub async fn until<T, F>(what: impl Display, within: Duration, mut probe: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let deadline = Instant::now() + within;
    let mut missing = anyhow!("never asked");
    while Instant::now() < deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(error)) => missing = error,
            Err(_) => break,
        }
        tokio::time::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now()))).await;
    }
    Err(missing.context(format!("{what}: not within {:.0} s", within.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_success_is_given_back() {
        let mut asked = 0;
        let found = until("three", Duration::from_secs(60), || {
            asked += 1;
            async move { if asked == 3 { Ok(asked) } else { bail!("only {asked}") } }
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_hangs_is_cut_off() {
        let never = until("an answer", Duration::from_millis(20), std::future::pending::<Result<()>>);
        assert_eq!(format!("{:#}", never.await.unwrap_err()), "an answer: not within 0 s: never asked");
    }
}
