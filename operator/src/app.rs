//! The assembly of the operator: makes its parts, and runs them until a signal.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Client, Config as ClientConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::args::Args;
use crate::build::{Defaults, Limits};
use crate::cache::{self, Cache, Requests, Scope, Triggers};
use crate::http::{self, Health};
use crate::lease::{Authority, Clients, Concerned, Election, LastLook, Leases, Timing};
use crate::metrics::Metrics;
use crate::queue::StrategyKey;
use crate::strategy::{self, Context, Executor, Memory};
use crate::{probe, queue};

/// A reconcile that runs for longer makes this process look dead: every request has a deadline, so it
/// hangs.
const STUCK: Duration = Duration::from_secs(300);
/// How often what is remembered of objects that are gone is forgotten.
const PRUNE: Duration = Duration::from_secs(600);
/// Longest wait, at the end, for reconciles that run.
const GRACE: Duration = Duration::from_secs(15);

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When there is no way to the API server (not: when it doesn't answer), or the health port is taken.
pub async fn run(args: Args) -> Result<()> {
    let mut config = ClientConfig::infer().await.context("no way to an API server is configured")?;
    // Everything is tried again here, and sooner.
    config.default_retry = false;
    let client = Client::try_from(config.clone())?;

    let cache = Cache::default();
    let metrics = Arc::new(Metrics::of(&cache));
    let (triggers, requests) = Triggers::new(cache.clone());
    let mut tasks = cache::run(&client, &scope(&args)?, &cache, &triggers);

    let mut election = election(&args, config, &client)?;
    let authority = election.as_ref().map_or_else(Authority::alone, Election::authority);
    let (memory, probes) = Memory::with_margin(args.bind_margin);
    let memory = Arc::new(memory);
    tasks.spawn(probe::run(probes, memory.clone(), triggers.clone()));
    let reporter = Reporter { controller: "waypost".to_owned(), instance: Some(name(&args)) };
    let context = Arc::new(Context {
        executor: Executor::new(
            client.clone(),
            authority.clone(),
            metrics.clone(),
            Recorder::new(client, reporter),
            memory.clone(),
            cache.clone(),
            args.release_hold,
        ),
        defaults: Defaults {
            image: args.picker_image.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            allow_unsafe_pod_templates: args.allow_unsafe_pod_templates,
            limits: Limits {
                pod_metadata: args.allowed_pod_metadata.clone(),
                image_prefixes: args.picker_image_prefix.clone(),
                plain_labels: args.allow_unprefixed_pod_labels,
                proxies: args.allow_proxy_variables,
                of_cluster: args.cluster_rights,
            },
        },
        memory,
        cache,
        metrics: metrics.clone(),
    });
    tasks.spawn(lead(context.clone(), authority, triggers));

    let (stop, stopped) = watch::channel(false);
    let mut work = JoinSet::new();
    work.spawn(reconcile_all(context.clone(), requests, args.concurrency, stopped));
    let server = http::serve(args.listen, context, metrics);

    let end = async {
        match &mut election {
            Some(election) => election.run().await,
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = server => result,
        () = end => Ok(()),
        ended = tasks.join_next() => Err(anyhow::anyhow!("a watch ended: {ended:?}")),
        ended = work.join_next() => Err(anyhow::anyhow!("the reconciles ended: {ended:?}")),
        name = signalled() => {
            info!(signal = name?, "ending");
            Ok(())
        }
    };
    // First no more work, then the Leases: whoever takes them over finds nothing half done.
    stop.send_replace(true);
    if timeout(GRACE, work.join_next()).await.is_err() {
        warn!("reconciles were still running at the end");
    }
    if let Some(election) = &mut election {
        election.release().await;
    }
    result
}

/// What is watched.
///
/// # Errors
/// When it would be all namespaces without rights of the cluster.
fn scope(args: &Args) -> Result<Scope> {
    let (namespaces, of_cluster) = (args.watch_namespace.clone(), args.cluster_rights);
    anyhow::ensure!(of_cluster || !namespaces.is_empty(), "--cluster-rights=false needs --watch-namespace");
    Ok(Scope { namespaces, of_cluster })
}

/// The elections. `client` is one without a limit to how long an answer is quiet, as that of a watch.
fn election(args: &Args, mut config: ClientConfig, client: &Client) -> Result<Option<Election>> {
    if !args.leader_elect {
        return Ok(None);
    }
    let timing = Timing::default();
    config.connect_timeout = Some(timing.request);
    config.read_timeout = Some(timing.request);
    let clients = Clients { requests: Client::try_from(config)?, watches: client.clone() };
    let leases = Leases {
        namespace: args.namespace.clone(),
        name: args.lease_name.clone(),
        identity: identity(args),
        cluster_namespace: args.cluster_lease_namespace.clone(),
        watched: args.watch_namespace.clone(),
    };
    Ok(Some(Election::new(clients, &leases, timing)))
}

/// The name of this process in Events.
fn name(args: &Args) -> String {
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned());
    args.identity.clone().or_else(|| host().ok()).unwrap_or_else(|| "waypost-operator".to_owned())
}

/// The identity of this process for the Lease. Two of one name (by a flag, or on two hosts that are called alike) would
/// both believe that they hold it, so that each has an ending of its own.
fn identity(args: &Args) -> String {
    // Hash maps begin with keys from the system's randomness.
    let random = RandomState::new().hash_one(std::process::id());
    format!("{}_{random:016x}", name(args))
}

/// Asks for every strategy when this process begins to lead, since it did not act on earlier changes. Keeps the gauges that nothing else would move when work stands still.
async fn lead(context: Arc<Context>, authority: Authority, triggers: Triggers) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let mut prune = tokio::time::interval(PRUNE);
    let mut last = LastLook::default();
    authority.changes(&mut last);
    loop {
        tokio::select! {
            () = authority.gained() => {
                context.memory.begin();
                triggers.all();
            }
            _ = prune.tick() => {
                let there = context.cache.uids();
                context.memory.prune(|uid| there.contains(uid));
            }
            _ = tick.tick() => {
                // Other operators came or went.
                ask(&authority.changes(&mut last), &context.cache, &triggers);
            }
        }
        context.metrics.leader.set(i64::from(authority.leads()));
        context.metrics.lags(context.cache.strategies.all().iter().map(|strategy| {
            let observed = strategy.status.as_ref().map_or(-1, |status| status.observed_generation);
            let behind = strategy.metadata.generation.unwrap_or_default() - observed.max(0);
            let name = |name: &Option<String>| name.clone().unwrap_or_default();
            (name(&strategy.metadata.namespace), name(&strategy.metadata.name), behind)
        }));
    }
}

