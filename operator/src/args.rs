//! Command line of the operator.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::build::limits;

/// Makes endpoint pickers out of RoutingStrategies and binds them to InferencePools.
///
/// Finds the API server as kubectl does: by KUBECONFIG, ~/.kube/config, or the pod it runs in.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Args {
    /// Image of the pickers of strategies that name none.
    #[arg(long, env = "WAYPOST_PICKER_IMAGE", default_value = concat!("waypost/picker:", env!("CARGO_PKG_VERSION")))]
    pub picker_image: String,

    /// Watch this namespace only. Repeatable, in the variable with commas. Default: all.
    #[arg(long, value_name = "NAMESPACE", env = "WAYPOST_WATCH_NAMESPACE", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,

    /// Whether this process may look at what is in no namespace, and make ClusterRoleBindings. Without such rights, a
    /// Role in each watched namespace is enough; strategies that ask for spec.picker.metrics.auth are then refused.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub cluster_rights: bool,

    /// Address of /livez, /readyz and /metrics. [::] is all addresses, of IPv6 and of IPv4; where there is no IPv6, of
    /// IPv4 alone.
    #[arg(long, default_value = "[::]:8080")]
    pub listen: SocketAddr,

    /// Write only while holding a Lease, so that several replicas may run.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_elect: bool,

    /// Namespace of the Lease by which replicas of one installation elect their leader. Beside it there is one for what
    /// is worked on, so that several installations don't work on the same strategies: in the watched namespace, or
    /// see --cluster-lease-namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub namespace: String,

    /// Name of the Lease.
    #[arg(long, default_value = "waypost-operator")]
    pub lease_name: String,

    /// Namespace of the Lease waypost-all-strategies, which the one operator holds that watches all namespaces. The
    /// same for all installations of a cluster.
    #[arg(
        long,
        value_name = "NAMESPACE",
        env = "WAYPOST_CLUSTER_LEASE_NAMESPACE",
        default_value = "kube-system"
    )]
    pub cluster_lease_namespace: String,

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

    /// Seconds between the first connection that arrives at the pickers of a pool and the change of the pool's
    /// reference, so that kube-proxy on other nodes can follow.
    #[arg(long, default_value = "2", value_parser = seconds)]
    pub bind_margin: Duration,

    /// Let spec.picker.podTemplate say anything: ServiceAccounts, volumes, further containers and so on.
    /// Whoever may write a RoutingStrategy can then run any pod in its namespace.
    #[arg(long)]
    pub allow_unsafe_pod_templates: bool,

    /// Let spec.picker.podTemplate set labels and annotations with this prefix (example.com), or with this very
    /// key (example.com/name). Repeatable, in place of the default; an empty one allows none. Those without a
    /// prefix are always allowed.
    #[arg(long, value_name = "PREFIX", default_values = limits::POD_METADATA)]
    pub allowed_pod_metadata: Vec<String>,

    /// Let spec.picker.podTemplate set labels without a prefix (team). Services, NetworkPolicies and other objects
    /// of the namespace that choose pods by such labels can then be made to choose pickers.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub allow_unprefixed_pod_labels: bool,

    /// Let spec.picker.podTemplate set HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not.
    #[arg(long)]
    pub allow_proxy_variables: bool,

    /// Take only images that begin so in spec.picker.image. Repeatable. Default: any image.
    #[arg(long, value_name = "PREFIX")]
    pub picker_image_prefix: Vec<String>,

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
    fn limits_are_repeatable_and_replace_the_default() {
        let parse = |line: &[&str]| Args::try_parse_from([&["operator"], line].concat()).unwrap();
        assert_eq!(parse(&[]).allowed_pod_metadata, limits::POD_METADATA);
        let args = parse(&["--allowed-pod-metadata=a", "--allowed-pod-metadata=b.io/c"]);
        assert_eq!(args.allowed_pod_metadata, ["a", "b.io/c"]);
        assert_eq!(parse(&["--allowed-pod-metadata="]).allowed_pod_metadata, [""]);
        let args = parse(&["--picker-image-prefix=a/", "--picker-image-prefix=b/"]);
        assert_eq!(args.picker_image_prefix, ["a/", "b/"]);
    }

    #[test]
    fn proxies_are_off_and_labels_are_on_unless_it_is_said() {
        let parse = |line: &[&str]| {
            let args = Args::try_parse_from([&["operator"], line].concat()).unwrap();
            (args.allow_proxy_variables, args.allow_unprefixed_pod_labels)
        };
        assert_eq!(parse(&[]), (false, true));
        assert_eq!(parse(&["--allow-proxy-variables", "--allow-unprefixed-pod-labels=false"]), (true, false));
    }

    #[test]
    fn namespaces_are_one_or_several_or_all() {
        let parse =
            |line: &[&str]| Args::try_parse_from([&["operator"], line].concat()).unwrap().watch_namespace;
        assert_eq!(parse(&[]), Vec::<String>::new());
        assert_eq!(parse(&["--watch-namespace=a"]), ["a"]);
        assert_eq!(parse(&["--watch-namespace=a", "--watch-namespace=b,c"]), ["a", "b", "c"]);
    }

    #[test]
    fn holds_are_seconds() {
        let args = Args::try_parse_from(["operator", "--release-hold", "5"]).unwrap();
        assert_eq!(args.release_hold, Duration::from_secs(5));
        assert!(Args::try_parse_from(["operator", "--release-hold", "5s"]).is_err());
    }
}
