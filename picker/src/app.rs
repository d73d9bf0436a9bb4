//! The process: its tasks, and the order in which they begin and end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use picker_core::Hot;
use picker_core::http::HttpClient;
use picker_serve::Server;
use rustls::server::danger::ClientCertVerifier;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

mod api;
mod api_config;
pub mod by_body;
mod cluster;
mod endpoints;
mod gateways;
mod tasks;

use endpoints::Shared;
use gateways::Gateways;
use tasks::Tasks;

use crate::activity::Activity;
use crate::admin::Admin;
use crate::admin::auth::Auth;
use crate::args::{ServeArgs, TlsVersion};
use crate::decisions::Decisions;
use crate::drain::Signals;
use crate::dry_run::DryRuns;
use crate::exchange::BodyBudget;
use crate::extproc::Service;
use crate::http_client::Client;
use crate::metrics::Metrics;
use crate::policies::Policies;
use crate::pool::{Limits, Pool};
use crate::ready::Readiness;
use crate::source::{self, Installer};
use crate::tls;
use crate::watch::Wanted;
use crate::{admin, health, upkeep, view};

/// So many connections may wait to be accepted: the most that Linux allows by default. Beyond that it drops a
/// connection's first packet, which its client sends again after a second.
const BACKLOG: u32 = 4096;

/// The time between two looks at certificate files.
const CERTIFICATES: Duration = Duration::from_secs(1);

/// The threads of what must not keep anything else waiting, nor wait for it.
#[derive(Clone, Debug)]
pub struct Threads {
    /// For what gateways ask.
    pub traffic: Handle,
    /// For probes of health alone: a picker that is late with them is killed.
    pub probes: Handle,
    /// For the pages.
    pub pages: Handle,
}

/// Serves until a signal ends it. What gateways, probes and readers of pages ask is answered on `threads`; everything
/// else happens on the runtime that runs this, so that scraping many servers keeps nobody waiting.
///
/// # Errors
/// When it can't start, or a part of it ends by itself.
pub async fn serve(args: ServeArgs, threads: Threads) -> Result<()> {
    let signals = Signals::new().context("signals")?;
    let gateways = threads.traffic.spawn(listen(args.grpc_port)).await??;
    let probes = threads.probes.spawn(listen(args.grpc_health_port)).await??;
    let pages = threads.pages.spawn(listen(args.metrics_port)).await??;

    let view = view::empty();
    let hot = Arc::new(Hot::default());
    let metrics = Metrics::of_pool(args.pool_name.as_deref(), view.clone())
        .with_tables(hot.clone())
        .with_names_of(&args.compat_metrics, args.pool_name.as_deref(), &view);
    let metrics = Arc::new(metrics);
    let installer = Arc::new(Installer::new(hot.clone(), metrics.strategy.clone()));
    let readiness = Readiness::default();
    let closing = CancellationToken::new();
    let mut tasks = Tasks::new();

    let limits = Limits {
        max_body: args.max_request_body,
        refuse_longer: args.refuse_longer_bodies,
        body_timeout: args.body_timeout,
        subset_filter: !args.disable_endpoint_subset_filter,
        endpoint_scores: args.emit_endpoint_scores,
        budget: BodyBudget::new(args.max_held_bytes),
    };
    let limits = Arc::new(limits);
    let http: Arc<dyn HttpClient> = Arc::new(Client::new(limits.clone()));

    // The pages come first: they say what a start that takes long waits for.
    let client = cluster::client(&args).await?;
    let auth = match (&client, args.metrics_endpoint_auth) {
        (Some(client), true) => Some(Arc::new(Auth::new(client.clone()))),
        _ => None,
    };
    // They know no endpoints before the tasks that follow them are there.
    let targets = watch::Sender::default();
    let (decisions, policies) = (Decisions::default(), Policies::default());
    let admin = Admin {
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        serving: installer.serving(),
        view: view.clone(),
        targets: targets.subscribe(),
        decisions: decisions.clone(),
        dry_runs: DryRuns { hot: hot.clone(), view: view.clone(), policies: policies.clone() },
        pool: args.pool_name.clone(),
    };
    let router = admin.router(auth);
    let pages = async move {
        admin::server::run(pages, router).await;
        "metrics and debug pages"
    };
    tasks.spawn_on(pages, &threads.pages);
    // Not those of the traffic: streams may go on for minutes after its end was announced, and a process that
    // can't be probed meanwhile would be killed.
    let never = CancellationToken::new();
    let routes = Routes::new(health::service(readiness.subscribe(), never.clone()));
    let probes = async move {
        Server::for_probes().run(probes, routes, never).await;
        "health"
    };
    tasks.spawn_on(probes, &threads.probes);

    let replicas = watch::Sender::new(1);
    let count = replicas.subscribe();
    start_strategy(&args, client.as_ref(), &installer, &metrics, replicas, &mut tasks).await?;
    let wanted = watch::Sender::<Wanted>::default();
    let activity = Activity::default();
    let shared =
        Shared { view: &view, wanted: wanted.clone(), targets, activity: &activity, replicas: count };
    let progress = endpoints::start(&args, &installer, hot.clone(), &metrics, shared, &mut tasks);
    cluster::follow_policies(&args, client.as_ref(), &metrics, &policies, &mut tasks);
    cluster::find_endpoints(&args, client, &installer, &metrics, wanted, &mut tasks)?;
    let upkeep = upkeep::run(installer.serving(), hot.clone(), view.clone());
    tasks.spawn(async move {
        upkeep.await;
        "upkeep"
    });
    let (ready, serving) = (readiness.clone(), installer.serving());
    tasks.spawn(async move {
        ready.run(serving, progress).await;
        std::future::pending().await
    });

    let pool = Pool {
        hot,
        view,
        activity,
        policies,
        decisions,
        http,
        traffic: metrics.traffic.clone(),
        limits: limits.clone(),
    };
    let health = Routes::new(health::service(readiness.subscribe(), closing.clone()));
    let service = Service::new(Arc::new(pool), health);
    let tls = certificate(&args, &mut tasks)?;
    let traffic = threads.traffic.clone();
    let gateways = Gateways { listener: gateways, limits, readiness, closing, tls, traffic };
    gateways.serve(service, &args, signals, tasks, "serving").await
}

