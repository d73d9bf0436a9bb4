//! Three acts, each a routing; between them an edit under load.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use futures::future::try_join_all;
use serde_json::{Value, json};

use super::scene::{NAME, PICKERS, Scene};
use crate::load::{Ask, Load, Prompts, Report};
use crate::stage::{Picker, Stage, Strategy, restarts};

/// What each act shows.
pub const TITLES: [&str; 3] = ["random, stable only", "the canary joins", "warm prefixes first"];

/// How long the shares of an act are counted.
const ACT: Duration = Duration::from_secs(10);
/// Requests under way, and caches, may still be as the act before left them.
const SETTLE: Duration = Duration::from_secs(3);
/// Requests a second.
const RATE: f64 = 60.0;
/// An edit must be live on every picker this soon after its apply has returned.
const LIVE: Duration = Duration::from_secs(1);

/// What was seen.
pub struct Acts {
    /// The requests of each act.
    pub reports: Vec<Report>,
    /// All requests, those between the acts too.
    pub all: Report,
    /// How long each edit took to be live on each picker.
    pub delays: Vec<Vec<Duration>>,
    /// Containers that were started again, and pods that were replaced.
    pub restarts: i32,
}

/// The strategy as of act `act`.
pub fn strategy(act: usize) -> Strategy {
    Strategy::new(NAME).pool(NAME).replicas(PICKERS).routing(routing(act))
}

fn routing(act: usize) -> Value {
    let stable = json!({
        "type": "label-selector-filter",
        "name": "stable-only",
        "parameters": {"matchLabels": {"track": "stable"}},
    });
    let random = json!({"type": "random-picker"});
    let profile = |plugins: Value| json!([{"name": "default", "plugins": plugins}]);
    match act {
        0 => json!({
            "plugins": [stable, random],
            "schedulingProfiles": profile(json!([{"pluginRef": "stable-only"}, {"pluginRef": "random-picker"}])),
        }),
        1 => json!({
            "plugins": [random],
            "schedulingProfiles": profile(json!([{"pluginRef": "random-picker"}])),
        }),
        _ => json!({
            "plugins": [{"type": "prefix-cache-scorer"}, {"type": "queue-scorer"}],
            "schedulingProfiles": profile(json!([
                {"pluginRef": "prefix-cache-scorer", "weight": 3},
                {"pluginRef": "queue-scorer", "weight": 1},
            ])),
        }),
    }
}

/// Plays them all under one load.
pub async fn played(stage: &Stage, scene: &Scene) -> Result<Acts> {
    let progress = stage.progress();
    let before = stage.starts("").await?;
    let prompts = Prompts::families(32, 512, 24);
    let ask = Ask { max_tokens: 16, ..Ask::new("") };
    let load =
        Load::new(&scene.gateway.url()).per_second(RATE).streamed(0.5).prompts(prompts).like(ask).start();
    let mut spans = Vec::new();
    let mut delays = Vec::new();
    for (act, title) in TITLES.iter().enumerate() {
        if act > 0 {
            let took = edited(stage, &scene.pickers, act).await?;
            let slowest = took.iter().max().copied().unwrap_or_default();
            progress.say(format_args!(
                "edited: live on all {PICKERS} pickers {slowest:.0?} after the apply returned"
            ));
            stage.bar(slowest <= LIVE, format_args!("edit {act} live within 1 s, not {slowest:?}"));
            delays.push(took);
        }
        let label =
            format!("act {}: {title}, {RATE} requests a second for {} s", act + 1, (SETTLE + ACT).as_secs());
        let span = async {
            tokio::time::sleep(SETTLE).await;
            let from = Instant::now();
            tokio::time::sleep(ACT).await;
            Ok::<_, anyhow::Error>((from, Instant::now()))
        };
        spans.push(progress.step(label, span).await?);
    }
    let all = load.stop().await;
    let restarts = restarts(&before, &stage.starts("").await?);
    let reports: Vec<Report> = spans.into_iter().map(|(from, to)| all.between(from, to)).collect();
    let acts = Acts { reports, all, delays, restarts };
    judge(stage, scene, &acts);
    Ok(acts)
}

/// Applies the routing of act `act` and gives back how long it took on each picker, by the picker's own record.
async fn edited(stage: &Stage, pickers: &[Picker], act: usize) -> Result<Vec<Duration>> {
    let former = try_join_all(pickers.iter().map(Picker::serving)).await?;
    let applied = stage.apply(&strategy(act)).await?;
    let within = Duration::from_secs(10);
    let swaps = pickers.iter().zip(&former).map(|(picker, former)| picker.swapped(&former.revision, within));
    let swaps = try_join_all(swaps).await?;
    let delay = |since: SystemTime| since.duration_since(applied.returned).unwrap_or_default();
    Ok(swaps.iter().map(|serving| delay(serving.since)).collect())
}

fn judge(stage: &Stage, scene: &Scene, acts: &Acts) {
    let failed = acts.all.failures().count();
    stage.bar(failed == 0, format_args!("no request failed: {}", acts.all));
    stage.bar(acts.restarts == 0, "nothing was restarted");
    let served: Vec<BTreeMap<String, usize>> = acts.reports.iter().map(Report::by_pod).collect();
    let canary = scene.servers.last().map_or("", |(pod, _)| pod);
    stage.bar(!served[0].contains_key(canary), "the canary served nothing before it was let in");
    stage.bar(served[1].len() == scene.servers.len(), "every server served after the canary was let in");
    let (cold, warm) = (acts.reports[1].hit_ratio(), acts.reports[2].hit_ratio());
    stage.bar(
        warm > cold + 0.1,
        format_args!("warm prefixes are found again: hit ratio {cold:.2}, then {warm:.2}"),
    );
}
