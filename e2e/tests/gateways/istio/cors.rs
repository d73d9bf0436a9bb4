//! A route with a CORS filter.

use anyhow::{Result, ensure};
use e2e::load::Ask;
use e2e::test_env::PATIENCE;
use e2e::until;
use serde_json::json;

use super::objects;
use super::setup::Setup;

const ORIGIN: &str = "https://example.com";
const REQUESTS: usize = 20;

/// Its requests go round robin without a word of the picker, though every condition is fine: `docs/gateways.md` says so,
/// and no longer does when this part fails.
pub async fn bypasses_the_picker(setup: &Setup<'_>) -> Result<()> {
    let env = setup.env;
    let route = objects::route(
        "cors",
        json!({
            "matches": [{"headers": [{"name": "x-route", "value": "cors"}]}],
            "filters": [{"type": "CORS", "cors": {"allowOrigins": [ORIGIN], "allowMethods": ["POST"]}}],
        }),
    );
    env.kubectl().apply_object(env.namespace(), route.clone()).await?;
    let through = |ask: Ask| ask.header("x-route", "cors").header("origin", ORIGIN);
    until("the gateway to have the route", PATIENCE, || async {
        let answer = through(Ask::new("a question")).send(&setup.client, &setup.gateway.url()).await?;
        ensure!(answer.headers.contains_key("access-control-allow-origin"), "{:?}", answer.headers);
        Ok(())
    })
    .await?;
    let routed = setup.routed().await?;
    let mut elsewhere = 0;
    for _ in 0..REQUESTS {
        let pod = setup.asked(&setup.servers[0], through).await?;
        elsewhere += usize::from(pod != setup.servers[0].pod);
    }
    let routed = setup.routed().await? - routed;
    let conditions = objects::conditions(env, "cors").await?;
    env.kubectl().delete(env.namespace(), &route.to_string()).await?;
    env.measured(format_args!(
        "CORS filter: {routed} of {REQUESTS} asked the picker, {elsewhere} served elsewhere; conditions {conditions}"
    ));
    ensure!(routed == 0.0 && elsewhere > 0, "Istio asks the picker for routes with a CORS filter now");
    ensure!(conditions == "Accepted=True ResolvedRefs=True", "the route is not fine: {conditions}");
    Ok(())
}
