//! Serving gateways: from the first connection to the last stream after a signal.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use picker_serve::Server;
use picker_serve::memory::Meter;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::tasks::Tasks;
use crate::args::ServeArgs;
use crate::connection_budget::ConnectionBudget;
use crate::drain::Signals;
use crate::extproc::Service;
use crate::pool::Limits;
use crate::ready::Readiness;

/// What gateways connect to, and what says when that ends.
pub(super) struct Gateways {
    pub listener: TcpListener,
    pub limits: Arc<Limits>,
    pub readiness: Readiness,
    pub closing: CancellationToken,
    /// The certificate that they are shown.
    pub tls: Option<tokio_rustls::TlsAcceptor>,
    /// Where streams run.
    pub traffic: Handle,
}

impl Gateways {
    /// Answers gateways with `service`, which the log `says`, until the last stream has ended after a signal, or until a second
    /// signal.
    ///
    /// # Errors
    /// When serving fails, or one of `tasks` ends, which none does.
    pub async fn serve(
        self,
        service: Service,
        args: &ServeArgs,
        mut signals: Signals,
        mut tasks: Tasks,
        says: &str,
    ) -> Result<()> {
        let Self { listener, limits, readiness, closing, tls, traffic } = self;
        let server = Server {
            tls,
            plaintext: args.client_ca.is_none(),
            stream_tasks: args.stream_tasks,
            memory: Some(Arc::new(ConnectionBudget::new(limits, args.max_held_bytes))),
            ..Server::default()
        };
        let each = move |meter: &Meter| service.of_connection(meter);
        let server = AbortOnDropHandle::new(traffic.spawn(server.run_each(listener, each, closing.clone())));
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            grpc = args.grpc_port,
            health = args.grpc_health_port,
            metrics = args.metrics_port,
            "{says}"
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
}
