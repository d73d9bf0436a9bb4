//! Two operators that are set to work on the same strategies: one does, and the other says so and stands by.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::load::Client;
use e2e::test_env::{self, OPERATOR_NAMESPACE, PATIENCE, Strategy, TestEnv};
use e2e::{local, paths, until};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

const CONDITION: &str = "Overlapping";
/// How long nothing may be written once both know of each other.
const REST: Duration = Duration::from_secs(10);

/// Another operator, as a process of this machine with the rights of an administrator.
struct Other {
    process: Child,
    log: PathBuf,
    port: u16,
}

impl Other {
    /// Starts it as if it were installed in the story's namespace.
    fn start(env: &TestEnv, program: &Path, more: &[&str]) -> Result<Self> {
        let [port] = local::free_ports()?;
        let log = program.with_extension(format!("{port}.log"));
        let said = std::fs::File::create(&log)?;
        let image = env.cluster_env().images().picker.reference();
        let process = Command::new(program)
            .args(["--namespace", env.namespace(), "--picker-image", &image, "--identity=other"])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(more)
            .env("KUBECONFIG", env.cluster_env().cluster().kubeconfig())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .context("starting another operator")?;
        Ok(Self { process, log, port })
    }

    /// Ends it as the kubelet would, so that it gives up what it holds.
    async fn end(mut self) -> Result<()> {
        let pid = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        kill_process(pid.context("it has ended already")?, Signal::TERM)?;
        self.process.wait().await?;
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        Client::new().get(&format!("http://127.0.0.1:{}/readyz", self.port)).await.is_ok()
    }
}

#[test]
#[ignore = "needs the cluster: cargo xtask test"]
fn one_of_two_operators_works() {
    let bar = "of two operators for all namespaces one works, the other logs it and stays ready, and nothing is written back \
               and forth; one for a namespace has it, and gives it back when it ends; a condition names the holder";
    test_env::run(17, bar, async |env| {
        let folder = paths::state().join("data/two-operators");
        std::fs::create_dir_all(&folder)?;
        let program = env.operator_program(&folder).await?;
        env.servers("chat", 1, &[]).await?;
        env.pool("chat").await?;
        env.apply(&edit(1.0)).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        let installed = format!("{OPERATOR_NAMESPACE}/waypost-operator");
        let other = format!("{}/waypost-operator", env.namespace());

        let second = Other::start(env, &program, &[])?;
        names(env, &installed, &other).await?;
        let log = std::fs::read_to_string(&second.log)?;
        env.check(log.contains("yielding to it"), format_args!("it says that it yields: {log}"));
        env.check(second.is_ready().await, "it stays ready");
        let before = env.strategy("chat").await?.metadata.resource_version;
        tokio::time::sleep(REST).await;
        let after = env.strategy("chat").await?.metadata.resource_version;
        env.check(before == after, "nothing is written back and forth");
        second.end().await?;

        let mut narrow = Other::start(env, &program, &["--watch-namespace", env.namespace()])?;
        names(env, &other, &installed).await?;
        env.apply(&edit(2.0)).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        // It is the one that wrote that.
        names(env, &other, &installed).await?;
        narrow.process.kill().await?;
        env.apply(&edit(3.0)).await?;
        env.strategy_is("chat", "Ready=True", PATIENCE).await?;
        env.measured("each of two overlaps has one holder, which a condition names");
        Ok(())
    });
}

fn edit(weight: f64) -> Strategy {
    Strategy::new("chat").pool("chat").replicas(1).scorers(&[("queue-scorer", weight)])
}

/// Waits for the condition that says `holder` works, and `yields` does not.
async fn names(env: &TestEnv, holder: &str, yields: &str) -> Result<()> {
    until(format_args!("{holder} to be named as the holder"), PATIENCE, async || {
        let strategy = env.strategy("chat").await?;
        let conditions = strategy.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == CONDITION)
            .context("no such condition")?;
        let message = found["message"].as_str().unwrap_or_default();
        let named = message.starts_with(&format!("the operator {holder} "))
            && message.contains(&format!("; {yields} "));
        ensure!(found["status"] == "True" && named, "{found}");
        Ok(())
    })
    .await
}
