//! The demo's three phases, each with a routing of its own, under one load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use futures::future::try_join_all;

use super::setup::Setup;
use super::strategies::{PICKERS, TITLES, strategy};
use crate::load::{Ask, Load, Prompts, Report};
use crate::test_env::{Picker, TestEnv, restarts};

/// How long the shares of a phase are counted.
const PHASE: Duration = Duration::from_secs(10);
/// Requests under way, and caches, may still be as the phase before left them.
const SETTLE: Duration = Duration::from_secs(3);
/// Requests a second.
const RATE: f64 = 60.0;
/// An edit must be live on every picker this soon after its apply has returned.
const LIVE: Duration = Duration::from_secs(1);

/// The results of all phases.
pub struct Phases {
    /// The requests of each phase.
    pub reports: Vec<Report>,
    /// All requests, those between the phases too.
    pub all: Report,
    /// How long each edit took to be live on each picker.
    pub delays: Vec<Vec<Duration>>,
    /// Containers that were started again, and pods that were replaced.
    pub restarts: i32,
}

/// Runs all phases under one load.
pub async fn run(env: &TestEnv, setup: &Setup) -> Result<Phases> {
    let progress = env.progress();
    let before = env.starts("").await?;
    let prompts = Prompts::families(32, 512, 24);
    let ask = Ask { max_tokens: 16, ..Ask::new("") };
    let load =
        Load::new(&setup.gateway.url()).per_second(RATE).streamed(0.5).prompts(prompts).like(ask).start();
    let mut spans = Vec::new();
    let mut delays = Vec::new();
    for (phase, title) in TITLES.iter().enumerate() {
        if phase > 0 {
            let took = edited(env, &setup.pickers, phase).await?;
            let slowest = took.iter().max().copied().unwrap_or_default();
            progress.say(format_args!(
                "edited: live on all {PICKERS} pickers {slowest:.0?} after the apply returned"
            ));
            env.check(slowest <= LIVE, format_args!("edit {phase} live within 1 s, not {slowest:?}"));
            delays.push(took);
        }
        let label = format!(
            "phase {}: {title}, {RATE} requests a second for {} s",
            phase + 1,
            (SETTLE + PHASE).as_secs()
        );
        let span = async {
            tokio::time::sleep(SETTLE).await;
            let from = Instant::now();
            tokio::time::sleep(PHASE).await;
            Ok::<_, anyhow::Error>((from, Instant::now()))
        };
        spans.push(progress.step(label, span).await?);
    }
    let all = load.stop().await;
    let restarts = restarts(&before, &env.starts("").await?);
    let reports: Vec<Report> = spans.into_iter().map(|(from, to)| all.between(from, to)).collect();
    let phases = Phases { reports, all, delays, restarts };
    judge(env, setup, &phases);
    Ok(phases)
}

/// Applies the routing of phase `phase` and gives back how long it took on each picker, by the picker's own record.
async fn edited(env: &TestEnv, pickers: &[Picker], phase: usize) -> Result<Vec<Duration>> {
    let former = try_join_all(pickers.iter().map(Picker::serving)).await?;
    let applied = env.apply(&strategy(phase)).await?;
    let within = Duration::from_secs(10);
    let swaps = pickers.iter().zip(&former).map(|(picker, former)| picker.swapped(&former.revision, within));
    let swaps = try_join_all(swaps).await?;
    let delay = |since: SystemTime| since.duration_since(applied.returned).unwrap_or_default();
    Ok(swaps.iter().map(|serving| delay(serving.since)).collect())
}

fn judge(env: &TestEnv, setup: &Setup, phases: &Phases) {
    let failed = phases.all.failures().count();
    env.check(failed == 0, format_args!("no request failed: {}", phases.all));
    env.check(phases.restarts == 0, "nothing was restarted");
    let served: Vec<BTreeMap<String, usize>> = phases.reports.iter().map(Report::by_pod).collect();
    let canary = setup.servers.last().map_or("", |(pod, _)| pod);
    env.check(!served[0].contains_key(canary), "the canary served nothing before it was let in");
    env.check(served[1].len() == setup.servers.len(), "every server served after the canary was let in");
    let (cold, warm) = (phases.reports[1].hit_ratio(), phases.reports[2].hit_ratio());
    env.check(
        warm > cold + 0.1,
        format_args!("warm prefixes are found again: hit ratio {cold:.2}, then {warm:.2}"),
    );
}
