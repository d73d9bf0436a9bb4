//! `cargo xtask demo`: the whole of it, to watch. A pool of model servers behind a real Envoy on a real cluster, routed
//! by a RoutingStrategy that is edited twice under load.

mod acts;
mod scene;
mod summary;

use anyhow::{Result, bail};
use clap::Args;

use crate::stage::{Ground, LOCK, Stage};
use crate::{Cluster, Progress, tools};

/// The namespace in which it plays.
const NAMESPACE: &str = "demo";

/// How to play it.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Demo {
    /// Leave the cluster up at the end, and say how to use it
    #[arg(long)]
    pub keep: bool,
    /// Build nothing: play with what an earlier run installed in the cluster that is up
    #[arg(long)]
    pub as_is: bool,
}

impl Demo {
    /// Plays it. A cluster that was up and whole before is used and left up.
    ///
    /// # Errors
    /// When a step can't be done, or did not hold.
    pub async fn play(self, progress: &Progress) -> Result<()> {
        // Remains of a run that was interrupted are no cluster.
        let stays = self.keep || self.as_is || Cluster::attach().await.is_ok();
        let played = shown(progress, self.as_is, stays).await;
        if !stays {
            Cluster::down(progress).await?;
        }
        played
    }
}

async fn shown(progress: &Progress, as_is: bool, stays: bool) -> Result<()> {
    let _alone = tools::exclusive(LOCK, progress).await?;
    let ground = if as_is { Ground::attach().await? } else { Ground::up(progress).await? };
    let stage = Stage::open(ground, NAMESPACE, progress.clone()).await?;
    let played = async {
        let scene = scene::set(&stage).await?;
        let acts = acts::played(&stage, &scene).await?;
        summary::print(&stage, &scene, &acts).await?;
        Ok::<_, anyhow::Error>(scene)
    };
    let scene = match played.await {
        Ok(scene) => scene,
        Err(error) => {
            println!("{}", stage.diagnosis().await);
            return Err(error);
        }
    };
    let missed = stage.proof().missed();
    if !missed.is_empty() {
        println!("{}", stage.diagnosis().await);
        bail!("not everything held: {}", missed.join("; "));
    }
    println!("\n  Everything held.");
    if stays {
        summary::usage(&stage, &scene);
    }
    Ok(())
}
