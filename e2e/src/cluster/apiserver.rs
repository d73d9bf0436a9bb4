//! The API server: how it is started, and how tests take it away and bring it back.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::audit::Audit;
use super::component::Component;
use super::control_plane::ETCD;
use super::kubeconfig;
use super::layout::Layout;
use super::network::API_PORT;
use crate::tools::Tools;

/// The API server of the running cluster.
#[derive(Clone, Debug)]
pub struct ApiServer {
    component: Component,
    layout: Layout,
}

impl ApiServer {
    /// The API server of the cluster at `layout`; writes its audit policy.
    pub(super) fn new(layout: &Layout, tools: &Tools) -> Result<Self> {
        let policy =
            layout.write_config("audit-policy.json", &serde_json::to_string_pretty(&audit_policy())?)?;
        let addresses = layout.addresses();
        let pki = |file: &str| layout.pki(file).display().to_string();
        let args = vec![
            format!("--etcd-servers={ETCD}"),
            format!("--secure-port={API_PORT}"),
            format!("--bind-address={}", addresses.unspecified),
            format!("--advertise-address={}", addresses.bridge),
            format!("--service-cluster-ip-range={}", addresses.services),
            format!("--tls-cert-file={}", pki("kube-apiserver.crt")),
            format!("--tls-private-key-file={}", pki("kube-apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            format!("--service-account-key-file={}", pki("service-account.pub")),
            format!("--service-account-signing-key-file={}", pki("service-account.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--kubelet-client-certificate={}", pki("admin.crt")),
            format!("--kubelet-client-key={}", pki("admin.key")),
            // The node's name is in no DNS: logs and exec go to its address.
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged".to_owned(),
            "--enable-priority-and-fairness=false".to_owned(),
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", layout.audit_log().display()),
            "--audit-log-maxsize=4096".to_owned(),
        ];
        let component = Component::new(layout, "kube-apiserver", &tools.kube_apiserver, args);
        Ok(Self { component, layout: layout.clone() })
    }

    /// Starts it on the data it had, or lets it go on when it is frozen, and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or is not ready within a minute; with the last lines of its log.
    pub async fn start(&self) -> Result<()> {
        self.component.start().await?;
        self.component.resume()?;
        self.component.ready(Duration::from_secs(60), || self.answers()).await
    }

    /// Starts it as [`ApiServer::start`], and does not wait for it.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn start_now(&self) -> Result<()> {
        self.component.start().await
    }

    /// Ends it at once (SIGKILL): connections are reset.
    ///
    /// # Errors
    /// When the signal can't be sent.
    pub async fn kill(&self) -> Result<()> {
        self.component.kill().await
    }

    /// Ends it gracefully within `grace`, then at once.
    ///
    /// # Errors
    /// When the signal can't be sent.
    pub async fn stop(&self, grace: Duration) -> Result<()> {
        self.component.stop(grace).await
    }

    /// Freezes it (SIGSTOP): connections stay open, and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        self.component.pause()
    }

    /// Lets it go on after [`ApiServer::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        self.component.resume()
    }

    /// Whether its process is there, paused or not.
    pub fn alive(&self) -> bool {
        self.component.alive()
    }

    /// Asks `/readyz`.
    ///
    /// # Errors
    /// When it does not answer, or says that it is not ready.
    pub async fn answers(&self) -> Result<()> {
        let request = http::Request::get("/readyz").body(Vec::new())?;
        let ask = async {
            let client = kubeconfig::client(&self.layout, "admin").await?;
            let said = client.request_text(request).await?;
            ensure!(said == "ok", "/readyz says {said}");
            Ok(())
        };
        tokio::time::timeout(Duration::from_secs(2), ask).await.context("/readyz did not answer")?
    }

    /// What is asked of it from now on.
    ///
    /// # Errors
    /// When there is no audit log.
    pub fn audited(&self) -> Result<Audit> {
        Audit::from_now(&self.audit_log())
    }

    /// The audit log: one JSON event a line (`audit.k8s.io/v1`, level Metadata), of every request by a service
    /// account, and of every write by anyone else but the components of the cluster.
    pub fn audit_log(&self) -> PathBuf {
        self.layout.audit_log()
    }
}

/// Rules are tried in order, the first that fits decides.
fn audit_policy() -> serde_json::Value {
    let components = ["kube-controller-manager", "kube-scheduler", "kube-proxy", "apiserver"];
    let users: Vec<String> = components.iter().map(|name| format!("system:{name}")).collect();
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "None", "users": users},
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
            {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
            {"level": "None", "verbs": ["get", "list", "watch"]},
            {"level": "Metadata"},
        ],
    })
}
