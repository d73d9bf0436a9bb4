//! Row 2: edits with errors never serve.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::envoy::AiGateway;
use e2e::kubectl::is_ready;
use e2e::load::Load;
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use e2e::until;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::{Value, json};

const PICKERS: usize = 2;
/// How soon a wrong edit is called wrong, and a right one serves.
const SOON: Duration = Duration::from_secs(1);

/// Who finds a wrong edit, and by which words.
enum Found {
    /// The API server, with these words in its message.
    ByTheApiServer(&'static str),
    /// The operator, with this path in the message of `Accepted=False`.
    ByTheOperator(&'static str),
}

fn wrong_edits() -> [(&'static str, Value, Found); 5] {
    let profile = |plugins: Value| json!([{"name": "default", "plugins": plugins}]);
    let queue = json!({"type": "queue-scorer"});
    [
        (
            "unknown plugin",
            json!({"plugins": [{"type": "queue-scorre"}], "schedulingProfiles": profile(json!([{"pluginRef": "queue-scorre"}]))}),
            Found::ByTheOperator("plugins[0].type"),
        ),
        (
            "unknown parameter",
            json!({
                "plugins": [{"type": "prefix-cache-scorer", "parameters": {"matchLengthWieght": 0.5}}],
                "schedulingProfiles": profile(json!([{"pluginRef": "prefix-cache-scorer"}])),
            }),
            Found::ByTheOperator("plugins[0].parameters.matchLengthWieght"),
        ),
        (
            "dangling pluginRef",
            json!({"plugins": [queue], "schedulingProfiles": profile(json!([{"pluginRef": "queue"}]))}),
            Found::ByTheApiServer("pluginRef"),
        ),
        (
            "two pickers in a profile",
            json!({
                "plugins": [{"type": "random-picker"}, {"type": "max-score-picker"}],
                "schedulingProfiles": profile(json!([{"pluginRef": "random-picker"}, {"pluginRef": "max-score-picker"}])),
            }),
            Found::ByTheOperator("schedulingProfiles[0].plugins"),
        ),
        (
            "a weight that is no number",
            json!({"plugins": [queue], "schedulingProfiles": profile(json!([{"pluginRef": "queue-scorer", "weight": "high"}]))}),
            Found::ByTheApiServer("weight"),
        ),
    ]
}

fn strategy() -> Strategy {
    Strategy::new("chat").pool("chat").replicas(PICKERS)
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn a_wrong_edit_never_serves() {
    let bar = "wrong edits: refused by the API server where the schema can know, else Accepted=False with the field \
               path within 1 s; the last good revision serves on, also after a picker's restart";
    test_env::run(2, bar, async |env| {
        env.servers("chat", 2, &[]).await?;
        env.pool("chat").await?;
        env.apply(&strategy().scorers(&[("queue-scorer", 1.0)])).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;
        let load = Load::new(&gateway.url()).per_second(50.0).streamed(0.5).start();
        let good = pickers[0].serving().await?.revision;

        let mut slowest = Duration::ZERO;
        let (mut by_the_api_server, mut by_the_operator) = (0, 0);
        for (what, routing, found) in wrong_edits() {
            let (said, count) = match found {
                Found::ByTheApiServer(words) => (refused(env, routing, words).await, &mut by_the_api_server),
                Found::ByTheOperator(path) => {
                    (disowned(env, routing, path, &mut slowest).await, &mut by_the_operator)
                }
            };
            *count += usize::from(said.is_ok());
            env.check(
                said.is_ok(),
                format_args!("{what}: {:#}", said.err().unwrap_or_else(|| anyhow::anyhow!("found"))),
            );
        }

        // The last of those that the API server took is still in the object.
        restarted(env, &pickers, &good).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        let serving = try_join_all(pickers.iter().map(Picker::serving)).await?;
        env.check(
            serving.iter().all(|serving| serving.revision == good),
            "every picker serves the last good revision",
        );
        let status = env.strategy("chat").await?;
        env.check(status.data["status"]["revision"] == *good, "status.revision is the last good one");

        let applied = env.apply(&strategy().scorers(&[("queue-scorer", 2.0)])).await?;
        let swaps =
            try_join_all(pickers.iter().map(|picker| picker.swapped(&good, Duration::from_secs(10)))).await?;
        let live = swaps.iter().map(|s| s.since.duration_since(applied.returned).unwrap_or_default()).max();
        let live = live.context("no pickers")?;
        env.check(live <= SOON, "a right edit afterwards is live within 1 s");
        env.strategy_is("chat", "Ready=True", Duration::from_secs(10)).await?;

        let report = load.stop().await;
        let failed = report.failures().count();
        env.measured(format_args!(
            "{by_the_api_server} refused by the API server, {by_the_operator} Accepted=False (slowest after \
             {slowest:.0?}); {} requests, {failed} failed; the right edit live after {live:.0?}",
            report.total()
        ));
        env.check(failed == 0, format_args!("no request failed: {report}"));
        Ok(())
    });
}

/// The API server refuses `routing` and says why.
async fn refused(env: &TestEnv, routing: Value, words: &str) -> Result<()> {
    let error = env.apply(&strategy().routing(routing)).await.err().context("the API server took it")?;
    let said = format!("{error:#}");
    ensure!(said.contains(words), "the API server does not name {words}: {said}");
    Ok(())
}

/// The operator says within a second that `routing` is wrong, and where; no picker serves it.
async fn disowned(env: &TestEnv, routing: Value, path: &str, slowest: &mut Duration) -> Result<()> {
    let before = env.pickers("chat", PICKERS).await?;
    let former = try_join_all(before.iter().map(Picker::serving)).await?;
    env.apply(&strategy().routing(routing)).await?;
    let applied = Instant::now();
    until("Accepted=False with the field path", Duration::from_secs(10), || async {
        let strategy = env.strategy("chat").await?;
        let conditions = strategy.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let accepted =
            conditions.iter().find(|condition| condition["type"] == "Accepted").context("no Accepted")?;
        let message = accepted["message"].as_str().unwrap_or_default();
        let of_this = accepted["observedGeneration"].as_i64() == strategy.metadata.generation;
        ensure!(accepted["status"] == "False" && of_this && message.contains(path), "{accepted}");
        Ok(())
    })
    .await?;
    let took = applied.elapsed();
    *slowest = took.max(*slowest);
    // The pickers have seen it too: they say that what was offered last does not compile.
    until("the pickers to refuse it", Duration::from_secs(5), || async {
        for picker in &before {
            let valid = picker.metrics().await?.value("waypost_strategy_valid")?;
            ensure!(valid == 0.0, "{} says it is valid", picker.pod);
        }
        Ok(())
    })
    .await?;
    let now = try_join_all(before.iter().map(Picker::serving)).await?;
    ensure!(now == former, "a picker serves something else: {now:?}");
    ensure!(took <= SOON, "it took {took:?}");
    Ok(())
}

/// A picker that starts while the object holds a wrong routing serves the good one.
async fn restarted(env: &TestEnv, pickers: &[Picker], good: &str) -> Result<()> {
    env.kubectl().delete_pod(env.namespace(), &pickers[0].pod, None).await?;
    let selector = env.picker_selector("chat");
    let is_new = |pod: &Pod| pickers.iter().all(|picker| picker.pod != pod.name_any());
    let serving = until("a new picker that serves", PATIENCE, || async {
        let pods = env.kubectl().pods(env.namespace(), &selector).await?;
        let pod = pods.iter().find(|pod| is_ready(pod) && is_new(pod)).context("none is Ready")?;
        let picker = Picker::of(pod)?;
        // It has read the wrong routing too, and goes on without it.
        let valid = picker.metrics().await?.value("waypost_strategy_valid")?;
        ensure!(valid == 0.0, "{} has not seen the wrong routing", picker.pod);
        picker.serving().await
    });
    let revision = serving.await?.revision;
    env.check(revision == good, format_args!("a picker that starts now serves {good}, not {revision}"));
    Ok(())
}
