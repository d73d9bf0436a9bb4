//! The command line. Flags of GIE's and llm-d's pickers are taken with their meaning, so that a manifest
//! of their guides works with only the image changed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use crds::PoolGroup;
use http::uri::PathAndQuery;
use picker_core::scrape::{ServerShare, Tls};
use picker_serve::StreamTasks;
use smallvec::SmallVec;

mod bbr;
mod explain;
mod foreign;
pub mod normalise;
#[cfg(test)]
mod tests;
mod value;

pub use bbr::BbrArgs;
pub use explain::{ExplainArgs, Form};
pub use foreign::consequence;

use crate::metrics::Dialect;
use crate::source::kube::StrategyRef;
use crate::watch::pool::MOST_PORTS;

/// Waypost's endpoint picker: answers a gateway's question, over ext_proc, which model server a request
/// should go to. How it decides comes from a RoutingStrategy or an EndpointPickerConfig, and changes
/// while it runs.
#[derive(Clone, Debug, Parser)]
#[command(name = "picker", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What the program does besides serving.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Compile EndpointPickerConfigs and RoutingStrategies from files, and tell every error with its field.
    ///
    /// A file may hold several YAML documents; a ConfigMap's data is looked into, and documents of other
    /// kinds are passed over. Ends with 0 when all compile, with 1 when one doesn't, and with 2 when a
    /// file can't be read or holds nothing to compile.
    Check {
        /// The files; - is standard input.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List the plugins, with their parameters.
    Plugins {
        /// Only these types.
        #[arg(value_name = "TYPE")]
        types: Vec<String>,
        /// Form of the list.
        #[arg(short, long, default_value = "text")]
        output: Output,
    },
    /// Ask a live picker why a request went where it did, or where one would go.
    ///
    /// With a request id: decisions about that request that the picker kept. With a body, headers or a path: the decision
    /// that it would make now. That one is a dry run: nothing is sent, booked or learnt. Ends with 0 when a decision is
    /// shown, with 1 when none of that id is kept, and with 2 when the picker can't be asked.
    Explain(ExplainArgs),
}

