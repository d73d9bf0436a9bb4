//! Row 15: pools are taken over, given back and taken over again under load.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::envoy::{Following, Naming, PICKER_PORT};
use e2e::fixtures::Pool;
use e2e::load::{Load, Prompts, Report, Running, Sample};
use e2e::test_env::{self, PATIENCE, Strategy, TestEnv};
use e2e::until;
use futures::StreamExt;
use futures::future::{join_all, try_join_all};
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

const POOL: (&str, &str) = ("inference.networking.k8s.io/v1", "InferencePool");
/// Each is taken over twice, and given back twice.
const POOLS: usize = 5;
/// Requests a second to each pool.
const RATE: f64 = 10.0;
/// How long requests go on after each change.
const WINDOW: Duration = Duration::from_secs(3);
/// The pickers of a pool that was given back serve on for half a minute.
const GONE: Duration = Duration::from_secs(90);
/// The picker that all pools name before and after.
const FORMER: &str = "former-picker";

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn pools_are_taken_over_and_given_back_under_load() {
    let bar = "5 pools taken over, given back, taken over again and given back under load, while their gateway follows each \
               change at once: 0 connections to pickers refused, no request lost but those in flight at a change";
    test_env::run(15, bar, async |env| {
        env.servers("chat", 3, &[]).await?;
        former(env).await?;
        for number in 0..POOLS {
            let pool = Pool::new(&pool(number), "chat", FORMER).v1();
            env.kubectl().apply_object(env.namespace(), pool).await?;
        }
        let gateway = GatewayOfPools::start(env).await?;
        let began = Instant::now();
        let loads = try_join_all((0..POOLS).map(|number| gateway.load(number))).await?;
        // The former picker's Service may have refused some before the first answers: nothing bound a pool to it.
        let refused_before = gateway.refused().await?;
        let stories = (0..POOLS).map(|number| story(env, number));
        let outcome = join_all(stories).await.into_iter().collect::<Result<Vec<_>>>();
        let reports = join_all(loads.into_iter().map(Running::stop)).await;
        let waits = outcome?;

        let changes = gateway.changes.borrow().clone();
        let failed: usize = reports.iter().map(|report| report.failures().count()).sum();
        let total: usize = reports.iter().map(Report::total).sum();
        let lost: Vec<String> = reports
            .iter()
            .enumerate()
            .flat_map(|(number, report)| {
                let changes = changes.get(&pool(number)).cloned().unwrap_or_default();
                report.failures().filter(move |sample| !in_flight(sample, &changes)).collect::<Vec<_>>()
            })
            .map(|sample| format!("{:.3} s: {:?}", (sample.sent - began).as_secs_f64(), sample.outcome))
            .collect();
        let refused = gateway.refused().await? - refused_before;
        let changed: usize = changes.values().map(Vec::len).sum();
        let slowest = waits.into_iter().flatten().max().unwrap_or_default();
        env.measured(format_args!(
            "{changed} changes of references, at most {slowest:.1?} after the apply; {total} requests, {refused} connections \
             to pickers refused, {failed} requests failed, {} of them not in flight at a change",
            lost.len()
        ));
        env.check(
            changed == POOLS * 4,
            format_args!("each pool changes four times, {changed} changes in all"),
        );
        env.check(total > 1000, "there was load");
        env.check(refused == 0, format_args!("no connection to a picker fails, not {refused}"));
        env.check(lost.is_empty(), format_args!("no other request is lost: {lost:#?}"));
        Ok(())
    });
}

fn pool(number: usize) -> String {
    format!("p{number}")
}

/// The picker before and after: that of a pool of its own, which is not bound.
async fn former(env: &TestEnv) -> Result<()> {
    let mut strategy = Strategy::new("former").pool("former").replicas(1).object();
    strategy["spec"]["binding"] = json!("Observe");
    env.kubectl().apply_object(env.namespace(), Pool::new("former", "chat", FORMER).v1()).await?;
    env.kubectl().apply_object(env.namespace(), strategy).await?;
    env.strategy_is("former", "Ready=True", PATIENCE).await
}

