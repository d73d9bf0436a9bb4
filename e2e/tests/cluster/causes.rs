//! Row 14: whatever keeps pickers from being ready is named in the status.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::test_env::{self, Strategy, TestEnv};
use e2e::until;
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};

/// How soon the cause is named.
const SOON: Duration = Duration::from_secs(10);
/// How long the story waits for a cause, to say how late it came.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pods that go on failing say nothing new.
const REST: Duration = Duration::from_secs(15);

/// A strategy with a fault, and what its `Ready` has to say.
struct Case {
    name: &'static str,
    picker: Value,
    reason: &'static str,
    words: &'static str,
}

fn cases() -> [Case; 6] {
    let case = |name, picker, reason, words| Case { name, picker, reason, words };
    [
        case(
            "no-secret",
            json!({"tls": {"mode": "Secret", "secretName": "gone"}}),
            "FailedMount",
            "Secret gone of spec.picker.tls.secretName is not there",
        ),
        case(
            "no-authorities",
            json!({"tls": {"clientCA": {"configMapName": "gone"}}}),
            "FailedMount",
            "ConfigMap gone of spec.picker.tls.clientCA.configMapName is not there",
        ),
        // Nothing listens there.
        case(
            "no-image",
            json!({"image": "127.0.0.1:1/picker:none"}),
            "ImagePullBackOff",
            "image 127.0.0.1:1/picker:none can't be pulled",
        ),
        case(
            "no-room",
            json!({"resources": {"requests": {"cpu": "1000"}}}),
            "Unschedulable",
            "no node takes the pods",
        ),
        case(
            "no-node",
            json!({"podTemplate": {"spec": {"nodeSelector": {"nowhere": "at-all"}}}}),
            "Unschedulable",
            "correct nodeSelector and affinity in spec.picker.podTemplate",
        ),
        case(
            "crash",
            json!({"podTemplate": {"spec": {"containers": [{"name": "picker", "args": ["--body-timeout=never"]}]}}}),
            "CrashLoopBackOff",
            "the picker ended with exit code 2: error: invalid value 'never' for '--body-timeout",
        ),
    ]
}

fn limits() -> [(&'static str, Value, &'static str); 2] {
    let object = |kind: &str, spec: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "tight"}, "spec": spec});
    [
        (
            "quota",
            object("ResourceQuota", json!({"hard": {"pods": "0"}})),
            "the pods are refused: exceeded quota: tight",
        ),
        (
            "limits",
            object("LimitRange", json!({"limits": [{"type": "Container", "max": {"memory": "64Mi"}}]})),
            "the pods are refused: maximum memory usage per Container is 64Mi, but limit is 1Gi",
        ),
    ]
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn every_cause_is_named() {
    let bar = "a missing Secret or ConfigMap, a wrong image, no room, no node, a crash, a quota, a LimitRange: \
               each in the message of Ready within 10 s, and no write of the status after that";
    test_env::run(14, bar, async |env| {
        let open = async |(name, object, _): (&'static str, Value, _)| {
            let other =
                TestEnv::open(env.cluster_env().clone(), &format!("row-14-{name}"), env.progress().clone())
                    .await?;
            other.kubectl().apply_object(other.namespace(), object).await?;
            anyhow::Ok(other)
        };
        let others = try_join_all(limits().map(open)).await?;
        let told = story(env, &others).await;
        let closed = join_all(others.iter().map(TestEnv::close)).await;
        told?;
        closed.into_iter().collect()
    });
}

async fn story(env: &TestEnv, others: &[TestEnv]) -> Result<()> {
    let in_namespace = async |case: Case| {
        env.pool(case.name).await?;
        let fields = case.picker.as_object().context("no fields")?.clone();
        let strategy = fields
            .into_iter()
            .fold(Strategy::new(case.name).pool(case.name).replicas(1), |strategy, (field, value)| {
                strategy.picker(&field, value)
            });
        env.apply(&strategy).await?;
        named(env, case.name, case.reason, case.words).await
    };
    let in_another = async |(other, (name, _, words)): (&TestEnv, (&'static str, Value, &'static str))| {
        other.pool(name).await?;
        other.apply(&Strategy::new(name).pool(name).replicas(1)).await?;
        named(other, name, "FailedCreate", words).await
    };
    let (mut times, more) = tokio::try_join!(
        try_join_all(cases().map(in_namespace)),
        try_join_all(others.iter().zip(limits()).map(in_another)),
    )?;
    times.extend(more);
    let slowest = times.iter().max_by_key(|(_, took)| *took).context("no cases")?;
    env.check(slowest.1 <= SOON, format_args!("{} named within 10 s, not {:.1?}", slowest.0, slowest.1));

    let versions = async || {
        let cases = cases();
        let own = try_join_all(cases.iter().map(|case| env.strategy(case.name))).await?;
        let of_others =
            others.iter().zip(limits()).map(async |(other, (name, ..))| other.strategy(name).await);
        let all = own.into_iter().chain(try_join_all(of_others).await?);
        anyhow::Ok(all.map(|s| (s.metadata.name, s.metadata.resource_version)).collect::<Vec<_>>())
    };
    let before = versions().await?;
    tokio::time::sleep(REST).await;
    let after = versions().await?;
    let written: Vec<_> = before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| &a.0).collect();
    env.measured(format_args!(
        "{} causes named, the slowest ({}) after {:.1?}; {} of them written again in {REST:?}",
        times.len(),
        slowest.0,
        slowest.1,
        written.len()
    ));
    env.check(written.is_empty(), format_args!("nothing new is said of what stays as it is: {written:?}"));
    Ok(())
}

/// How long it took until `Ready` had this reason and these words.
async fn named(
    env: &TestEnv,
    name: &'static str,
    reason: &str,
    words: &str,
) -> Result<(&'static str, Duration)> {
    let began = Instant::now();
    until(format_args!("{name} to say {words}"), PATIENCE, || async {
        let strategy = env.strategy(name).await?;
        let status = &strategy.data["status"];
        let conditions = status["conditions"].as_array().context("no conditions")?;
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready").context("no Ready")?;
        let message = ready["message"].as_str().unwrap_or_default();
        ensure!(ready["reason"] == reason && message.contains(words), "{ready}");
        Ok(())
    })
    .await?;
    Ok((name, began.elapsed()))
}