/// Asks for the strategies that a change of the authority concerns.
fn ask(concerned: &Concerned, cache: &Cache, triggers: &Triggers) {
    match concerned {
        Concerned::All => triggers.all(),
        Concerned::In(namespaces) => {
            for strategy in namespaces.iter().flat_map(|namespace| cache.strategies.within(namespace)) {
                let StrategyKey { namespace, name } = StrategyKey::of(&strategy.metadata);
                triggers.named(&namespace, &name);
            }
        }
    }
}

/// Reconciles the strategies that are asked for, several at a time, until `stopped`; what runs then is
/// finished.
async fn reconcile_all(
    context: Arc<Context>,
    requests: Requests,
    concurrency: u16,
    mut stopped: watch::Receiver<bool>,
) {
    // Before everything was listed, nothing can be told from what is not there.
    let ready = async {
        while !context.cache.is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        info!("caches are filled");
    };
    let stopped = async move { drop(stopped.wait_for(|stop| *stop).await) };
    let reconcile = |strategy| strategy::reconcile(strategy, context.clone());
    queue::run(requests, concurrency.into(), ready, stopped, reconcile).await;
}

async fn signalled() -> Result<&'static str> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    })
}

impl Health for Context {
    fn ready(&self) -> bool {
        self.cache.is_ready()
    }

    fn live(&self) -> bool {
        self.memory.attempts.oldest_run(Instant::now()) < STUCK
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn two_processes_of_one_name_are_two() {
        let args = Args::parse_from(["operator", "--identity", "a"]);
        let (one, other) = (identity(&args), identity(&args));
        assert!(one.starts_with("a_") && other.starts_with("a_") && one != other, "{one} {other}");
    }
}
