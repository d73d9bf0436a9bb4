//! `cargo xtask demo`: the whole product at work. A pool of model servers behind a real Envoy on a real cluster, routed
//! by a RoutingStrategy that is edited twice under load.

mod phases;
mod setup;
mod strategies;
mod summary;

use anyhow::{Result, bail};
use clap::Args;

use crate::cluster::Family;
use crate::test_env::{ClusterEnv, Installer, LOCK, TestEnv};
use crate::tools::{self, Clients};
use crate::{Cluster, Progress};

/// The demo's namespace.
const NAMESPACE: &str = "demo";

/// Options of the demo.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Demo {
    /// Leave the cluster up at the end, and say how to use it
    #[arg(long)]
    pub keep: bool,
    /// Build nothing: run with what an earlier run installed in the cluster that is up
    #[arg(long)]
    pub as_is: bool,
}

impl Demo {
    /// Runs the demo. A cluster that was up and whole before is used and left up.
    ///
    /// # Errors
    /// When a step can't be done, or did not hold.
    pub async fn run(self, progress: &Progress) -> Result<()> {
        // Remains of a run that was interrupted are no cluster.
        let stays = self.keep || self.as_is || Cluster::attach().await.is_ok();
        let outcome = in_cluster(progress, self.as_is, stays).await;
        if !stays {
            Cluster::down(progress).await?;
        }
        outcome
    }
}

async fn in_cluster(progress: &Progress, as_is: bool, stays: bool) -> Result<()> {
    let _alone = tools::exclusive(LOCK, progress).await?;
    let cluster_env = if as_is {
        ClusterEnv::attach().await?
    } else {
        ClusterEnv::up(Installer::Manifests, Family::Ipv4, progress).await?
    };
    let env = TestEnv::open(cluster_env, NAMESPACE, progress.clone()).await?;
    let outcome = async {
        let setup = setup::deploy(&env).await?;
        let phases = phases::run(&env, &setup).await?;
        summary::print(&env, &setup, &phases).await?;
        Ok::<_, anyhow::Error>(setup)
    };
    let setup = match outcome.await {
        Ok(setup) => setup,
        Err(error) => {
            println!("{}", env.diagnosis().await);
            return Err(error);
        }
    };
    let missed = env.checks().missed();
    if !missed.is_empty() {
        println!("{}", env.diagnosis().await);
        bail!("not everything held: {}", missed.join("; "));
    }
    println!("\n  Everything held.");
    if stays {
        summary::usage(&env, &setup, &Clients::ready(progress).await?);
    }
    Ok(())
}
