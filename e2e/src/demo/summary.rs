//! The summary that the demo prints: two tables, and how to use the cluster.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::phases::Phases;
use super::setup::Setup;
use super::strategies::{NAME, TITLES};
use crate::load::Report;
use crate::test_env::{Table, TestEnv};
use crate::tools::Clients;

/// Prints the tables.
pub async fn print(env: &TestEnv, setup: &Setup, phases: &Phases) -> Result<()> {
    println!("\n  What each routing did\n\n{}", shares(setup, phases));
    println!(
        "  How soon each edit was live, after `kubectl apply` had returned\n\n{}",
        delays(setup, phases)
    );
    let failed = phases.all.failures().count();
    println!("  {} requests, {failed} failed. {} restarts.\n", phases.all.total(), phases.restarts);
    println!("  $ kubectl -n {} get routingstrategies\n\n{}", env.namespace(), strategies(env).await?);
    Ok(())
}

/// The strategies with the columns that `kubectl get` shows, which are the API server's.
async fn strategies(env: &TestEnv) -> Result<Table> {
    let path = format!("/apis/waypost.dev/v1alpha1/namespaces/{}/routingstrategies", env.namespace());
    let get = http::Request::get(path)
        .header(http::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())?;
    let shown: Value = env.kubectl().client().request(get).await?;
    let columns = shown["columnDefinitions"].as_array().map_or(&[][..], Vec::as_slice);
    // The others are for `-o wide`.
    let is_shown = |at: &usize| columns[*at]["priority"] == 0;
    let shown_columns: Vec<usize> = (0..columns.len()).filter(is_shown).collect();
    let names: Vec<&str> =
        shown_columns.iter().map(|at| columns[*at]["name"].as_str().unwrap_or_default()).collect();
    let mut table = Table::new(&names.iter().map(|name| (*name, 60)).collect::<Vec<_>>());
    for row in shown["rows"].as_array().into_iter().flatten() {
        table.row(shown_columns.iter().map(|at| match &row["cells"][*at] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }));
    }
    Ok(table)
}

/// Prints how to use the cluster.
pub fn usage(env: &TestEnv, setup: &Setup, clients: &Clients) {
    let (cluster, namespace) = (env.cluster_env().cluster(), env.namespace());
    let kubectl = clients.kubectl.display();
    println!("\n  The cluster stays up. To use it:\n");
    println!("    export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("    {kubectl} -n {namespace} get routingstrategy {NAME} -o yaml");
    println!("    {kubectl} -n {namespace} edit routingstrategy {NAME}");
    let body =
        r#"{"model": "sim-model", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}"#;
    println!(
        "    curl -i {}/v1/chat/completions -H 'content-type: application/json' -d '{body}'",
        setup.gateway.url()
    );
    println!("\n  `cargo xtask down` removes every trace of it.");
}

fn shares(setup: &Setup, phases: &Phases) -> Table {
    let titles: Vec<String> =
        TITLES.iter().enumerate().map(|(at, title)| format!("{}. {title}", at + 1)).collect();
    let columns: Vec<(&str, usize)> =
        [""].into_iter().chain(titles.iter().map(String::as_str)).map(|title| (title, 40)).collect();
    let mut table = Table::new(&columns);
    let mut line = |name: &str, cell: &dyn Fn(&Report) -> String| {
        table.row([name.to_owned()].into_iter().chain(phases.reports.iter().map(cell)));
    };
    for (pod, name) in &setup.servers {
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

fn delays(setup: &Setup, phases: &Phases) -> Table {
    let columns: Vec<(&str, usize)> = ["edit"]
        .into_iter()
        .chain(setup.pickers.iter().map(|picker| picker.pod.as_str()))
        .map(|c| (c, 60))
        .collect();
    let mut table = Table::new(&columns);
    for (title, delays) in TITLES[1..].iter().zip(&phases.delays) {
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
