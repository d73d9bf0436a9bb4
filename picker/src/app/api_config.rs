//! Where the API server is and who the picker is to it: in a pod, what Kubernetes gives each pod, and nothing else;
//! elsewhere a kubeconfig.
//!
//! Whoever sets an environment variable of a pod must not choose, by that, to which server the picker shows its
//! token, nor which file it reads: so none of `KUBECONFIG`, `~/.kube/config` and kube's `KUBE_RS_DEBUG_*` counts in a
//! pod, and no error tells what a file holds.

use kube::Config;
use kube::config::{InClusterError, KubeConfigOptions, KubeconfigError, LoadDataError};

/// The kubelet sets it in every container, and a pod template can give it another value, but not take it out.
const IN_POD: &str = "KUBERNETES_SERVICE_HOST";

/// Why there is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoCluster {
    /// The pod has no ServiceAccount, or what Kubernetes gives to each pod is broken.
    #[error(
        "this is a pod ({IN_POD} is set), so the token of its ServiceAccount is used, and KUBECONFIG is not: {0}; \
         check automountServiceAccountToken"
    )]
    Pod(InClusterError),
    /// There is no kubeconfig, or it says nothing usable.
    #[error("{0}; name a kubeconfig with KUBECONFIG, or run in a pod")]
    Elsewhere(String),
}

/// The configuration of the process's client.
///
/// # Errors
/// When there is none. The API server need not answer.
pub(super) async fn find() -> Result<Config, NoCluster> {
    if std::env::var_os(IN_POD).is_none() {
        let config = Config::from_kubeconfig(&KubeConfigOptions::default()).await;
        return config.map_err(|error| NoCluster::Elsewhere(told(&error)));
    }
    if std::env::var_os("KUBECONFIG").is_some() {
        tracing::warn!("KUBECONFIG counts for nothing in a pod");
    }
    Config::incluster().map_err(NoCluster::Pod)
}

/// The error without anything of the text of a file, which may be no kubeconfig but a private key.
fn told(error: &KubeconfigError) -> String {
    let file = |field: &str, error: &LoadDataError| match error {
        LoadDataError::ReadFile(source, path) => format!("{field}: {}: {source}", path.display()),
        LoadDataError::DecodeBase64(_) => format!("{field}-data of the kubeconfig is no base64"),
        LoadDataError::NoBase64DataOrFile => format!("the kubeconfig has no {field}"),
    };
    match error {
        KubeconfigError::FindPath => "there is no kubeconfig".to_owned(),
        KubeconfigError::ReadConfig(source, path) => format!("{}: {source}", path.display()),
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!("line {}, column {}: this is no kubeconfig", at.line(), at.column()),
            None => "this is no kubeconfig".to_owned(),
        },
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => {
            "the files of KUBECONFIG are not of one kind".to_owned()
        }
        KubeconfigError::CurrentContextNotSet => "the kubeconfig has no current-context".to_owned(),
        KubeconfigError::LoadContext(_) => "the kubeconfig has no context of its current-context".to_owned(),
        KubeconfigError::LoadClusterOfContext(_) => "the kubeconfig has no cluster of its context".to_owned(),
        KubeconfigError::MissingClusterUrl => "the cluster of the kubeconfig has no server".to_owned(),
        KubeconfigError::ParseClusterUrl(_) => "the server of the kubeconfig's cluster is no URL".to_owned(),
        KubeconfigError::ParseProxyUrl(_) => {
            "the proxy of the kubeconfig, or HTTPS_PROXY, is no URL".to_owned()
        }
        KubeconfigError::LoadCertificateAuthority(error) => file("certificate-authority", error),
        KubeconfigError::LoadClientCertificate(error) => file("client-certificate", error),
        KubeconfigError::LoadClientKey(error) => file("client-key", error),
        _ => "a certificate of the kubeconfig is no PEM".to_owned(),
    }
}
