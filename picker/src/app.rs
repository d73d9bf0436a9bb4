//! The picker as a process: which tasks there are, and in which order they begin and end.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use picker_core::Hot;
use picker_serve::Server;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::service::Routes;

mod api;
mod api_config;
mod cluster;
mod endpoints;

use crate::admin::Admin;
use crate::admin::auth::Auth;
use crate::args::{ServeArgs, TlsVersion};
use crate::drain::Signals;
use crate::extproc::{Budget, Gate, Service};
use crate::metrics::Metrics;
use crate::ready::Readiness;
use crate::source::{self, Desk};
use crate::tls;
use crate::watch::Wanted;
use crate::{admin, health, view};

/// How often certificate files are looked at.
const CERTIFICATES: Duration = Duration::from_secs(1);

/// Tasks that live as long as the process: one that ends is a fault.
type Tasks = JoinSet<&'static str>;

/// Serves until a signal ends it. What gateways ask is answered on the runtime of `traffic`; everything else
/// happens on the one that runs this, so that scraping many servers, or a large page of metrics, keeps no
/// request waiting.
///
/// # Errors
/// When it can't start, or a part of it ends by itself.
pub async fn serve(args: ServeArgs, traffic: Handle) -> Result<()> {
    let mut signals = Signals::new().context("signals")?;
    let gateways = traffic.spawn(listen(args.grpc_port)).await??;
    let probes = listen(args.grpc_health_port).await?;
    let pages = listen(args.metrics_port).await?;

    let view = view::empty();
    let metrics = Arc::new(Metrics::new(view.clone()));
    let hot = Arc::new(Hot::default());
    let desk = Arc::new(Desk::new(hot.clone(), metrics.strategy.clone()));
    let readiness = Readiness::default();
    let closing = CancellationToken::new();
    let mut tasks = Tasks::new();

    // The pages come first: they say what a start that takes long waits for.
    let client = cluster::client(&args).await?;
    let auth = match (&client, args.metrics_endpoint_auth) {
        (Some(client), true) => Some(Arc::new(Auth::new(client.clone()))),
        _ => None,
    };
    let admin = Admin {
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        installed: desk.installed(),
        view: view.clone(),
    };
    let router = admin.router(auth);
    tasks.spawn(async move {
        admin::server::run(pages, router).await;
        "metrics and debug pages"
    });
    // Not those of the traffic: streams may go on for minutes after its end was announced, and a process that
    // can't be probed meanwhile would be killed.
    let never = CancellationToken::new();
    let routes = Routes::new(health::service(readiness.subscribe(), never.clone()));
    tasks.spawn(async move {
        Server::for_probes().run(probes, routes, never).await;
        "health"
    });

    start_strategy(&args, client.as_ref(), &desk, &metrics, &mut tasks).await?;
    let wanted = watch::Sender::<Wanted>::default();
    let progress = endpoints::start(&args, &desk, &metrics, &view, wanted.clone(), &mut tasks);
    cluster::find_endpoints(&args, client, &desk, &metrics, wanted, &mut tasks)?;
    let (ready, installed) = (readiness.clone(), desk.installed());
    tasks.spawn(async move {
        ready.run(installed, progress).await;
        std::future::pending().await
    });

    let gate = Gate {
        hot,
        view,
        traffic: metrics.traffic.clone(),
        max_body: args.max_request_body,
        body_timeout: args.body_timeout,
        subset_filter: !args.disable_endpoint_subset_filter,
        held: Budget::new(args.max_held_bytes),
    };
    let health = Routes::new(health::service(readiness.subscribe(), closing.clone()));
    let service = Service::new(Arc::new(gate), health);
    let server =
        Server { tls: certificate(&args, &mut tasks)?, stream_tasks: args.stream_tasks, ..Server::default() };
    let server = AbortOnDropHandle::new(traffic.spawn(server.run(gateways, service, closing.clone())));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        grpc = args.grpc_port,
        health = args.grpc_health_port,
        metrics = args.metrics_port,
        "serving"
    );

    let ending = async {
        signals.drained(&readiness, args.drain_timeout, &closing).await;
        signals.again().await;
    };
    tokio::select! {
        served = server => {
            served.context("serving failed")?;
            tracing::info!("the last stream has ended");
            Ok(())
        }
        () = ending => {
            tracing::warn!("another signal: the streams that are left are cut off");
            Ok(())
        }
        Some(ended) = tasks.join_next() => bail!("{} ended", ended.context("a task failed")?),
    }
}

/// Brings the strategy, and starts what keeps it up to date.
async fn start_strategy(
    args: &ServeArgs,
    client: Option<&kube::Client>,
    desk: &Arc<Desk>,
    metrics: &Arc<Metrics>,
    tasks: &mut Tasks,
) -> Result<()> {
    match (&args.strategy, &args.config_file, &args.config_text) {
        (Some(strategy), ..) => {
            let client = client.context("--strategy needs a cluster")?.clone();
            cluster::follow_strategy(client, strategy.clone(), desk, metrics, tasks);
        }
        (_, Some(path), _) => {
            let mut file = source::file::ConfigFile::new(path);
            // The first look decides where endpoints come from.
            file.look(desk).await;
            let desk = desk.clone();
            tasks.spawn(async move { file.follow(&desk).await });
        }
        (.., Some(text)) => {
            source::text::offer(text, desk).map_err(anyhow::Error::msg).context("--config-text")?
        }
        _ => source::text::offer_default(desk).map_err(anyhow::Error::msg)?,
    }
    Ok(())
}

fn certificate(args: &ServeArgs, tasks: &mut Tasks) -> Result<Option<tokio_rustls::TlsAcceptor>> {
    if !args.secure_serving {
        return Ok(None);
    }
    let certificate = match &args.cert_path {
        Some(dir) => {
            let files = tls::Files::open(dir).context("--cert-path")?;
            let certificate = files.certificate().clone();
            tasks.spawn(async move { match files.watch(CERTIFICATES).await {} });
            certificate
        }
        None => tls::Certificate::self_signed(["localhost".to_owned()])?,
    };
    let versions = match args.tls_min_version {
        TlsVersion::V12 => rustls::ALL_VERSIONS,
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    Ok(Some(certificate.acceptor(versions)?))
}

/// Listens on `port` of all addresses, IPv6 and IPv4, or IPv4 alone where there is no IPv6.
async fn listen(port: u16) -> Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
            .await
            .with_context(|| format!("cannot listen on port {port}")),
    }
}
