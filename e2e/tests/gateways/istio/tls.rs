//! DestinationRules by which Istio calls the picker with TLS.

use anyhow::{Result, ensure};
use e2e::test_env::PATIENCE;
use e2e::until;
use serde_json::{Value, json};

use super::setup::Setup;

const REQUESTS: usize = 20;

/// With a name for the server the picker is called with TLS, and its choice followed.
pub async fn with_a_name(setup: &Setup<'_>) -> Result<()> {
    let host = picker(setup);
    let seen = seen(setup, json!({"mode": "SIMPLE", "insecureSkipVerify": true, "sni": host})).await?;
    setup.env.measured(format_args!("TLS with sni: {seen}"));
    ensure!(seen.ok == REQUESTS && seen.picked == REQUESTS as f64 && seen.handshakes > 0, "{seen}");
    Ok(())
}

/// Without one Istio takes the cluster's own name for it, `outbound|9002||…`, which is no name of a host: no handshake
/// succeeds, and since Envoy has shown the body by then, requests fail though the pool's failure mode is FailOpen.
pub async fn without_a_name(setup: &Setup<'_>) -> Result<()> {
    let seen = seen(setup, json!({"mode": "SIMPLE", "insecureSkipVerify": true})).await?;
    setup.env.measured(format_args!("TLS without sni: {seen}"));
    ensure!(seen.ok == 0 && seen.picked == 0.0, "docs/gateways.md says that no request is answered: {seen}");
    Ok(())
}

#[derive(Debug)]
struct Seen {
    ok: usize,
    picked: f64,
    handshakes: u64,
    errors: u64,
    last: String,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ok, picked, handshakes, errors, last } = self;
        write!(
            f,
            "{ok} of {REQUESTS} answered, {picked} picked, {handshakes} handshakes, {errors} failed{last}"
        )
    }
}

async fn seen(setup: &Setup<'_>, tls: Value) -> Result<Seen> {
    let env = setup.env;
    let rule = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "chat-picker"},
        "spec": {"host": picker(setup), "trafficPolicy": {"tls": tls}},
    });
    env.kubectl().apply_object(env.namespace(), rule.clone()).await?;
    until("the gateway to have the rule", PATIENCE, || async {
        let cluster = cluster(setup).await?;
        let socket = &cluster["transport_socket"]["typed_config"];
        ensure!(!socket.is_null(), "no TLS: {cluster}");
        ensure!(
            socket["sni"].as_str().unwrap_or_default() == tls["sni"].as_str().unwrap_or_default(),
            "{cluster}"
        );
        Ok(())
    })
    .await?;
    let (picked, before) = (setup.routed().await?, stats(setup).await?);
    let (mut ok, mut last) = (0, String::new());
    for _ in 0..REQUESTS {
        match setup.asked(&setup.servers[0], |ask| ask).await {
            Ok(pod) if pod == setup.servers[0].pod => ok += 1,
            Ok(pod) => last = format!(", served by {pod}"),
            Err(error) => last = format!(", {error:#}"),
        }
    }
    let after = stats(setup).await?;
    let picked = setup.routed().await? - picked;
    env.kubectl().delete(env.namespace(), &rule.to_string()).await?;
    until("the gateway to be without the rule", PATIENCE, || async {
        let cluster = cluster(setup).await?;
        ensure!(cluster["transport_socket"].is_null(), "{cluster}");
        let pod = setup.asked(&setup.servers[0], |ask| ask).await?;
        ensure!(pod == setup.servers[0].pod, "{pod} serves, without a picker");
        Ok(())
    })
    .await?;
    Ok(Seen { ok, picked, handshakes: after.0 - before.0, errors: after.1 - before.1, last })
}

fn picker(setup: &Setup<'_>) -> String {
    format!("chat-picker.{}.svc.cluster.local", setup.env.namespace())
}

/// Envoy's cluster for the picker.
async fn cluster(setup: &Setup<'_>) -> Result<Value> {
    let page = "config_dump?resource=dynamic_active_clusters&name_regex=outbound.9002.*chat-picker.*";
    let mut dump: Value = serde_json::from_str(&setup.admin(page).await?)?;
    Ok(dump["configs"][0]["cluster"].take())
}

/// TLS handshakes with the picker, and those that failed.
async fn stats(setup: &Setup<'_>) -> Result<(u64, u64)> {
    let all = setup.gateway.stats("9002.*chat-picker.*ssl").await?;
    let sum = |name: &str| all.iter().filter(|(key, _)| key.ends_with(name)).map(|(_, count)| count).sum();
    Ok((sum("ssl.handshake"), sum("ssl.connection_error")))
}
