//! What the Go module proxy has: Kubernetes from the pinned module beside this crate, the rest by `go install`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::{Run, run};
use crate::tools::{KUBERNETES, locate};
use crate::{Progress, paths};

/// A program that `go install` builds, at the version this project was tried with.
#[derive(Debug)]
pub struct Installable {
    name: &'static str,
    package: &'static str,
    version: &'static str,
    takes: &'static str,
}

/// The DNS server of every Kubernetes cluster.
pub const COREDNS: Installable = Installable {
    name: "coredns",
    package: "github.com/coredns/coredns",
    version: "v1.15.0",
    takes: "2 min",
};

/// Helm 3.
pub const HELM: Installable =
    Installable { name: "helm", package: "helm.sh/helm/v3/cmd/helm", version: "v3.22.0", takes: "1 min" };

/// The Kubernetes programs, and what a build of each costs on two cores when it is this one's turn.
const PROGRAMS: [(&str, &str); 6] = [
    ("kube-apiserver", "about 3 min"),
    ("kube-controller-manager", "about 40 s"),
    ("kube-scheduler", "about 15 s"),
    ("kubelet", "about 40 s"),
    ("kube-proxy", "about 15 s"),
    ("kubectl", "about 45 s"),
];

/// The folder of the Kubernetes programs.
pub async fn kubernetes(cache: &Path, progress: &Progress) -> Result<PathBuf> {
    let folder = cache.join(format!("kube-{KUBERNETES}"));
    for (name, takes) in PROGRAMS {
        let program = folder.join(name);
        if program.is_file() {
            continue;
        }
        let half = folder.join(format!("{name}.partial"));
        let build = go()?
            .current_dir(paths::checkout().join("e2e/kube"))
            .args(["build", "-buildvcs=false", "-trimpath", "-ldflags"])
            .arg(format!("-s -w -X k8s.io/component-base/version.gitVersion={KUBERNETES}"))
            .arg("-o")
            .arg(&half)
            .arg(format!("k8s.io/kubernetes/cmd/{name}"));
        progress.step(format_args!("building {name} {KUBERNETES} ({takes}, once)"), build.done()).await?;
        // Only a whole build gets the name that later runs trust.
        tokio::fs::rename(&half, &program).await.with_context(|| format!("keeping {}", program.display()))?;
    }
    Ok(folder)
}

/// The path of a program of [`Installable`].
pub async fn installed(cache: &Path, wanted: &Installable, progress: &Progress) -> Result<PathBuf> {
    let Installable { name, package, version, takes } = wanted;
    let folder = cache.join("tools").join(format!("{name}-{version}"));
    let program = folder.join(name);
    if !program.is_file() {
        let build = go()?
            .env("GOBIN", &folder)
            .args(["install", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w"])
            .arg(format!("{package}@{version}"));
        progress.step(format_args!("building {name} {version} (about {takes}, once)"), build.done()).await?;
    }
    Ok(program)
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