/// Form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs: a JSON array with a JSON schema of the parameters of each plugin.
    Json,
    /// For documentation: a page of Markdown.
    Markdown,
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoder {
    /// One JSON object a line.
    Json,
    /// Text.
    Console,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TlsVersion {
    /// 1.2.
    #[value(name = "1.2", aliases = ["VersionTLS12", "TLS12", "TLSv1.2"])]
    V12,
    /// 1.3.
    #[value(name = "1.3", aliases = ["VersionTLS13", "TLS13", "TLSv1.3"])]
    V13,
}

/// How model servers are asked for their metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scheme {
    /// In plaintext.
    Http,
    /// By TLS.
    Https,
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ServeArgs {
    /// RoutingStrategy to follow. Its status tells what this picker serves
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        help_heading = "Strategy",
        group = "config",
        requires = "endpoints"
    )]
    pub strategy: Option<StrategyRef>,
    /// EndpointPickerConfig to follow; a change of the file takes effect while the picker runs
    #[arg(long, value_name = "FILE", help_heading = "Strategy", group = "config")]
    pub config_file: Option<PathBuf>,
    /// EndpointPickerConfig as text
    #[arg(long, value_name = "YAML", help_heading = "Strategy", group = "config")]
    pub config_text: Option<String>,

    /// InferencePool whose pods are the endpoints
    #[arg(long, value_name = "NAME", help_heading = "Endpoints", group = "endpoints")]
    pub pool_name: Option<String>,
    /// Namespace of the pool and its pods, or with --bbr of the ConfigMaps. Default: that of the strategy, or "default";
    /// with --bbr that of the pod
    #[arg(
        long,
        value_name = "NAMESPACE",
        help_heading = "Endpoints",
        env = "NAMESPACE",
        hide_env_values = true
    )]
    pub pool_namespace: Option<String>,
    /// API group of the pool: inference.networking.k8s.io (v1) or inference.networking.x-k8s.io (v1alpha2)
    #[arg(long, value_name = "GROUP", help_heading = "Endpoints", default_value = PoolGroup::V1.group(), value_parser = value::pool_group)]
    pub pool_group: PoolGroup,
    /// Label selector of the pods that are the endpoints, in place of a pool
    #[arg(
        long,
        value_name = "SELECTOR",
        help_heading = "Endpoints",
        group = "endpoints",
        requires = "endpoint_target_ports"
    )]
    pub endpoint_selector: Option<String>,
    /// Ports of those pods, one to eight
    #[arg(long, value_name = "PORT", help_heading = "Endpoints", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub endpoint_target_ports: Vec<u16>,
    /// Whether endpoints are chosen that the gateway's subset hint doesn't name
    #[arg(long, value_name = "BOOL", help_heading = "Endpoints", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean)]
    pub disable_endpoint_subset_filter: bool,

    /// Whether gateways are told the total of each endpoint that was scored for the destination, in the metadata envoy.lb under
    /// the key x-gateway-destination-endpoint-scores, where the strategy does not say (explain.endpointScores)
    #[arg(long, value_name = "BOOL", help_heading = "Serving", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean)]
    pub emit_endpoint_scores: bool,
    /// Port of ext_proc, TLS and plaintext. With --bbr: 9004
    #[arg(long, value_name = "PORT", help_heading = "Serving", default_value_t = 9002, default_value_ifs = bbr::by_mode("9004"))]
    pub grpc_port: u16,
    /// Port of gRPC health, plaintext. With --bbr: 9005
    #[arg(long, value_name = "PORT", help_heading = "Serving", default_value_t = 9003, default_value_ifs = bbr::by_mode("9005"))]
    pub grpc_health_port: u16,
    /// Port of /metrics, /readyz, /healthz and /debug
    #[arg(long, value_name = "PORT", help_heading = "Serving", default_value_t = 9090)]
    pub metrics_port: u16,
    /// Whether ext_proc takes TLS; it takes plaintext in any case
    #[arg(long, value_name = "BOOL", help_heading = "Serving", num_args = 0..=1, require_equals = true, default_value = "true", default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean)]
    pub secure_serving: bool,
    /// Directory with tls.crt and tls.key, read again when they change. Without: a certificate made at start
    #[arg(long, value_name = "DIR", help_heading = "Serving")]
    pub cert_path: Option<PathBuf>,
    /// File with the certificates (PEM) of authorities, read again when it changes. With it ext_proc is for gateways with
    /// a certificate of one of them, and takes no plaintext
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    pub client_ca: Option<PathBuf>,
    /// The oldest version of TLS that is taken
    #[arg(long, value_name = "VERSION", help_heading = "Serving", default_value = "1.2")]
    pub tls_min_version: TlsVersion,
    /// Most bytes of a request body that a decision waits for and reads; the rest of a longer one goes on unread
    #[arg(long, value_name = "BYTES", help_heading = "Serving", default_value_t = 16 << 20)]
    pub max_request_body: usize,
    /// Whether a request body that a decision waits for is refused with status 413 if it is longer than
    /// --max-request-body
    #[arg(long, value_name = "BOOL", help_heading = "Serving", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean)]
    pub refuse_longer_bodies: bool,
    /// How long a request body that a decision waits for may take for each 16 KiB of it. A slower one is
    /// refused with status 408 if its length was announced, else the decision is made by what is there of it. One that
    /// a gateway buffers and shows as a whole may take 5 minutes at most, or this if it is longer
    #[arg(long, value_name = "DURATION", help_heading = "Serving", default_value = "30s", value_parser = value::duration)]
    pub body_timeout: Duration,
    /// Most bytes that all requests take, headers and bodies, while they wait for bodies and decisions. Connections and
    /// streams of gateways come out of the same bytes and have a sixteenth of them in addition; those of one address never
    /// hold more than is left. A request whose body finds no room is refused with status 503. An eighth is kept for those of up to 256 KiB. Headers take
    /// a quarter at most: beyond it decisions are made without waiting for bodies
    #[arg(long, value_name = "BYTES", help_heading = "Serving", default_value_t = 256 << 20)]
    pub max_held_bytes: usize,
    /// How long requests are taken after SIGTERM, while gateways learn that this picker goes
    #[arg(long, value_name = "DURATION", help_heading = "Serving", default_value = "30s", value_parser = value::duration)]
    pub drain_timeout: Duration,
    /// Whether /metrics and /debug ask the API server if the bearer token may get them
    #[arg(long, value_name = "BOOL", help_heading = "Serving", num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean)]
    pub metrics_endpoint_auth: bool,
    /// Whose names metrics have beside their own, so that dashboards made for another picker work: those of llm-d's router or
    /// of GIE's picker
    #[arg(long, value_name = "PICKER", help_heading = "Serving", value_delimiter = ',')]
    pub compat_metrics: Vec<Dialect>,
    /// Tasks that the streams of a gateway's connection run in, joined or spawned: for benchmarks of the server alone
    #[arg(long, value_name = "TASKS", help_heading = "Serving", hide = true, default_value = "joined", value_parser = value::stream_tasks)]
    pub stream_tasks: StreamTasks,

    /// Body-based routing.
    #[command(flatten)]
    pub bbr: BbrArgs,

    /// Time from one scrape of a model server to the next; at least 50ms
    #[arg(long, value_name = "DURATION", help_heading = "Scraping", default_value = "50ms", value_parser = value::duration)]
    pub refresh_metrics_interval: Duration,
    /// The same while no requests flow; 0 is the same as --refresh-metrics-interval
    #[arg(long, value_name = "DURATION", help_heading = "Scraping", default_value = "2s", value_parser = value::duration)]
    pub metrics_rest_interval: Duration,
    /// The most of the time of one core of a model server that its metrics may take, 0 to 1; 0 is no limit. Replicas
    /// of the picker of a RoutingStrategy divide it among them
    #[arg(long, value_name = "SHARE", help_heading = "Scraping", default_value = "0.02", value_parser = value::share)]
    pub metrics_max_server_share: ServerShare,
    /// Path of the metrics of model servers. Without: /metrics, and where that says nothing /prometheus/metrics
    #[arg(long, value_name = "PATH", help_heading = "Scraping", value_parser = value::path)]
    pub model_server_metrics_path: Option<PathAndQuery>,
    /// Port of the metrics of model servers; 0 is the port that serves requests
    #[arg(long, value_name = "PORT", help_heading = "Scraping", default_value_t = 0)]
    pub model_server_metrics_port: u16,
    /// Scheme of the metrics of model servers, where the strategy's metrics-data-source names none
    #[arg(long, value_name = "SCHEME", help_heading = "Scraping", default_value = "http")]
    pub model_server_metrics_scheme: Scheme,
    /// Whether the certificates of model servers are not checked when their metrics are read by https. Default: true, and
    /// false with --model-server-metrics-ca-cert-path
    #[arg(long, value_name = "BOOL", help_heading = "Scraping", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = value::boolean)]
    pub model_server_metrics_https_insecure_skip_verify: Option<bool>,
    /// Certificates of the authorities that are believed about model servers, in PEM. Without: those of the system
    #[arg(long, value_name = "FILE", help_heading = "Scraping")]
    pub model_server_metrics_ca_cert_path: Option<String>,
    /// Certificate that model servers are shown when their metrics are read by https, in PEM
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Scraping",
        requires = "model_server_metrics_client_key_path"
    )]
    pub model_server_metrics_client_cert_path: Option<String>,
    /// Key of that certificate, in PEM
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Scraping",
        requires = "model_server_metrics_client_cert_path"
    )]
    pub model_server_metrics_client_key_path: Option<String>,
    /// Age at which what a model server said counts as unknown
    #[arg(long, value_name = "DURATION", help_heading = "Scraping", default_value = "2s", value_parser = value::duration)]
    pub metrics_staleness_threshold: Duration,

    /// How much is logged: 2 what matters, 4 for debugging, 5 everything
    #[arg(short = 'v', long = "v", value_name = "LEVEL", help_heading = "Logging", default_value_t = 2)]
    pub verbosity: u8,
    /// Form of log lines
    #[arg(long, value_name = "FORM", help_heading = "Logging", default_value = "console")]
    pub zap_encoder: Encoder,
    /// The same as -v, by name: error, info, debug, or a number
    #[arg(long, value_name = "LEVEL", help_heading = "Logging")]
    pub zap_log_level: Option<String>,
}

