//! Paths of the files in the folder of the running cluster.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::addresses::{Addresses, Family};

/// Names every file and folder of the cluster's state.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`.
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The family of the cluster's addresses.
    pub fn family(&self) -> Family {
        Family::of(self.ipv6().exists())
    }

    /// Notes the family of a new cluster.
    ///
    /// # Errors
    /// When that can't be written.
    pub fn set_family(&self, family: Family) -> Result<()> {
        match family {
            Family::Ipv4 => Ok(()),
            Family::Ipv6 => std::fs::write(self.ipv6(), "").context("noting the family of the addresses"),
        }
    }

    /// The cluster's addresses.
    pub fn addresses(&self) -> &'static Addresses {
        self.family().addresses()
    }

    /// There if all addresses are those of IPv6.
    fn ipv6(&self) -> PathBuf {
        self.root.join("ipv6")
    }

    /// Certificates and keys.
    pub fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    /// The kubeconfig of one identity: `admin`, `kubelet`, …
    pub fn kubeconfig(&self, who: &str) -> PathBuf {
        self.root.join("kubeconfig").join(who)
    }

    /// Configuration files of the components.
    pub fn config(&self, file: &str) -> PathBuf {
        self.root.join("config").join(file)
    }

    /// What a component says.
    pub fn log(&self, component: &str) -> PathBuf {
        self.root.join("log").join(format!("{component}.log"))
    }

    /// Which process a component is.
    pub fn process(&self, component: &str) -> PathBuf {
        self.root.join("run").join(format!("{component}.json"))
    }

    /// A component's own data.
    pub fn data(&self, component: &str) -> PathBuf {
        self.root.join("data").join(component)
    }

    /// Where containerd listens. Every shim carries this path among its arguments, which tells ours from others.
    pub fn containerd_socket(&self) -> PathBuf {
        self.root.join("containerd.sock")
    }

    /// The API server's audit log, one JSON event a line.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("log/audit.jsonl")
    }

    /// What the machine was like before.
    pub fn footprint(&self) -> PathBuf {
        self.root.join("footprint.json")
    }

    /// There when the cluster once came up whole.
    pub fn complete(&self) -> PathBuf {
        self.root.join("complete")
    }

    /// Makes the folders.
    pub fn create(&self) -> Result<()> {
        for folder in ["pki", "kubeconfig", "config", "log", "run", "data"] {
            let folder = self.root.join(folder);
            std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        Ok(())
    }

    /// Writes a configuration file and gives back its path.
    pub fn write_config(&self, file: &str, text: &str) -> Result<PathBuf> {
        let path = self.config(file);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}
