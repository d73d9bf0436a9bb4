//! `sim`: model servers without a model.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use futures::future::join_all;
use sim::args::{Cli, Command, ServeArgs};
use sim::endpoints;
use sim::server::{Drain, ModelServer};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let Command::Serve(args) = Cli::parse().command;
    serve(&args).await
}

async fn serve(args: &ServeArgs) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let servers = start(args).await?;
    let addresses = servers.iter().map(|server| (server.name(), server.address()));
    let list = endpoints::yaml(addresses, &args.model);
    if let Some(file) = &args.write_endpoints {
        std::fs::write(file, &list).with_context(|| format!("--write-endpoints {}", file.display()))?;
    } else if servers.len() > 1 {
        print!("{list}");
    }

    let drain = tokio::select! {
        _ = terminate.recv() => args.drain(),
        // Whoever sits at a terminal routes nothing here.
        _ = interrupt.recv() => Drain { grace: Duration::ZERO, ..args.drain() },
    };
    tracing::info!(timeout = ?drain.timeout, "ending");
    let drained = pin!(join_all(servers.into_iter().map(|server| server.drain(drain))));
    tokio::select! {
        all = drained => {
            if all.contains(&false) {
                tracing::warn!("requests were cut off");
            }
        }
        _ = interrupt.recv() => tracing::warn!("interrupted again: requests were cut off"),
    }
    Ok(())
}

/// Listens on `port` of `address`; of all addresses without one, those of IPv4 where there is no IPv6.
async fn listen(address: Option<IpAddr>, port: u16) -> Result<TcpListener> {
    let everywhere = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
    let addresses = address.map_or(everywhere.to_vec(), |address| vec![address]);
    let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect();
    TcpListener::bind(&*addresses).await.with_context(|| format!("can't listen on port {port}"))
}

async fn start(args: &ServeArgs) -> Result<Vec<ModelServer>> {
    let mut servers = Vec::new();
    for (config, index) in args.servers().into_iter().zip(0_u16..) {
        let port = match args.port {
            0 => 0,
            first => first.checked_add(index).context("--port and --replicas together exceed port 65535")?,
        };
        let listener = listen(args.bind, port).await?;
        let server = ModelServer::start(config, listener)?;
        tracing::info!(name = server.name(), address = %server.address(), model = args.model, "serving");
        servers.push(server);
    }
    Ok(servers)
}