impl ServeArgs {
    /// `--endpoint-target-ports`, each once.
    ///
    /// # Errors
    /// When there are more than a pod may have.
    pub fn target_ports(&self) -> Result<SmallVec<[u16; MOST_PORTS]>, String> {
        let mut ports = SmallVec::new();
        for port in &self.endpoint_target_ports {
            if !ports.contains(port) {
                ports.push(*port);
            }
        }
        match ports.len() {
            0..=MOST_PORTS => Ok(ports),
            many => Err(format!("--endpoint-target-ports: at most {MOST_PORTS} ports, and these are {many}")),
        }
    }

    /// TLS to model servers, for their metrics; `None` is plain HTTP.
    pub fn metrics_tls(&self) -> Option<Tls> {
        let ca = self.model_server_metrics_ca_cert_path.clone();
        let skip = self.model_server_metrics_https_insecure_skip_verify.unwrap_or(ca.is_none());
        let certificate = self.model_server_metrics_client_cert_path.clone();
        let client = certificate.zip(self.model_server_metrics_client_key_path.clone());
        match self.model_server_metrics_scheme {
            Scheme::Http => None,
            Scheme::Https => Some(Tls { verify: !skip, ca, client }),
        }
    }

    /// The namespace of the pool and its pods.
    pub fn namespace(&self) -> &str {
        let strategy = self.strategy.as_ref().map(|strategy| strategy.namespace.as_str());
        let given = self.pool_namespace.as_deref().filter(|namespace| !namespace.is_empty());
        given.or(strategy).unwrap_or("default")
    }
}
