//! A copy of the checkout, in which commands of the documentation may write.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::Command;

use super::programs;
use crate::shell::{run, tracked};
use crate::{Progress, paths};

/// What every page takes for granted: the files of the checkout, programs, and access to a cluster.
pub struct Checkout {
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Checkout {
    /// A copy of all tracked files as they are, with `KUBECONFIG` at a copy of `kubeconfig`.
    ///
    /// # Errors
    /// When something can't be copied or built.
    pub async fn copied(kubeconfig: &Path, progress: &Progress) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        for file in &tracked(&[]).await? {
            let to = folder.path().join("checkout").join(file);
            std::fs::create_dir_all(to.parent().context("a file has a folder")?)?;
            let from = paths::checkout().join(file);
            std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
        }
        for new in ["bin", "checkout/target"] {
            std::fs::create_dir_all(folder.path().join(new))?;
        }
        let config = folder.path().join("kubeconfig");
        std::fs::copy(kubeconfig, &config).with_context(|| format!("copying {}", kubeconfig.display()))?;
        let bin = folder.path().join("bin");
        programs::gather(&bin, progress).await?;
        let path = std::env::var("PATH").unwrap_or_default();
        let variables = vec![
            ("KUBECONFIG".to_owned(), config.display().to_string()),
            ("PATH".to_owned(), format!("{}:{path}", bin.display())),
        ];
        Ok(Self { folder, variables })
    }

    /// With `namespace` as the one that commands mean which name none.
    ///
    /// # Errors
    /// When kubectl can't write its configuration.
    pub async fn in_namespace(self, namespace: &str) -> Result<Self> {
        let set = run(self.folder.path().join("bin/kubectl")).args(["config", "set-context", "--current"]);
        let set = self.variables.iter().fold(set, |set, (name, value)| set.env(name, value));
        set.args(["--namespace", namespace]).done().await?;
        Ok(self)
    }

    /// With a variable that readers set for themselves.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join("checkout").join(name)
    }

    /// An empty folder for the scripts and outputs of one page.
    pub(super) fn scripts(&self) -> Result<TempDir> {
        tempfile::tempdir_in(self.folder.path()).context("making a folder")
    }

    /// A shell about to be started in it.
    pub(super) fn bash(&self) -> Command {
        let mut bash = Command::new("bash");
        bash.current_dir(self.file("")).envs(self.variables.iter().cloned());
        // What stories run under is no concern of what they run.
        for name in ["CARGO", "CARGO_MANIFEST_DIR", "RUST_LOG", "NAMESPACE", "POD_NAME"] {
            bash.env_remove(name);
        }
        bash
    }
}
