//! What the gateway does while no picker answers.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use e2e::load::{Ask, Load};
use e2e::test_env::PATIENCE;
use e2e::until;
use serde_json::json;

use super::setup::{PICKERS, Setup, named_by_the_client};

const REQUESTS: usize = 20;
const RATE: f64 = 40.0;

/// FailOpen: Istio goes round robin, and no request fails, not even while pickers go and come.
pub async fn fails_open(setup: &mut Setup<'_>) -> Result<()> {
    mode_is(setup, "FailOpen").await?;
    let ask = Ask::new("").header("test-epp-endpoint-selection", &setup.servers[0].address);
    let load = Load::new(&setup.gateway.url()).per_second(RATE).streamed(0.5).like(ask).start();
    let outcome = away(setup).await;
    let report = load.stop().await;
    let (statuses, pods) = outcome?;
    let failed = report.failures().count();
    setup.env.measured(format_args!(
        "FailOpen: {statuses:?} by {} pods; {failed} of {} failed while pickers went and came",
        pods.len(),
        report.total()
    ));
    ensure!(statuses == BTreeMap::from([(200, REQUESTS)]), "{statuses:?}");
    ensure!(pods.len() > 1, "only {pods:?} served: nothing goes round robin");
    ensure!(failed == 0, "{report}");
    Ok(())
}

/// FailClose: every request is refused.
pub async fn fails_closed(setup: &mut Setup<'_>) -> Result<()> {
    mode_is(setup, "FailClose").await?;
    let (statuses, _) = away(setup).await?;
    setup.env.measured(format_args!("FailClose: {statuses:?}"));
    ensure!(statuses == BTreeMap::from([(500, REQUESTS)]), "{statuses:?}");
    Ok(())
}

/// Sets the strategy's failure mode, and waits until the gateway's route has it.
async fn mode_is(setup: &Setup<'_>, mode: &str) -> Result<()> {
    setup.env.apply(&named_by_the_client().picker("failureMode", json!(mode))).await?;
    let wanted = format!("\"failure_mode_allow\":{}", mode == "FailOpen");
    until(format_args!("{mode} in the gateway's route"), PATIENCE, || async {
        let dump = setup.admin("config_dump?resource=dynamic_route_configs").await?;
        let dump: serde_json::Value = serde_json::from_str(&dump)?;
        ensure!(dump.to_string().contains(&wanted), "{dump}");
        Ok(())
    })
    .await
}

/// The statuses of requests while no picker runs, and the pods that served; afterwards pickers run again.
async fn away(setup: &mut Setup<'_>) -> Result<(BTreeMap<u16, usize>, BTreeSet<String>)> {
    let (env, deployment) = (setup.env, "chat-picker");
    let seen = env
        .without_operator(async || {
            env.kubectl().scale(env.namespace(), deployment, 0).await?;
            env.kubectl().ready_pods(env.namespace(), &env.picker_selector("chat"), 0, PATIENCE).await?;
            let (mut statuses, mut pods) = (BTreeMap::new(), BTreeSet::new());
            for _ in 0..REQUESTS {
                let ask =
                    Ask::new("a question").header("test-epp-endpoint-selection", &setup.servers[0].address);
                let answer = ask.send(&setup.client, &setup.gateway.url()).await?;
                *statuses.entry(answer.status.as_u16()).or_default() += 1;
                pods.extend(answer.pod().map(str::to_owned));
            }
            env.kubectl().scale(env.namespace(), deployment, i32::try_from(PICKERS)?).await?;
            Ok((statuses, pods))
        })
        .await?;
    setup.pickers = env.pickers("chat", PICKERS).await?;
    let picked = || async {
        let pod = setup.asked(&setup.servers[0], |ask| ask).await?;
        ensure!(pod == setup.servers[0].pod, "served by {pod}");
        Ok(())
    };
    until("pickers to be asked again", PATIENCE, picked).await?;
    Ok(seen)
}
