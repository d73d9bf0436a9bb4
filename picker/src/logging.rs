//! The log of the process: its level and its form.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::args::{Encoder, ServeArgs};

/// Sets the process's log up. `RUST_LOG` outranks the flags.
pub fn init(args: &ServeArgs) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(filter(level(args))));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second call, from a test, is refused and changes nothing.
    let _ = match args.zap_encoder {
        Encoder::Json => log.json().flatten_event(true).try_init(),
        Encoder::Console => log.try_init(),
    };
}

/// The level of the flags, by the numbers of Go's pickers: 2 is the default, 4 debugs.
fn level(args: &ServeArgs) -> u8 {
    match args.zap_log_level.as_deref() {
        None => args.verbosity,
        Some("error" | "dpanic" | "panic" | "fatal") => 0,
        Some("warn") => 1,
        Some("debug") => 4,
        Some(other) => other.parse().unwrap_or(2),
    }
}

/// Libraries are told about only when something is wrong with them, or everything is wanted. The client
/// of Kubernetes logs each attempt that fails, of which the picker tells once.
fn filter(level: u8) -> &'static str {
    match level {
        0 => "error",
        1 => "warn",
        2 | 3 => "warn,kube_client=off,picker=info,picker_core=info,picker_serve=info",
        4 => "info,kube_client=warn,picker=debug,picker_core=debug,picker_serve=debug",
        _ => "debug,picker=trace,picker_core=trace,picker_serve=trace",
    }
}
