//! Programs built from the Go module `e2e/kube`: Kubernetes, CoreDNS and Helm.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{Run, run};
use crate::tools::locate;
use crate::{Progress, paths};

/// The Kubernetes release that is built and run.
pub const KUBERNETES: &str = "v1.34.4";

/// Programs of the module, and the folder of the cache where they are. They share the versions of what they are made of, so
/// that each package below them is compiled once.
struct Programs {
    folder: &'static str,
    label: &'static str,
    packages: &'static [&'static str],
}

/// What a cluster is made of.
const CLUSTER: Programs = Programs {
    folder: "cluster",
    label: "Kubernetes and CoreDNS (some minutes, once)",
    packages: &[
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "./coredns",
    ],
};

/// What its users have.
const CLIENTS: Programs = Programs {
    folder: "clients",
    label: "kubectl and Helm (once)",
    packages: &["k8s.io/kubernetes/cmd/kubectl", "helm.sh/helm/v3/cmd/helm"],
};

/// The folder of the programs that a cluster is made of, each named like the last part of its package.
pub async fn cluster(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    CLUSTER.built(cache, progress).await
}

/// The folder of `kubectl` and `helm`.
pub async fn clients(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    CLIENTS.built(cache, progress).await
}

impl Programs {
    async fn built(&self, cache: &Path, progress: &Progress) -> Result<PathBuf> {
        let Self { folder, label, packages } = self;
        let folder = cache.join(format!("{folder}-{KUBERNETES}"));
        if folder.is_dir() {
            return Ok(folder);
        }
        let half = folder.with_added_extension("partial");
        std::fs::create_dir_all(&half).with_context(|| format!("making {}", half.display()))?;
        let version = format!("-X k8s.io/component-base/version.gitVersion={KUBERNETES}");
        let build = build(&version)?
            .current_dir(paths::checkout().join("e2e/kube"))
            .arg("-o")
            .arg(&half)
            .args(packages.iter());
        progress.step(format!("building {KUBERNETES} of {label}"), build.done()).await?;
        // Only a whole build gets the name that later runs trust.
        tokio::fs::rename(&half, &folder).await.with_context(|| format!("keeping {}", folder.display()))?;
        Ok(folder)
    }
}

/// What requests spend their time in, where functions are inlined. Elsewhere that takes a fifth of the compiler's time, and
/// nobody would notice.
const INLINED: &[&str] = &[
    "std",
    "go.etcd.io/...",
    "golang.org/...",
    "google.golang.org/...",
    "k8s.io/apimachinery/...",
    "k8s.io/apiserver/...",
    "sigs.k8s.io/...",
];

/// A run of `go build` for programs that are only run, with `more` flags of the linker. It collects less garbage, and makes
/// no debug information, which would not be linked anyway.
pub fn build(more: &str) -> Result<Run> {
    // For each package the last pattern that matches it.
    let inlined = INLINED.iter().map(|packages| format!("-gcflags={packages}=-dwarf=false"));
    let build = go()?.env("GOGC", "400").args(["build", "-buildvcs=false", "-trimpath"]);
    let build = build.arg("-gcflags=all=-dwarf=false -l").args(inlined);
    Ok(build.args(["-ldflags", &format!("-s -w {more}")]))
}

/// A run of the Go command.
pub fn go() -> Result<Run> {
    let Some(go) = locate::find("go")
        .or_else(|| Some("/usr/local/go/bin/go".into()).filter(|go: &PathBuf| go.is_file()))
    else {
        bail!("Go is not on this machine: install 1.26 or later (https://go.dev/dl), then run this again");
    };
    Ok(run(go).env("CGO_ENABLED", "0"))
}
