//! A stage for one story on the cluster: a namespace of its own with model servers, pools, strategies and a gateway,
//! and what the story has proven so far.
//!
//! ```no_run
//! use e2e::stage::{self, Strategy};
//!
//! stage::play(1, "an edit is live within 1 s", async |stage| {
//!     stage.servers("chat", 4, &[]).await?;
//!     stage.pool("chat").await?;
//!     stage.apply(&Strategy::new("chat").pool("chat").replicas(2)).await?;
//!     let pickers = stage.pickers("chat", 2).await?;
//!     stage.measured("two pickers serve");
//!     stage.bar(pickers.len() == 2, "both replicas are there");
//!     Ok(())
//! });
//! ```

mod chart;
mod diagnose;
mod ground;
mod metrics;
mod operator;
mod pickers;
mod play;
mod process;
mod proof;
mod strategy;
mod table;

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;

use chart::OPERATOR;
pub use chart::OPERATOR_NAMESPACE;
pub use ground::Ground;
pub use metrics::Metrics;
pub use operator::operator_user;
pub use pickers::{Picker, Serving, restarts};
pub(crate) use play::LOCK;
pub use play::play;
pub use process::kill;
pub use proof::{FIGURES, Figure, Proof};
pub use strategy::{Applied, Strategy};
pub use table::Table;

use crate::envoy::{Backend, Dialect, Gateway};
use crate::fixtures::{ModelServers, Pool};
use crate::{Kubectl, Progress};

/// How long pods may take to become Ready on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One namespace, and what is proven in it.
pub struct Stage {
    ground: Ground,
    namespace: String,
    progress: Progress,
    proof: Proof,
}

impl Stage {
    /// A new namespace `name`; a former one is emptied first.
    ///
    /// # Errors
    /// When the former one does not go away.
    pub async fn open(ground: Ground, name: &str, progress: Progress) -> Result<Self> {
        ground.kubectl().create_namespace(name).await?;
        Ok(Self { ground, namespace: name.to_owned(), progress, proof: Proof::default() })
    }

    /// Removes the namespace with all that is in it.
    ///
    /// # Errors
    /// When something in it does not go away.
    pub async fn close(&self) -> Result<()> {
        self.kubectl().delete_namespace(&self.namespace).await
    }

    /// What the stage stands on: cluster, images, operator.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// The chores of an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        self.ground.kubectl()
    }

    /// The name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where the story is told.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What was measured and proven so far.
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// Notes a figure of the story's row; several are joined.
    pub fn measured(&self, figure: impl std::fmt::Display) {
        self.proof.measured(figure.to_string());
    }

    /// Notes whether `what` held; the story goes on, so that the other figures are seen too.
    pub fn bar(&self, held: bool, what: impl std::fmt::Display) {
        if !held {
            self.progress.say(format_args!("NOT HELD: {what}"));
        }
        self.proof.bar(held, what.to_string());
    }

    /// Deploys `replicas` simulated model servers as `name`, with further arguments of `sim serve`, and waits until
    /// all are Ready.
    ///
    /// # Errors
    /// When they do not become Ready.
    pub async fn servers(&self, name: &str, replicas: usize, args: &[&str]) -> Result<Vec<Pod>> {
        let image = self.ground.images().sim.reference();
        ModelServers::new(name, replicas, &image).args(args).deploy(self.kubectl(), &self.namespace).await
    }

    /// Makes the InferencePool v1 `name` over the model servers of the same name. It first names a picker that is
    /// not there, as it would before a takeover.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn pool(&self, name: &str) -> Result<()> {
        let pool = Pool::new(name, name, &format!("{name}-epp")).v1();
        let applied = self.kubectl().apply_object(&self.namespace, pool).await;
        applied.map(drop).with_context(|| format!("making pool {name}"))
    }

    /// Runs Envoy as `name`, with what `dialect` makes of the pool `pool` and its picker, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready; with what it said.
    pub async fn gateway(&self, name: &str, dialect: &dyn Dialect, pool: &str) -> Result<Gateway> {
        let backend = Backend::new(&self.namespace, &format!("{pool}-picker"), pool);
        Gateway::deploy(self.kubectl(), name, self.ground.envoy(), dialect, &backend).await
    }
}
