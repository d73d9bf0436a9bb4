//! Start and end of a model server.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::serve::ListenerExt;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::admin::validate_speed;
use super::app::{App, Tuning};
use super::config::ServerConfig;
use super::driver;
use super::faults::Lots;
use super::identity::Identity;
use super::metrics::Recorder;
use super::models::{Models, unix_time};
use super::routes::router;
use crate::engine::{ConfigError, Engine};

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The engine's configuration.
    #[error("engine: {0}")]
    Engine(#[from] ConfigError),
    /// A field of the server's.
    #[error("{0}")]
    Config(String),
    /// The listener has no address.
    #[error("listener: {0}")]
    Listener(#[from] io::Error),
}

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// It goes on serving new requests for this long, while `/health` already says 503: whoever routes here needs time
    /// to notice.
    pub grace: Duration,
    /// After this long in all, running requests are cut off.
    pub timeout: Duration,
}

/// A model server that runs. Dropped, it takes no new connections and computes nothing more.
#[derive(Debug)]
pub struct ModelServer {
    address: SocketAddr,
    name: String,
    draining: watch::Sender<bool>,
    stop: CancellationToken,
    server: AbortOnDropHandle<io::Result<()>>,
    _engine: AbortOnDropHandle<()>,
}

impl ModelServer {
    /// Starts serving on `listener`; needs a tokio runtime.
    ///
    /// # Errors
    /// When the configuration makes no server; the message names the field.
    pub fn start(config: ServerConfig, listener: TcpListener) -> Result<Self, StartError> {
        let address = listener.local_addr()?;
        config.faults.validate().map_err(StartError::Config)?;
        validate_speed(config.speed).map_err(StartError::Config)?;
        let identity = Identity::new(&config.name, address.port())
            .ok_or_else(|| StartError::Config(format!("name {:?} can't stand in a header", config.name)))?;
        let loras: Arc<[String]> = config.loras.as_slice().into();
        let mut engine = config.engine.clone();
        engine.rates = engine.rates.faster(config.speed);
        let engine = Engine::new(engine, config.seed)?;
        let (handle, drive) = driver::engine(engine, Recorder::new(loras.clone()));
        let (draining, is_draining) = watch::channel(false);
        let app = Arc::new(App {
            identity,
            models: Models::new(&config.model, loras),
            engine: handle,
            lots: Lots::new(config.seed),
            tuning: RwLock::new(Tuning { speed: config.speed, faults: config.faults }),
            ready_at: Instant::now() + config.startup_delay,
            started: unix_time().as_secs_f64(),
            draining: is_draining,
            config,
        });
        let name = app.identity.name.clone();
        let stop = CancellationToken::new();
        let listener = listener.tap_io(|stream| {
            // A stream of small chunks must not wait for acknowledgements. Failure only makes it slower.
            let _ = stream.set_nodelay(true);
        });
        let serve = axum::serve(listener, router(app)).with_graceful_shutdown(stop.clone().cancelled_owned());
        let server: JoinHandle<io::Result<()>> = tokio::spawn(serve.into_future());
        Ok(Self {
            address,
            name,
            draining,
            stop,
            server: AbortOnDropHandle::new(server),
            _engine: AbortOnDropHandle::new(tokio::spawn(drive)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Ends gracefully: `/health` turns 503 at once; after the grace the listener closes, and running requests may
    /// finish. False when some had to be cut off.
    pub async fn drain(self, drain: Drain) -> bool {
        self.draining.send_replace(true);
        let grace = drain.grace.min(drain.timeout);
        sleep(grace).await;
        self.stop.cancel();
        timeout(drain.timeout - grace, self.server).await.is_ok()
    }
}
