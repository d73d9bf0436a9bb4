//! Row 23: models that are rewritten, by a strategy and by objects of the cluster, while both change under load.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::envoy::AiGateway;
use e2e::load::{Ask, Client, Load};
use e2e::test_env::{self, PATIENCE, Picker, Strategy, TestEnv};
use e2e::until;
use http::StatusCode;
use serde_json::{Value, json};

const PICKERS: usize = 2;
const EDITS: usize = 20;
/// Requests a second.
const RATE: f64 = 80.0;
/// How long a definition that is installed later may stay unknown, and how long a change of an object.
const FOUND: Duration = Duration::from_secs(10);
/// The name that clients ask for.
const CLIENT: &str = "assistant";
const REWRITES: &str = include_str!("../../manifests/inferencemodelrewrite-v1alpha2.yaml");

/// Splits the client's model between the base model and an adapter: `canary` of a hundred go to the adapter.
fn strategy(canary: usize, edit: usize) -> Strategy {
    Strategy::new("chat").pool("chat").replicas(PICKERS).routing(json!({
        "plugins": [{"type": "queue-scorer"}],
        "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "queue-scorer", "weight": 1 + edit}]}],
        "models": {"rules": [{
            "name": "canary", "matches": [{"model": CLIENT}],
            "targets": [{"model": "sim-model", "weight": 100 - canary}, {"model": "tuned", "weight": canary}],
        }]},
    }))
}

/// An InferenceModelRewrite that lets `model` go on as `target`.
fn rewrite(model: &str, target: &str) -> Value {
    json!({
        "apiVersion": "llm-d.ai/v1alpha2", "kind": "InferenceModelRewrite", "metadata": {"name": "later"},
        "spec": {"poolRef": {"name": "chat"}, "rules": [
            {"matches": [{"model": {"value": model}}], "targets": [{"modelRewrite": target}]},
        ]},
    })
}

fn objective(priority: i32) -> Value {
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferenceObjective",
        "metadata": {"name": "batch"}, "spec": {"priority": priority, "poolRef": {"name": "chat"}},
    })
}

fn ask(model: &str) -> Ask {
    Ask { model: model.to_owned(), ..Ask::new("a question").header("x-llm-d-inference-objective", "batch") }
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn models_change_under_load() {
    let bar = "rules of models, InferenceModelRewrites and InferenceObjectives change under load: 0 failed requests, 0 \
               restarts, clients see their own name; 90/10 exact to within a few requests; a definition that is installed later is known \
               within 10 s";
    test_env::run(23, bar, async |env| {
        env.servers("chat", 4, &["--lora", "tuned"]).await?;
        env.pool("chat").await?;
        env.apply(&strategy(10, 0)).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let pickers = env.pickers("chat", PICKERS).await?;
        let gateway = env.gateway("gateway", &AiGateway::default(), "chat").await?;
        let url = gateway.url();
        names_are_the_clients(&url).await?;

        let before = env.starts("").await?;
        let load = Load::new(&url).per_second(RATE).streamed(0.5).like(ask(CLIENT)).start();
        let found = installed_later(env, &url).await?;
        let (share, of) = share(&pickers, &load).await?;
        for edit in 1..=EDITS {
            env.apply(&strategy(10 + edit, edit)).await?;
            env.kubectl().apply_object(env.namespace(), objective(-(edit as i32))).await?;
            let model = if edit % 2 == 0 { "sim-model" } else { "tuned" };
            env.kubectl().apply_object(env.namespace(), rewrite("new", model)).await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let report = load.stop().await;
        let restarts = test_env::restarts(&before, &env.starts("").await?);
        env.kubectl().delete("", REWRITES).await?;

        let failed = report.failures().count();
        env.measured(format_args!("{} requests, {failed} failed, {restarts} restarts", report.total()));
        env.measured(format_args!("{:.2} % of {of} to the canary of 10 %", share * 100.0));
        env.measured(format_args!("installed later: known after {found:.1?}"));
        env.check(failed == 0, format_args!("no request failed: {report}"));
        env.check(restarts == 0, "nothing was restarted");
        // Each picker splits its own requests, to within a few.
        let off = (share - 0.1).abs() * of as f64;
        env.check(
            off <= 4.0 * PICKERS as f64,
            format_args!("the share is exact: {off:.1} requests too many or few"),
        );
        env.check(found <= FOUND, format_args!("known within {FOUND:?}"));
        Ok(())
    });
}

/// A client is told the name that it asked for, in one piece and in a stream; a model that nobody has is the server's to
/// refuse.
async fn names_are_the_clients(url: &str) -> Result<()> {
    let client = Client::new();
    for ask in [ask(CLIENT), ask(CLIENT).streamed()] {
        // Both targets are asked.
        for _ in 0..20 {
            let answer = ask.send(&client, url).await?;
            let body = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == StatusCode::OK, "{}: {body}", answer.status);
            let others = ["\"sim-model\"", "\"tuned\""].iter().any(|name| body.contains(name));
            ensure!(body.contains("\"model\":\"assistant\"") && !others, "the client's name: {body}");
        }
    }
    let unknown = ask("nobody").send(&client, url).await?;
    ensure!(unknown.status == StatusCode::NOT_FOUND, "{}", unknown.status);
    Ok(())
}

/// Installs the definition of InferenceModelRewrite, and makes one at once. How long it takes until it counts comes back.
async fn installed_later(env: &TestEnv, url: &str) -> Result<Duration> {
    let client = Client::new();
    ensure!(ask("new").send(&client, url).await?.status == StatusCode::NOT_FOUND, "nobody has it yet");
    env.kubectl().apply("", REWRITES).await?;
    until("the definition to be served", PATIENCE, || async {
        env.kubectl().apply_object(env.namespace(), rewrite("new", "sim-model")).await?;
        Ok(())
    })
    .await?;
    let installed = Instant::now();
    // Each picker finds it for itself.
    until("the rewrite to count", 3 * FOUND, || async {
        for _ in 0..10 {
            let status = ask("new").send(&client, url).await?.status;
            ensure!(status == StatusCode::OK, "a request of it was answered with {status}");
        }
        Ok(())
    })
    .await?;
    Ok(installed.elapsed())
}

/// The share of the canary among the requests of the rule, and how many there are, when there are enough.
async fn share(pickers: &[Picker], load: &e2e::load::Running) -> Result<(f64, usize)> {
    let name = "waypost_picker_model_rewrites_total";
    let count = async |target: &str| -> Result<f64> {
        let mut sum = 0.0;
        for picker in pickers {
            sum += picker.metrics().await?.sum(name, &[("rule", "canary"), ("target_model", target)]);
        }
        Ok(sum)
    };
    let enough = load.total() + 1000;
    while load.total() < enough {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (base, tuned) = (count("sim-model").await?, count("tuned").await?);
    Ok((tuned / (base + tuned), (base + tuned) as usize))
}
