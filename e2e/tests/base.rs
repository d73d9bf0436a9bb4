//! The kustomize base equals the rendered chart.

use std::fs;

use e2e::tools::Clients;
use e2e::{Progress, paths, shell};

/// Run with WAYPOST_WRITE=1 to write the base anew.
#[tokio::test]
#[ignore = "needs helm, which `cargo xtask test` brings"]
async fn the_kustomize_base_is_the_chart_rendered() {
    let clients = Clients::ready(&Progress::stdout()).await.unwrap();
    let rendered = shell::run(&clients.helm)
        .args(["template", "waypost"])
        .arg(paths::checkout().join("charts/waypost"))
        .args(["--namespace", "waypost-system", "--kube-version", "1.33.0", "--set", "crds.enabled=false"])
        .output()
        .await
        .unwrap();
    let of_helm_alone =
        |line: &&str| !line.starts_with("# Source:") && !line.trim_start().starts_with("helm.sh/chart:");
    let mut base: String = rendered.lines().filter(of_helm_alone).flat_map(|line| [line, "\n"]).collect();
    base = base.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kustomize");

    let path = paths::checkout().join("config/operator/operator.yaml");
    if std::env::var_os("WAYPOST_WRITE").is_some() {
        fs::write(&path, &base).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap_or_default(), base, "run this test with WAYPOST_WRITE=1");
}
