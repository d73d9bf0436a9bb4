//! What happened, in two tables, and how to go on from there.

use std::time::Duration;

use anyhow::Result;

use super::acts::{Acts, TITLES};
use super::scene::{NAME, Scene};
use crate::load::Report;
use crate::shell::run;
use crate::stage::{Stage, Table};

/// Prints what happened.
pub async fn print(stage: &Stage, scene: &Scene, acts: &Acts) -> Result<()> {
    println!("\n  What each routing did\n\n{}", shares(scene, acts));
    println!("  How soon each edit was live, after `kubectl apply` had returned\n\n{}", delays(scene, acts));
    let failed = acts.all.failures().count();
    println!("  {} requests, {failed} failed. {} restarts.\n", acts.all.total(), acts.restarts);
    let cluster = stage.ground().cluster();
    let get = ["get", "routingstrategies", "--namespace", stage.namespace()];
    let shown =
        run(&cluster.tools().kubectl).args(get).env("KUBECONFIG", cluster.kubeconfig()).output().await?;
    println!("  $ kubectl {}", get.join(" "));
    shown.lines().for_each(|line| println!("  {line}"));
    Ok(())
}

/// Says what can be done with the cluster.
pub fn usage(stage: &Stage, scene: &Scene) {
    let (cluster, namespace) = (stage.ground().cluster(), stage.namespace());
    let kubectl = cluster.tools().kubectl.display();
    println!("\n  The cluster stays up. To use it:\n");
    println!("    export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("    {kubectl} -n {namespace} get routingstrategy {NAME} -o yaml");
    println!("    {kubectl} -n {namespace} edit routingstrategy {NAME}");
    let body =
        r#"{"model": "sim-model", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}"#;
    println!(
        "    curl -i {}/v1/chat/completions -H 'content-type: application/json' -d '{body}'",
        scene.gateway.url()
    );
    println!("\n  `cargo xtask down` removes every trace of it.");
}

fn shares(scene: &Scene, acts: &Acts) -> Table {
    let titles: Vec<String> =
        TITLES.iter().enumerate().map(|(at, title)| format!("{}. {title}", at + 1)).collect();
    let columns: Vec<(&str, usize)> =
        [""].into_iter().chain(titles.iter().map(String::as_str)).map(|title| (title, 40)).collect();
    let mut table = Table::new(&columns);
    let mut line = |name: &str, cell: &dyn Fn(&Report) -> String| {
        table.row([name.to_owned()].into_iter().chain(acts.reports.iter().map(cell)));
    };
    for (pod, name) in &scene.servers {
        line(name, &|report| {
            let served = report.by_pod().get(pod).copied().unwrap_or_default();
            percent(served as f64 / report.total().max(1) as f64)
        });
    }
    line("prompt tokens from cache", &|report| percent(report.hit_ratio()));
    line("time to first token, median", &|report| format!("{} ms", first_token(report).as_millis()));
    line("requests", &|report| report.total().to_string());
    line("failed", &|report| report.failures().count().to_string());
    table
}

fn delays(scene: &Scene, acts: &Acts) -> Table {
    let columns: Vec<(&str, usize)> = ["edit"]
        .into_iter()
        .chain(scene.pickers.iter().map(|picker| picker.pod.as_str()))
        .map(|c| (c, 60))
        .collect();
    let mut table = Table::new(&columns);
    for (title, delays) in TITLES[1..].iter().zip(&acts.delays) {
        let cells = delays.iter().map(|delay| format!("{} ms", delay.as_millis()));
        table.row([(*title).to_owned()].into_iter().chain(cells));
    }
    table
}

/// The median over the streamed answers.
fn first_token(report: &Report) -> Duration {
    let mut times: Vec<Duration> =
        report.samples.iter().filter(|s| s.streamed && s.served()).map(|sample| sample.first_byte).collect();
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
