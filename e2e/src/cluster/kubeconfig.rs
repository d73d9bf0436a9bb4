//! A kubeconfig for every identity, pointing at the certificates beside it.

use anyhow::{Context, Result};
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};

use super::layout::Layout;
use super::network::API_PORT;
use super::pki;

/// Writes the kubeconfigs of a new cluster.
pub fn create(layout: &Layout) -> Result<()> {
    for who in pki::CLIENTS {
        let path = layout.kubeconfig(who);
        std::fs::write(&path, text(layout, who)).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn text(layout: &Layout, who: &str) -> String {
    let ca = layout.pki("ca.crt");
    let certificate = layout.pki(&format!("{who}.crt"));
    let key = layout.pki(&format!("{who}.key"));
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: waypost-e2e
  cluster:
    server: https://127.0.0.1:{API_PORT}
    certificate-authority: {ca}
users:
- name: {who}
  user:
    client-certificate: {certificate}
    client-key: {key}
contexts:
- name: waypost-e2e
  context:
    cluster: waypost-e2e
    user: {who}
current-context: waypost-e2e
",
        ca = ca.display(),
        certificate = certificate.display(),
        key = key.display(),
    )
}

/// A client with the rights of `who`.
pub async fn client(layout: &Layout, who: &str) -> Result<Client> {
    let path = layout.kubeconfig(who);
    let kubeconfig = Kubeconfig::read_from(&path).with_context(|| format!("reading {}", path.display()))?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Client::try_from(config).with_context(|| format!("a client from {}", path.display()))
}
