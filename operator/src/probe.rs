//! Connections to Services of pickers, which are tried until one arrives.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::cache::Triggers;
use crate::strategy::{Attempt, Memory, Probe, Probes};

/// Most connections that are tried at the same time.
const AT_ONCE: usize = 64;
/// Most of these to the Services of one namespace.
const IN_NAMESPACE: usize = 8;
/// Longest time to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Time between two attempts: short, since a pool waits.
const AGAIN: Duration = Duration::from_millis(100);

/// Tries the connections that are asked for, and tells what comes of them, for ever.
pub async fn run(mut probes: Probes, memory: Arc<Memory>, triggers: Triggers) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = Running::default();
    loop {
        tokio::select! {
            probe = probes.recv() => match probe {
                Some(probe) => {
                    let rooms = [running.room(&probe.strategy.namespace), room.clone()];
                    let service = probe.service.clone();
                    running.replace(service, attempts(probe, memory.clone(), triggers.clone(), rooms));
                }
                None => return,
            },
            Some(_) = running.tasks.join_next() => running.forget_ended(),
        }
    }
}

/// The tasks that try connections, one for each Service.
#[derive(Default)]
struct Running {
    tasks: JoinSet<()>,
    /// By the UID of the Service.
    handles: HashMap<String, AbortHandle>,
    /// The room of each namespace in which a task runs.
    rooms: HashMap<String, Arc<Semaphore>>,
}

impl Running {
    fn room(&mut self, namespace: &str) -> Arc<Semaphore> {
        let new = || Arc::new(Semaphore::new(IN_NAMESPACE));
        self.rooms.entry(namespace.to_owned()).or_insert_with(new).clone()
    }

    /// Starts a task in place of the one that runs for the same Service.
    fn replace(&mut self, service: String, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.tasks.spawn(task);
        if let Some(earlier) = self.handles.insert(service, handle) {
            earlier.abort();
        }
    }

    fn forget_ended(&mut self) {
        self.handles.retain(|_, handle| !handle.is_finished());
        self.rooms.retain(|_, room| Arc::strong_count(room) > 1);
    }
}

/// Tries until a connection arrives, or nobody waits for it any more. Each news is a reason to look at the strategy.
async fn attempts(probe: Probe, memory: Arc<Memory>, triggers: Triggers, rooms: [Arc<Semaphore>; 2]) {
    let mut last = None;
    loop {
        let attempt = {
            let [own, all] = &rooms;
            // One that waits for its namespace's room takes none of the others.
            let (Ok(_own), Ok(_all)) = (own.acquire().await, all.acquire().await) else { return };
            attempt(&probe).await
        };
        let goes_on = memory.reach.tried(&probe, attempt, Instant::now());
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

    /// However often the addresses of a Service come and go.
    #[tokio::test]
    async fn a_service_has_one_task_and_a_namespace_a_few_places() {
        let mut running = Running::default();
        for _ in 0..100 {
            let room = running.room("llm");
            running.replace("uid".to_owned(), async move {
                let _permit = room.acquire().await;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
        }
        for _ in 1..100 {
            assert!(running.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
        }
        assert_eq!((running.tasks.len(), running.room("llm").available_permits()), (1, IN_NAMESPACE - 1));
        running.forget_ended();
        assert_eq!((running.handles.len(), running.rooms.len()), (1, 1));
        running.tasks.shutdown().await;
        running.forget_ended();
        assert_eq!((running.handles.len(), running.rooms.len()), (0, 0));
    }
}
