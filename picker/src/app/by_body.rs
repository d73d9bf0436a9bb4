//! The process that routes by bodies ([`crate::bbr`]): it listens where a picker does, and follows nothing but the
//! ConfigMaps of adapters.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use kube::Client;
use picker_serve::Server;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::gateways::Gateways;
use super::tasks::Tasks;
use super::{Threads, api, api_config, certificate, listen};
use crate::admin::auth::Auth;
use crate::args::ServeArgs;
use crate::bbr::Bbr;
use crate::bbr::base_models::{self, SharedBaseModels};
use crate::drain::Signals;
use crate::exchange::BodyBudget;
use crate::extproc::{Answers, Service};
use crate::metrics::Metrics;
use crate::pool::Limits;
use crate::ready::Readiness;
use crate::{admin, health};

/// Serves until a signal ends it, as [`super::serve`] does.
///
/// # Errors
/// When it can't start, or a part of it ends by itself.
pub async fn serve(args: ServeArgs, threads: Threads) -> Result<()> {
    let signals = Signals::new().context("signals")?;
    let gateways = threads.traffic.spawn(listen(args.grpc_port)).await??;
    let probes = threads.probes.spawn(listen(args.grpc_health_port)).await??;
    let pages = threads.pages.spawn(listen(args.metrics_port)).await??;

    let (metrics, requests) = Metrics::by_body();
    let metrics = Arc::new(metrics);
    let (readiness, closing) = (Readiness::default(), CancellationToken::new());
    let mut tasks = Tasks::new();
    let fields = args.bbr.fields();
    let reads_config_maps = args.bbr.bbr_config_maps && fields.base_model_header().is_some();
    let client = client(reads_config_maps, args.metrics_endpoint_auth).await?;
    let auth = match (&client, args.metrics_endpoint_auth) {
        (Some(client), true) => Some(Arc::new(Auth::new(client.clone()))),
        _ => None,
    };
    let router = admin::by_body(metrics.clone(), readiness.clone(), auth);
    let pages = async move {
        admin::server::run(pages, router).await;
        "metrics pages"
    };
    tasks.spawn_on(pages, &threads.pages);
    let never = CancellationToken::new();
    let routes = Routes::new(health::service(readiness.subscribe(), never.clone()));
    let probes = async move {
        Server::for_probes().run(probes, routes, never).await;
        "health"
    };
    tasks.spawn_on(probes, &threads.probes);

    let base_models = SharedBaseModels::default();
    base_models.store(Arc::new(base_models::fixed(&args.bbr.bbr_adapter)));
    let listed = follow(&args, client.filter(|_| reads_config_maps), &metrics, &base_models, &mut tasks);
    let ready = readiness.clone();
    tasks.spawn(async move {
        ready.after("the ConfigMaps of adapters: the API server has not told them yet", listed).await;
        std::future::pending().await
    });

    let limits = Limits {
        max_body: args.max_request_body,
        refuse_longer: false,
        body_timeout: args.body_timeout,
        subset_filter: false,
        endpoint_scores: false,
        budget: BodyBudget::new(args.max_held_bytes),
    };
    let limits = Arc::new(limits);
    let traffic = metrics.traffic.clone();
    let bbr = Bbr { fields, base_models, requests, traffic, limits: limits.clone() };
    let health = Routes::new(health::service(readiness.subscribe(), closing.clone()));
    let service = Service::of(Answers::Bbr(Arc::new(bbr)), health);
    let tls = certificate(&args, &mut tasks)?;
    let traffic = threads.traffic.clone();
    let gateways = Gateways { listener: gateways, limits, readiness, closing, tls, traffic };
    gateways.serve(service, &args, signals, tasks, "routing by bodies").await
}

/// A client for the cluster. Outside of pods there need be none, unless it is `needed`: flags may name the adapters.
async fn client(wanted: bool, needed: bool) -> Result<Option<Client>> {
    if !wanted && !needed {
        return Ok(None);
    }
    match api_config::find().await {
        Ok(config) => Ok(Some(api::client(config).context("cannot make a client for the cluster")?)),
        Err(error @ api_config::NoCluster::Elsewhere(_)) if !needed => {
            tracing::warn!(%error, "there is no cluster: no ConfigMaps of adapters are read");
            Ok(None)
        }
        Err(error) => Err(error).context("there is no cluster to follow"),
    }
}

/// Follows the ConfigMaps with `client`, if there is one. Comes true when they are known.
fn follow(
    args: &ServeArgs,
    client: Option<Client>,
    metrics: &Arc<Metrics>,
    base_models: &SharedBaseModels,
    tasks: &mut Tasks,
) -> watch::Receiver<bool> {
    let (listed, is_listed) = watch::channel(client.is_none());
    let (metrics, base_models) = (metrics.clone(), base_models.clone());
    let fixed = args.bbr.bbr_adapter.clone();
    let given = args.pool_namespace.clone().filter(|namespace| !namespace.is_empty());
    tasks.spawn(async move {
        let Some(client) = client else {
            listed.closed().await;
            return std::future::pending().await;
        };
        let namespace = given.unwrap_or_else(|| client.default_namespace().to_owned());
        base_models::run(client, &namespace, &fixed, &metrics, base_models, listed).await;
        "following the ConfigMaps"
    });
    is_listed
}
