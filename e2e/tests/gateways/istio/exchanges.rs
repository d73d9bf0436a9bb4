//! Requests to the very pod that the picker picked.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Ask;
use e2e::until;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::log::exchanges;
use super::setup::Setup;

/// Every other one is streamed.
const REQUESTS: usize = 200;
/// Streamed answers that take their time.
const SLOW: usize = 5;
const SLOW_TOKENS: u32 = 400;

/// Whole and streamed answers come from the pod that was picked, and all say so: the pod, Envoy's log, and what the
/// picker is told.
pub async fn follow_the_picker(setup: &Setup<'_>) -> Result<()> {
    let (routed, mismatches) = (setup.routed().await?, setup.mismatches().await?);
    let before = exchanges(setup.env, &setup.gateway).await?.len();
    let asked = stream::iter(0..REQUESTS).map(|number| async move {
        let server = &setup.servers[number % setup.servers.len()];
        // Not every other number: each server has both.
        let streamed = (number / setup.servers.len()).is_multiple_of(2);
        let pod = setup.asked(server, |ask| if streamed { ask.streamed() } else { ask }).await;
        let pod = pod.with_context(|| format!("request {number}"))?;
        ensure!(pod == server.pod, "request {number}: served by {pod}, picked was {}", server.pod);
        Ok(())
    });
    asked.buffer_unordered(16).try_collect::<Vec<()>>().await?;
    let seen = until("Envoy's log of the requests", Duration::from_secs(10), || async {
        let seen = exchanges(setup.env, &setup.gateway).await?.split_off(before);
        ensure!(seen.len() == REQUESTS, "{} of {REQUESTS} requests are in Envoy's log", seen.len());
        Ok(seen)
    })
    .await?;
    let agree = seen.iter().filter(|exchange| exchange.agrees()).count();
    let (routed, mismatches) = (setup.routed().await? - routed, setup.mismatches().await? - mismatches);
    setup.env.measured(format_args!(
        "{agree} of {REQUESTS} requests: picked = served = host; {mismatches} mismatches counted"
    ));
    ensure!(agree == REQUESTS, "{:?}", seen.iter().find(|exchange| !exchange.agrees()));
    ensure!(routed == REQUESTS as f64, "the pickers picked {routed} times");
    ensure!(mismatches == 0.0, "the pickers count {mismatches} answers from elsewhere");
    Ok(())
}

/// Streamed answers arrive as they are made.
pub async fn stream(setup: &Setup<'_>) -> Result<()> {
    let mut shares = Vec::new();
    for number in 0..SLOW {
        let ask = Ask { max_tokens: SLOW_TOKENS, ..Ask::new(format!("slow question {number}")) };
        let ask = ask.streamed().header("test-epp-endpoint-selection", &setup.servers[0].address);
        let answer = ask.send(&setup.client, &setup.gateway.url()).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        shares.push(answer.first_byte.as_secs_f64() / answer.took.as_secs_f64());
    }
    shares.sort_by(f64::total_cmp);
    let median = shares[SLOW / 2];
    setup.env.measured(format_args!("streams begin at {:.0} % of their time", 100.0 * median));
    ensure!(
        median < 0.5,
        "streams begin to arrive after {median:.2} of their time: something holds them back"
    );
    Ok(())
}
