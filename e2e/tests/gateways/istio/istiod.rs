//! The control plane, as a process of this machine.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::cluster::{Process, network::BRIDGE_ADDRESS};
use e2e::load::Client;
use e2e::test_env::TestEnv;
use e2e::tools::istio::Istio;
use e2e::{paths, shell, until};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Where proxies ask for their configuration.
pub const XDS: (&str, u16) = (BRIDGE_ADDRESS, 15010);
/// Where it says that it is ready.
const HTTP: &str = "127.0.0.1:15080";

/// What a line of the gateway's log says about a request: status, choice of the picker, who served by the word of the
/// load balancing policy, whom Envoy sent it to.
pub const LOG: &str = "exchange %RESPONSE_CODE% %DYNAMIC_METADATA(envoy.lb:x-gateway-destination-endpoint)% \
                       %DYNAMIC_METADATA(envoy.lb:x-gateway-destination-endpoint-served)% %UPSTREAM_HOST% \
                       %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%\\n";

/// Switches of its environment.
const SWITCHES: [(&str, &str); 11] = [
    ("ENABLE_GATEWAY_API_INFERENCE_EXTENSION", "true"),
    ("PILOT_ENABLE_GATEWAY_API", "true"),
    // Filters that only Istio's own Envoy has.
    ("PILOT_ENABLE_METADATA_EXCHANGE", "false"),
    ("PILOT_ENABLE_ALPN_FILTER", "false"),
    // Neither certificates nor tokens: the proxy shows none.
    ("XDS_AUTH", "false"),
    ("PILOT_ENABLE_XDS_IDENTITY_CHECK", "false"),
    ("ENABLE_CA_SERVER", "false"),
    ("PILOT_CERT_PROVIDER", "none"),
    // No webhooks: nothing is injected.
    ("INJECTION_WEBHOOK_CONFIG_NAME", ""),
    ("VALIDATION_WEBHOOK_CONFIG_NAME", ""),
    ("POD_NAME", "istiod"),
];

/// A running istiod; ends with the value.
#[derive(Debug)]
pub struct Istiod {
    process: Process,
    _child: Child,
    _folder: TempDir,
}

impl Istiod {
    /// Starts it for the namespace of the story, and waits until it is ready.
    pub async fn start(env: &TestEnv, istio: &Istio) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mesh = folder.path().join("mesh.yaml");
        fs::write(&mesh, mesh_config(env.namespace()))?;
        let log = paths::cache()?.join("istiod.log");
        let said = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let mut command = Command::new(istio.program());
        command.args(["discovery", "--registries", "Kubernetes", "--kubeconfig"]);
        command.arg(env.cluster_env().cluster().kubeconfig());
        command.arg("--meshConfig").arg(&mesh);
        command.args(["--grpcAddr", &format!("{}:{}", XDS.0, XDS.1), "--httpAddr", HTTP]);
        command.args(["--httpsAddr", "", "--secureGRPCAddr", "", "--monitoringAddr", ""]);
        command.envs(SWITCHES).env("POD_NAMESPACE", env.namespace());
        command.current_dir(folder.path()).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(said.try_clone()?).stderr(said);
        let child = command.spawn().context("starting istiod")?;
        let pid = child.id().context("istiod ended at once")?;
        let istiod = Self { process: Process::with_pid(pid.cast_signed())?, _child: child, _folder: folder };
        let client = Client::new();
        let ready = until("istiod to be ready", Duration::from_secs(60), || async {
            // Another one may answer in its place.
            ensure!(istiod.process.alive(), "it has ended");
            client.get(&format!("http://{HTTP}/ready")).await.map(drop)
        });
        ready.await.with_context(|| shell::last_lines(&fs::read_to_string(&log).unwrap_or_default(), 40))?;
        Ok(istiod)
    }

    /// Lets it do nothing, as if it hung: what it told its proxies stays.
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::CONT)
    }
}

/// What it makes of services: only those of `namespace`, without TLS between them, with a log line for each request.
fn mesh_config(namespace: &str) -> String {
    format!(
        "rootNamespace: {namespace}\n\
         enableAutoMtls: false\n\
         enablePrometheusMerge: false\n\
         defaultProviders: {{}}\n\
         discoverySelectors:\n\
         - matchLabels: {{kubernetes.io/metadata.name: {namespace}}}\n\
         accessLogFile: /dev/stdout\n\
         accessLogFormat: \"{LOG}\"\n"
    )
}
