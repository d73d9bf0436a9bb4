//! The operator's program: command line, log, and start.

use std::io::IsTerminal as _;

use anyhow::{Result, anyhow};
use clap::Parser as _;
use operator::args::{Args, LogFormat};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let colours = std::io::stderr().is_terminal();
    let log =
        tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).with_ansi(colours);
    match args.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| anyhow!("a TLS provider was installed before"))?;
    operator::app::run(args).await
}

/// RUST_LOG, or info. The client library's own words are off unless asked for: it tells every failed
/// attempt, and what comes of them is told here.
fn filter() -> EnvFilter {
    let wanted =
        std::env::var("RUST_LOG").ok().filter(|w| !w.is_empty()).unwrap_or_else(|| "info".to_owned());
    let quiet = if wanted.contains("kube") { "" } else { ",kube_client=off,kube_runtime::watcher=off" };
    EnvFilter::try_new(format!("{wanted}{quiet}")).unwrap_or_else(|_| EnvFilter::new("info"))
}
