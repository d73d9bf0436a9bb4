//! Metrics endpoints of many model servers, answered from one page that is rendered once: rendering it for every scrape
//! would measure the renderer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::ports::{address, free};
use super::process::ending_with_us;
use e2e::load::Client;
use e2e::until;

/// Bytes of a page, if nothing else is asked for.
pub const BYTES: usize = 40_000;
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest request that is understood, in bytes.
const REQUEST: usize = 4 << 10;

/// The page of a simulated vLLM, of at least `bytes`.
///
/// # Errors
/// When the simulator does not answer.
pub async fn of_vllm(sim: &std::path::Path, bytes: usize) -> Result<String> {
    let [port] = free()?;
    let _server = ending_with_us(sim)?
        .args(["serve", "--bind", "127.0.0.1", "--port", &port.to_string()])
        .args(["--metrics-padding", &bytes.to_string()])
        .spawn()
        .context("starting a model server")?;
    let (client, url) = (Client::new(), format!("http://{}/metrics", address(port)));
    until("the page of a model server", PATIENCE, || client.get(&url)).await
}

/// Answers every request with one page, until it is dropped.
#[derive(Debug)]
pub struct Pages {
    answered: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

impl Pages {
    /// Answers whoever connects to one of `listeners`.
    pub fn serve(listeners: Vec<TcpListener>, page: &str) -> Self {
        // As vLLM's uvicorn does: the head in a packet of its own.
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\ncontent-length: {}\r\n\r\n",
            page.len()
        );
        let answer: Arc<[Vec<u8>; 2]> = Arc::new([head.into_bytes(), page.as_bytes().to_vec()]);
        let answered = Arc::<AtomicU64>::default();
        let mut tasks = JoinSet::new();
        for listener in listeners {
            let (answer, answered) = (answer.clone(), answered.clone());
            tasks.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    while connections.try_join_next().is_some() {}
                    let (answer, answered) = (answer.clone(), answered.clone());
                    connections.spawn(async move {
                        // A connection that breaks off is the picker's right.
                        let _ = answer_all(stream, &answer, &answered).await;
                    });
                }
            });
        }
        Self { answered, _tasks: tasks }
    }

    /// Pages that were sent so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

async fn answer_all(
    mut stream: TcpStream,
    answer: &[Vec<u8>; 2],
    answered: &AtomicU64,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::with_capacity(REQUEST);
    while stream.read_buf(&mut request).await? > 0 {
        if request.ends_with(b"\r\n\r\n") {
            request.clear();
            for part in answer {
                stream.write_all(part).await?;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        } else if request.len() >= REQUEST {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_request_of_a_connection_is_answered_with_the_page() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages = Pages::serve(vec![listener], "a 1\n");
        let client = Client::new();
        for _ in 0..2 {
            assert_eq!(client.get(&format!("http://{address}/metrics")).await.unwrap(), "a 1\n");
        }
        assert_eq!(pages.answered(), 2);
    }
}