/// Takes a pool over and gives it back, twice. Returns how long each took.
async fn story(env: &TestEnv, number: usize) -> Result<Vec<Duration>> {
    let (name, ours) = (format!("s{number}"), format!("{}-picker", pool(number)));
    let small = json!({"requests": {"cpu": "1m", "memory": "8Mi"}});
    let strategy = Strategy::new(&name).pool(&pool(number)).replicas(1).picker("resources", small);
    let strategies = env.strategy_api().await?;
    let mut waits = Vec::new();
    for _ in 0..2 {
        let asked = Instant::now();
        env.apply(&strategy).await?;
        names(env, number, &ours).await?;
        waits.push(asked.elapsed());
        tokio::time::sleep(WINDOW).await;
        strategies.delete(&name, &DeleteParams::default()).await?;
        names(env, number, FORMER).await?;
        until(format_args!("the end of {name}"), GONE, async || {
            ensure!(strategies.get_opt(&name).await?.is_none(), "it is still there");
            let services = env.kubectl().api("v1", "Service", env.namespace()).await?;
            ensure!(services.get_opt(&ours).await?.is_none(), "its Service is still there");
            Ok(())
        })
        .await?;
    }
    Ok(waits)
}

/// Waits until a pool names the Service `picker`.
async fn names(env: &TestEnv, number: usize, picker: &str) -> Result<()> {
    let pools: Api<DynamicObject> = env.kubectl().api(POOL.0, POOL.1, env.namespace()).await?;
    until(format_args!("pool {number} to name {picker}"), PATIENCE, async || {
        let named = pools.get(&pool(number)).await?.data["spec"]["endpointPickerRef"]["name"].clone();
        ensure!(named == picker, "it names {named}");
        Ok(())
    })
    .await
}

/// Whether a request was on its way at one of `changes`.
fn in_flight(sample: &Sample, changes: &[Instant]) -> bool {
    // Envoy looks the new picker up, and then takes it.
    let follows = Duration::from_millis(500);
    changes.iter().any(|change| sample.sent <= *change + follows && sample.ended() >= *change)
}

/// When the references of pools changed, by pool.
type Changes = BTreeMap<String, Vec<Instant>>;

/// An Envoy that follows the references of all pools at once, as no real gateway is faster.
struct GatewayOfPools {
    envoy: Arc<Following>,
    changes: watch::Receiver<Changes>,
    _follower: JoinSet<Result<()>>,
}

impl GatewayOfPools {
    async fn start(env: &TestEnv) -> Result<Self> {
        let program = &env.cluster_env().cluster().tools().envoy;
        let namespace = env.namespace().to_owned();
        let first = vec![host(&namespace, FORMER); POOLS];
        let envoy = Arc::new(Following::start(program, Naming::Pool, true, &first)?);
        let pools: Api<DynamicObject> = env.kubectl().api(POOL.0, POOL.1, &namespace).await?;
        let (told, changes) = watch::channel(Changes::new());
        let mut follower = JoinSet::new();
        follower.spawn(follow(pools, namespace, envoy.clone(), told));
        Ok(Self { envoy, changes, _follower: follower })
    }

    /// Begins with requests to a pool, when one is answered.
    async fn load(&self, number: usize) -> Result<Running> {
        let url = self.envoy.url(number);
        let client = e2e::load::Client::new();
        until("the first answer", PATIENCE, async || {
            let answer = e2e::load::Ask::new("hello").send(&client, &url).await?;
            ensure!(answer.status == 200, "{}", answer.status);
            Ok(())
        })
        .await?;
        let prompts = Prompts::families(16, 64, 4);
        Ok(Load::new(&url).per_second(RATE).streamed(0.5).prompts(prompts).start())
    }

    /// How many connections to pickers failed, or found no picker.
    async fn refused(&self) -> Result<u64> {
        let stats = self.envoy.stats("cluster.picker.*(connect_fail|connect_timeout|none_healthy)$").await?;
        Ok(stats.values().sum())
    }
}

fn host(namespace: &str, service: &str) -> (String, u16) {
    (format!("{service}.{namespace}.svc.cluster.local"), PICKER_PORT)
}

async fn follow(
    pools: Api<DynamicObject>,
    namespace: String,
    envoy: Arc<Following>,
    told: watch::Sender<Changes>,
) -> Result<()> {
    let mut named: BTreeMap<String, String> =
        (0..POOLS).map(|number| (pool(number), FORMER.to_owned())).collect();
    let mut events = watcher(pools, watcher::Config::default()).boxed();
    while let Some(event) = events.next().await {
        let Ok(Event::Apply(object) | Event::InitApply(object)) = event else { continue };
        let picker = object.data["spec"]["endpointPickerRef"]["name"].as_str().context("no picker")?;
        let Some(known) = named.get_mut(&object.name_any()).filter(|known| *known != picker) else {
            continue;
        };
        picker.clone_into(known);
        let number = object.name_any().trim_start_matches('p').parse()?;
        told.send_modify(|changes| changes.entry(object.name_any()).or_default().push(Instant::now()));
        envoy.follow(number, &host(&namespace, picker))?;
    }
    Ok(())
}
