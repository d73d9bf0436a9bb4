//! The README's first minute: simulated model servers, a picker and an Envoy on this machine, and an edited file.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::{Ask, Client};
use e2e::local::{built, started};
use e2e::tools::Tools;
use e2e::{Progress, paths, until};

const GATEWAY: &str = "http://127.0.0.1:8081";
const PICKER: &str = "http://127.0.0.1:9090";
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
#[ignore = "needs Envoy, which `cargo xtask test` brings"]
async fn the_first_minute_of_the_readme() {
    let outcome = story().await;
    assert!(outcome.is_ok(), "{:#}", outcome.unwrap_err());
}

async fn story() -> Result<()> {
    let progress = Progress::stdout();
    let tools = Tools::ready(&progress).await?;
    let programs = progress.step("building sim and picker", built()).await?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("try.yaml");
    let sample =
        fs::read_to_string(paths::checkout().join("config/samples/without-kubernetes/file-discovery.yaml"))?;
    fs::write(&config, &sample)?;

    let _sim = started(&programs.join("sim"), &["serve", "--replicas", "4"])?;
    let _picker = started(&programs.join("picker"), &["--config-file", &config.display().to_string()])?;
    let _envoy = started(&tools.envoy, &["-c", "config/envoy/local.yaml", "--log-level", "error"])?;
    let client = Client::new();
    until("the first answer", PATIENCE, || async { asked(&client, 1).await.map(drop) }).await?;

    let by_prefix = asked(&client, 8).await?;
    ensure!(by_prefix.len() == 1, "one prompt goes to the server that has seen it: {by_prefix:?}");

    let random = sample
        .replace("prefix-cache-scorer, weight: 2", "random-picker")
        .replace("prefix-cache-scorer", "random-picker");
    fs::write(&config, &random)?;
    until("any server to be asked", PATIENCE, || async {
        let at_random = asked(&client, 24).await?;
        ensure!(at_random.len() >= 3, "{at_random:?}");
        Ok(())
    })
    .await?;

    fs::write(&config, random.replace("random-picker", "random-pikcer"))?;
    let said = until("the picker to say what is wrong", PATIENCE, || async {
        let page = client.get(&format!("{PICKER}/debug/strategy")).await?;
        let page: serde_json::Value = serde_json::from_str(&page)?;
        page["error"].as_str().map(str::to_owned).context("no error")
    });
    let said = said.await?;
    ensure!(said.contains("plugins[2].type") && said.contains("random-pikcer"), "{said}");
    let still = asked(&client, 24).await?;
    ensure!(still.len() >= 2, "the wrong edit changes nothing: {still:?}");
    Ok(())
}

/// Asks the same so often, and counts which server answered.
async fn asked(client: &Client, times: usize) -> Result<BTreeMap<String, usize>> {
    let mut servers = BTreeMap::new();
    for _ in 0..times {
        let answer = Ask::new("Tell me about the sea.").send(client, GATEWAY).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        *servers.entry(answer.pod().context("an unnamed server")?.to_owned()).or_default() += 1;
    }
    Ok(servers)
}
