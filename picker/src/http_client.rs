//! The client that sends what preparers ask of others ([`picker_core::http`]): HTTP/1.1 in plaintext, to the servers that a
//! strategy names and nowhere else. Redirects are not followed.
//!
//! A few connections to each server are kept. What an answer takes in memory counts in the budget of bodies.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use picker_core::fact::Finding;
use picker_core::http::{HttpClient, Post, PostError, Server};
use tokio::time::Instant;

use crate::pool::Limits;

mod connection;
mod pieces;
mod reader;
#[cfg(test)]
mod tests;

use connection::Connection;
use reader::Reader;

/// The most connections to a server that are kept while nobody uses them, the most servers of which there are any, and for
/// how long: servers close theirs after 5 seconds at the earliest (uvicorn).
const IDLE_CONNECTIONS: usize = 16;
const SERVERS: usize = 64;
const IDLE: Duration = Duration::from_secs(4);

/// A client. Clones share its connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    limits: Arc<Limits>,
    idle: Mutex<BTreeMap<String, Vec<(Instant, Connection)>>>,
}

impl Client {
    /// A client whose answers count in the budget of `limits`.
    pub fn new(limits: Arc<Limits>) -> Self {
        Self(Arc::new(Inner { limits, idle: Mutex::default() }))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn post(&self, post: Post) -> BoxFuture<'static, Result<Finding, PostError>> {
        let inner = self.0.clone();
        async move { inner.post(post).await }.boxed()
    }
}

impl Inner {
    async fn post(&self, post: Post) -> Result<Finding, PostError> {
        let Post { server, path, body, answer } = post;
        let mut reader = Reader::new(&self.limits, answer);
        let request = || connection::request(&server, path, body.clone());
        let kept = match self.take(&server) {
            Some(connection) => connection.exchange(request(), &mut reader).await,
            None => Err(PostError::Connect),
        };
        let kept = match kept {
            // The server has closed it, which is no failure of its own.
            Err(PostError::Connect | PostError::Broken) if reader.is_new() => {
                let connection = Connection::open(&server).await?;
                connection.exchange(request(), &mut reader).await?
            }
            other => other?,
        };
        if let Some(connection) = kept {
            self.keep(&server, connection);
        }
        reader.finish().await
    }

    /// A connection to `server` that was kept, the one that was used last.
    fn take(&self, server: &Server) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.get_mut(&server.authority)?;
        connections.retain(|(since, _)| since.elapsed() < IDLE);
        connections.pop().map(|(_, connection)| connection)
    }

    fn keep(&self, server: &Server, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= SERVERS && !idle.contains_key(&server.authority) {
            idle.clear();
        }
        let connections = idle.entry(server.authority.clone()).or_default();
        if connections.len() < IDLE_CONNECTIONS {
            connections.push((Instant::now(), connection));
        }
    }
}
