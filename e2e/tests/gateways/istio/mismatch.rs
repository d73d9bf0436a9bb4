//! A model server that the picker knows and the gateway does not.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::test_env::PATIENCE;
use e2e::until;

use super::setup::{Server, Setup};

const REQUESTS: usize = 10;

/// While istiod is stopped, a new server is known to the pickers alone: Envoy sends its requests elsewhere, and the
/// pickers count each. When istiod goes on, the new server serves.
pub async fn is_counted(setup: &Setup<'_>) -> Result<()> {
    let count = setup.servers.len() + 1;
    let before = setup.mismatches().await?;
    setup.istiod.pause()?;
    let unknown = added(setup, count).await;
    let outcome = match &unknown {
        Ok(server) => elsewhere(setup, server).await,
        Err(_) => Ok(()),
    };
    setup.istiod.resume()?;
    let server = unknown?;
    outcome?;
    let counted = setup.mismatches().await? - before;
    setup.env.measured(format_args!(
        "{counted} of {REQUESTS} counted that Envoy sent elsewhere while it did not know the server"
    ));
    ensure!(counted == REQUESTS as f64, "{counted} of {REQUESTS} are counted");
    until("the new server to serve", Duration::from_secs(30), || async {
        let pod = setup.asked(&server, |ask| ask).await?;
        ensure!(pod == server.pod, "{pod} serves in its place");
        Ok(())
    })
    .await?;
    let after = setup.mismatches().await?;
    for _ in 0..REQUESTS {
        setup.asked(&server, |ask| ask).await?;
    }
    ensure!(setup.mismatches().await? == after, "more are counted though the gateway knows the server");
    Ok(())
}

/// Adds a model server and waits until every picker knows it.
async fn added(setup: &Setup<'_>, count: usize) -> Result<Server> {
    let env = setup.env;
    env.kubectl().scale(env.namespace(), "chat", i32::try_from(count)?).await?;
    let pods = env.kubectl().ready_pods(env.namespace(), "app=chat", count, PATIENCE).await?;
    until("the pickers to know it", Duration::from_secs(10), || async {
        let known = setup.counted("waypost_picker_endpoints", &[]).await?;
        ensure!(known == (count * setup.pickers.len()) as f64, "{known} endpoints at all pickers");
        Ok(())
    })
    .await?;
    let all: Vec<Server> = pods.iter().map(Server::of).collect::<Result<_>>()?;
    let new = all.into_iter().find(|server| setup.servers.iter().all(|known| known.pod != server.pod));
    new.context("no new server")
}

async fn elsewhere(setup: &Setup<'_>, server: &Server) -> Result<()> {
    for _ in 0..REQUESTS {
        let pod = setup.asked(server, |ask| ask).await?;
        ensure!(pod != server.pod, "{pod} serves, which Envoy can't know");
    }
    Ok(())
}