/// Installs the first strategy, and starts the task that keeps it up to date.
async fn start_strategy(
    args: &ServeArgs,
    client: Option<&kube::Client>,
    installer: &Arc<Installer>,
    metrics: &Arc<Metrics>,
    replicas: watch::Sender<u32>,
    tasks: &mut Tasks,
) -> Result<()> {
    match (&args.strategy, &args.config_file, &args.config_text) {
        (Some(strategy), ..) => {
            let client = client.context("--strategy needs a cluster")?.clone();
            cluster::follow_strategy(
                client,
                strategy.clone(),
                cluster::pool_ref(args),
                installer,
                metrics,
                replicas,
                tasks,
            );
        }
        (_, Some(path), _) => {
            let mut file = source::file::ConfigFile::new(path);
            // The first look decides where endpoints come from.
            file.look(installer).await;
            let installer = installer.clone();
            tasks.spawn(async move { file.follow(&installer).await });
        }
        (.., Some(text)) => {
            source::text::offer(text, installer).map_err(anyhow::Error::msg).context("--config-text")?
        }
        _ => source::text::offer_default(installer).map_err(anyhow::Error::msg)?,
    }
    Ok(())
}

fn certificate(args: &ServeArgs, tasks: &mut Tasks) -> Result<Option<tokio_rustls::TlsAcceptor>> {
    if !args.secure_serving {
        ensure!(args.client_ca.is_none(), "--client-ca needs TLS: leave --secure-serving=false out");
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
    let clients: Option<Arc<dyn ClientCertVerifier>> = match &args.client_ca {
        Some(path) => {
            let ca = tls::ClientCa::open(path).context("--client-ca")?;
            let clients = ca.clients().clone();
            tasks.spawn(async move { match ca.watch(CERTIFICATES).await {} });
            Some(clients)
        }
        None => None,
    };
    Ok(Some(certificate.acceptor(versions, clients)?))
}

/// Listens on `port` of all addresses, IPv6 and IPv4, or IPv4 alone where there is no IPv6.
async fn listen(port: u16) -> Result<TcpListener> {
    let listen = |socket: TcpSocket, address: IpAddr| {
        // What the socket of a process that has just ended leaves behind is in nobody's way.
        socket.set_reuseaddr(true)?;
        socket.bind((address, port).into())?;
        socket.listen(BACKLOG)
    };
    TcpSocket::new_v6()
        .and_then(|socket| listen(socket, Ipv6Addr::UNSPECIFIED.into()))
        .or_else(|_| listen(TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into()))
        .with_context(|| format!("cannot listen on port {port}"))
}
