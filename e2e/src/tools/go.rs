//! Programs built from the Go module `e2e/kube`: Kubernetes, CoreDNS and Helm.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{Run, run};
use crate::tools::locate;
use crate::{Progress, paths};

/// The Kubernetes release that is built and run.
pub const KUBERNETES: &str = "v1.34.4";

/// The packages of the programs. They share one module, and so the versions of what they are made of, so that each
/// package below them is compiled once.
const PACKAGES: [&str; 8] = [
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-proxy",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "k8s.io/kubernetes/cmd/kubectl",
    "k8s.io/kubernetes/cmd/kubelet",
    "helm.sh/helm/v3/cmd/helm",
    "./coredns",
];

/// The folder of the programs, each named like the last part of its package.
pub async fn programs(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join(format!("cluster-{KUBERNETES}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    let half = folder.with_added_extension("partial");
    std::fs::create_dir_all(&half).with_context(|| format!("making {}", half.display()))?;
    let version = format!("-X k8s.io/component-base/version.gitVersion={KUBERNETES}");
    let build =
        build(&version)?.current_dir(paths::checkout().join("e2e/kube")).arg("-o").arg(&half).args(PACKAGES);
    let label = format!("building Kubernetes {KUBERNETES}, CoreDNS and Helm (some minutes, once)");
    progress.step(label, build.done()).await?;
    // Only a whole build gets the name that later runs trust.
    tokio::fs::rename(&half, &folder).await.with_context(|| format!("keeping {}", folder.display()))?;
    Ok(folder)
}

/// A run of `go build` for programs that are only run, with `more` flags of the linker. It collects less garbage, and makes
/// no debug information, which would not be linked anyway.
pub fn build(more: &str) -> Result<Run> {
    let flags = ["build", "-buildvcs=false", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags"];
    Ok(go()?.env("GOGC", "400").args(flags).arg(format!("-s -w {more}")))
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
