//! Connections to Services of pickers, which are tried until one arrives.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::cache::Triggers;
use crate::strategy::{Attempt, Memory, Probe, Probes};

/// Most connections that are tried at the same time.
const AT_ONCE: usize = 64;
/// Longest time to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two attempts: short, since a pool waits.
const AGAIN: Duration = Duration::from_millis(100);

/// Tries the connections that are asked for, and tells what comes of them, for ever.
pub async fn run(mut probes: Probes, memory: Arc<Memory>, triggers: Triggers) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            probe = probes.recv() => match probe {
                Some(probe) => {
                    running.spawn(attempts(probe, memory.clone(), triggers.clone(), room.clone()));
                }
                None => return,
            },
            Some(_) = running.join_next() => {}
        }
    }
}

/// Tries until a connection arrives, or nobody waits for it any more. Each news is a reason to look at the strategy.
async fn attempts(probe: Probe, memory: Arc<Memory>, triggers: Triggers, room: Arc<Semaphore>) {
    let mut last = None;
    loop {
        let attempt = {
            let Ok(_permit) = room.acquire().await else { return };
            attempt(&probe).await
        };
        let goes_on = memory.reach.tried(&probe.service, attempt, Instant::now());
        if last.replace(attempt) != Some(attempt) {
            debug!(address = %probe.address, ?attempt, "connection to pickers");
            triggers.named(&probe.strategy.namespace, &probe.strategy.name);
        }
        if !goes_on {
            return;
        }
        sleep(AGAIN).await;
    }
}

async fn attempt(probe: &Probe) -> Attempt {
    match timeout(TIMEOUT, TcpStream::connect(probe.address)).await {
        Ok(Ok(_)) => Attempt::Arrived,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Attempt::Refused,
        _ => Attempt::Silent,
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::cache::Cache;
    use crate::queue::StrategyKey;

    /// Connections are refused until somebody listens.
    #[tokio::test]
    async fn attempts_go_on_until_one_arrives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let strategy = StrategyKey { namespace: "llm".to_owned(), name: "chat".to_owned() };
        let (memory, probes) = Memory::with_margin(Duration::ZERO);
        let memory = Arc::new(memory);
        let (triggers, mut requests) = Triggers::new(Cache::default());
        let running = tokio::spawn(run(probes, memory.clone(), triggers));
        let wait = || memory.reach.wait("uid", Some(address), Some(true), &strategy, Instant::now());
        assert!(wait().is_some());
        // The word that they are refused.
        assert_eq!(requests.recv().await.unwrap().strategy, strategy);
        assert!(wait().unwrap() > Duration::from_secs(20));
        let _listener = TcpListener::bind(address).await.unwrap();
        assert_eq!(requests.recv().await.unwrap().strategy, strategy);
        assert_eq!(wait(), None);
        running.abort();
    }
}
