//! Command line of the operator.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Makes endpoint pickers out of RoutingStrategies and binds them to InferencePools.
///
/// Finds the API server as kubectl does: by KUBECONFIG, ~/.kube/config, or the pod it runs in.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Image of the pickers of strategies that name none.
    #[arg(long, env = "WAYPOST_PICKER_IMAGE", default_value = concat!("waypost/picker:", env!("CARGO_PKG_VERSION")))]
    pub picker_image: String,

    /// Watch this namespace only. Default: all.
    #[arg(long, env = "WAYPOST_WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,

    /// Address of /livez, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// Write only while holding a Lease, so that several replicas may run.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// Namespace of the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub namespace: String,

    /// Name of the Lease.
    #[arg(long, default_value = "waypost-operator")]
    pub lease_name: String,

    /// Who holds the Lease; each process adds an ending of its own. Default: the host name.
    #[arg(long, env = "POD_NAME")]
    pub identity: Option<String>,

    /// How many strategies are worked on at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub concurrency: u16,

    /// Seconds that the pickers of a pool go on serving after the pool was given back, so that gateways
    /// can follow.
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub release_hold: Duration,

    /// Let spec.picker.podTemplate say anything: ServiceAccounts, volumes, further containers and so on.
    /// Whoever may write a RoutingStrategy can then run any pod in its namespace.
    #[arg(long)]
    pub allow_unsafe_pod_templates: bool,

    /// Form of the log on standard error. What is logged says RUST_LOG; default: info.
    #[arg(long, value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "must be a whole number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn holds_are_seconds() {
        let args = Args::try_parse_from(["operator", "--release-hold", "5"]).unwrap();
        assert_eq!(args.release_hold, Duration::from_secs(5));
        assert!(Args::try_parse_from(["operator", "--release-hold", "5s"]).is_err());
    }
}
