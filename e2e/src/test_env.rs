//! The environment of one story on the cluster: a namespace of its own with model servers, pools, strategies and a
//! gateway, and the results of its checks so far.
//!
//! ```no_run
//! use e2e::test_env::{self, Strategy};
//!
//! test_env::run(1, "an edit is live within 1 s", async |env| {
//!     env.servers("chat", 4, &[]).await?;
//!     env.pool("chat").await?;
//!     env.apply(&Strategy::new("chat").pool("chat").replicas(2)).await?;
//!     let pickers = env.pickers("chat", 2).await?;
//!     env.measured("two pickers serve");
//!     env.check(pickers.len() == 2, "both replicas are there");
//!     Ok(())
//! });
//! ```

mod checks;
mod cluster_env;
mod diagnose;
mod install;
mod metrics;
mod operator;
mod pickers;
mod process;
mod run;
mod strategy;
mod table;
mod usage;

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Pod;

pub use checks::{Checks, FIGURES, Figure};
pub use cluster_env::{ClusterEnv, PATIENCE};
pub use install::{Installer, OPERATOR_NAMESPACE};
pub use metrics::Metrics;
pub use operator::operator_user;
pub use pickers::{Picker, Serving, restarts};
pub use process::kill;
pub(crate) use run::LOCK;
pub use run::{run, run_within};
pub use strategy::{Applied, Strategy};
pub use table::Table;
pub use usage::Usage;

use crate::envoy::{Backend, Dialect, Gateway};
use crate::fixtures::{ModelServers, Pool};
use crate::{Kubectl, Progress};

/// A namespace for one story, and the results of the story's checks.
pub struct TestEnv {
    cluster_env: ClusterEnv,
    namespace: String,
    progress: Progress,
    checks: Checks,
}

impl TestEnv {
    /// A new namespace `name`; a former one is emptied first.
    ///
    /// # Errors
    /// When the former one does not go away.
    pub async fn open(cluster_env: ClusterEnv, name: &str, progress: Progress) -> Result<Self> {
        cluster_env.kubectl().create_namespace(name).await?;
        Ok(Self { cluster_env, namespace: name.to_owned(), progress, checks: Checks::default() })
    }

    /// Removes the namespace with all that is in it.
    ///
    /// # Errors
    /// When something in it does not go away.
    pub async fn close(&self) -> Result<()> {
        self.kubectl().delete_namespace(&self.namespace).await
    }

    /// As [`close`](Self::close), for one that holds so much that it takes longer.
    ///
    /// # Errors
    /// When something in it does not go away within this time.
    pub async fn close_within(&self, within: Duration) -> Result<()> {
        self.kubectl().delete_namespace_within(&self.namespace, within).await
    }

    /// The cluster, its images and its operator, which all stories share.
    pub fn cluster_env(&self) -> &ClusterEnv {
        &self.cluster_env
    }

    /// A client with the rights of an administrator.
    pub fn kubectl(&self) -> &Kubectl {
        self.cluster_env.kubectl()
    }

    /// The name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where progress is printed.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The figures and failed checks so far.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Records a figure for the story's row of the table; several are joined.
    pub fn measured(&self, figure: impl std::fmt::Display) {
        self.checks.measured(figure.to_string());
    }

    /// Records a check, and prints it when it did not hold. The story goes on, so that the other figures are seen too.
    pub fn check(&self, held: bool, what: impl std::fmt::Display) {
        if !held {
            self.progress.say(format_args!("NOT HELD: {what}"));
        }
        self.checks.check(held, what.to_string());
    }

    /// Deploys `replicas` simulated model servers as `name`, with further arguments of `sim serve`, and waits until
    /// all are Ready.
    ///
    /// # Errors
    /// When they do not become Ready.
    pub async fn servers(&self, name: &str, replicas: usize, args: &[&str]) -> Result<Vec<Pod>> {
        let image = self.cluster_env.images().sim.reference();
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
        Gateway::deploy(self.kubectl(), name, self.cluster_env.envoy(), dialect, &backend).await
    }
}
