//! Flags of other endpoint pickers that are taken and change nothing.

/// The value that a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// `--flag` alone is true; a value stands behind an equals sign.
    Bool,
    /// Always.
    Value,
}

use Takes::{Bool, Value};

/// The flags, as their own programs call them.
const FLAGS: &[(&str, Takes)] = &[
    // llm-d router 0.10 and GIE 1.x: parts that this picker doesn't have, or does without a switch.
    ("allow-experimental-plugins", Bool),
    ("enable-cert-reload", Bool),
    ("enable-grpc-stream-metrics", Bool),
    ("enable-pprof", Bool),
    ("grpc-max-recv-msg-size", Value),
    ("grpc-max-send-msg-size", Value),
    ("ha-enable-leader-election", Bool),
    ("health-checking", Bool),
    ("metrics-cert-dir", Value),
    ("metrics-client-ca-file", Value),
    ("refresh-prometheus-metrics-interval", Value),
    ("tls-cipher-suites", Value),
    ("tracing", Bool),
    ("zap-devel", Bool),
    ("zap-stacktrace-level", Value),
    ("zap-time-encoding", Value),
    // GIE's body-based router: bodies are read as the gateway sends them.
    ("streaming", Bool),
    // Names of metrics: every engine is recognised by what it says.
    ("cache-info-metric", Value),
    ("kv-cache-usage-percentage-metric", Value),
    ("lora-info-metric", Value),
    ("total-queued-requests-metric", Value),
    ("total-running-requests-metric", Value),
    // GIE 0.x.
    ("destination-endpoint-hint-key", Value),
    ("destination-endpoint-hint-metadata-namespace", Value),
];

/// The value that the flag called `name` takes, if it is one of another picker.
pub(super) fn takes(name: &str) -> Option<Takes> {
    FLAGS.iter().find(|(flag, _)| *flag == name).map(|(_, takes)| *takes)
}

/// The consequence of taking the flag called `--name` without effect, where somebody's safety may rest on it.
pub fn consequence(flag: &str) -> Option<&'static str> {
    match flag {
        "--metrics-client-ca-file" => Some(
            "metrics are served without TLS, and no client certificate is asked for: use --metrics-endpoint-auth, \
             or a NetworkPolicy, to keep others out",
        ),
        "--metrics-cert-dir" => Some("metrics are served without TLS, so scrape them with the scheme http"),
        _ => None,
    }
}
