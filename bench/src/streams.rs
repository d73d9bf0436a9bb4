//! `cargo xtask bench streams`: thousands of streamed answers at once, on one connection.
//!
//! It is what `h2` takes for an attack when it is not told otherwise: small frames that come faster than they are read.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use bytes::Bytes;
use clap::Args;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use h2::SendStream;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::bar::{Bar, Bars, Spread};
use super::client::{Answers, Client, Decision};
use super::config;
use super::exchange::Exchange;
use super::markdown::Markdown;
use super::options::write_json;
use super::programs::WAYPOST;
use super::server::{Alone, Server};
use super::test_bed::TestBed;
use e2e::Progress;

/// Bytes of a chunk: a token in its event.
const CHUNK: usize = 60;
/// Memory that the picker may need at most, in MB.
const MEMORY: f64 = 400.0;
/// How long each step of a stream may take, before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many streams, and how long.
#[derive(Args, Clone, Debug)]
pub struct Streams {
    /// Exchanges that are open at once
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub streams: u32,
    /// Chunks of 60 bytes in the answer of each, sent to all streams in turn
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub chunks: u32,
    /// Over TLS, with one cipher suite for all
    #[arg(long)]
    pub tls: bool,
    /// Write the figures as JSON to this file too
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

impl Streams {
    /// Measures, and prints a table.
    ///
    /// # Errors
    /// When a server can't be built or started, or the picker loses a stream or takes too much memory.
    pub async fn run(&self, progress: &Progress) -> Result<()> {
        let test_bed = TestBed::start(self.tls, progress).await?;
        let servers =
            [test_bed.picker(WAYPOST, &config::whole(config::QUEUE)).await?, test_bed.yardstick().await?];
        let mut report =
            Report { streams: self.streams, chunks: self.chunks, tls: self.tls, seen: Vec::new() };
        for server in &servers {
            let _alone = Alone::only(server, &servers)?;
            let seen =
                progress.step(format!("{} streams, {}", self.streams, server.name()), self.see(server));
            report.seen.push((server.name().to_owned(), seen.await?));
        }
        println!("\n{report}");
        write_json(self.json.as_deref(), &report.json())?;
        report.bars().hold()
    }

    async fn see(&self, server: &Server) -> Result<Seen> {
        let answer = vec![event(); self.chunks as usize];
        let exchange = Exchange::new(CHAT.as_bytes(), &answer, "text/event-stream");
        let client = server.connect().await?;
        let idle = server.usage().resident()?;
        let mut lost = Vec::new();
        let open = opened(&client, &exchange, self.streams, &mut lost).await?;
        let resident = server.usage().resident()?;
        let (before, began) = (server.usage().cpu()?, Instant::now());
        let complete = streamed(open, &exchange, &mut lost).await;
        let (cpu, took) = (server.usage().cpu()? - before, began.elapsed());
        if let Some(why) = client.ended() {
            // Says more than what each of its streams was told.
            lost.insert(0, format!("the connection has ended: {why}"));
        }
        Ok(Seen {
            complete,
            lost,
            idle,
            resident,
            most: server.usage().most_resident()?,
            cpu: cpu.as_secs_f64() * 1e6 / (f64::from(self.streams) * f64::from(self.chunks)),
            rate: complete as f64 * f64::from(self.chunks) / took.as_secs_f64(),
        })
    }
}

/// A short chat, with few bytes.
const CHAT: &str = r#"{"model":"sim-model","stream":true,"messages":[{"role":"user","content":"Count as far as you can."}]}"#;

/// An event as long as a chunk.
fn event() -> Vec<u8> {
    let (before, after) = (r#"data: {"choices":[{"delta":{"content":""#, "\"}}]}\n\n");
    format!("{before}{}{after}", "w".repeat(CHUNK - before.len() - after.len())).into_bytes()
}

/// Both directions of every stream.
type Halves = Vec<(SendStream<Bytes>, Answers)>;

/// Opens all, and waits until all wait for the body of their response.
async fn opened(client: &Client, exchange: &Exchange, count: u32, lost: &mut Vec<String>) -> Result<Halves> {
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let (client, exchange) = (client.clone(), exchange.clone());
        opening.spawn(async move {
            let opened = async {
                let (Decision { .. }, mut open) = client.decide(&exchange).await?;
                open.respond(&exchange).await?;
                Ok(open.split())
            };
            in_time("opened", opened).await
        });
    }
    let mut halves = Vec::with_capacity(count as usize);
    while let Some(opened) = opening.join_next().await {
        match opened? {
            Ok(open) => halves.push(open),
            Err(error) => lost.push(format!("{error:#}")),
        }
    }
    Ok(halves)
}

/// Sends every chunk to all in turn, as fast as the connection takes them, and reads what comes back meanwhile. Gives
/// back how many ended well.
async fn streamed(open: Halves, exchange: &Exchange, lost: &mut Vec<String>) -> usize {
    let (mut senders, answers): (Vec<_>, Vec<_>) = open.into_iter().unzip();
    let mut reading = JoinSet::new();
    for (at, mut answers) in answers.into_iter().enumerate() {
        let length = exchange.answer;
        reading.spawn(async move {
            let read = in_time("read", answers.echo(length)).await;
            (at, answers, read)
        });
    }
    for piece in &exchange.pieces {
        for sender in &mut senders {
            // That of a stream that was reset; reading tells it.
            let _ = sender.send_data(piece.clone(), false);
        }
        tokio::task::yield_now().await;
    }
    let mut ending = FuturesUnordered::new();
    while let Some(read) = reading.join_next().await {
        match read {
            Ok((at, mut answers, Ok(()))) => {
                let _ = senders[at].send_data(Bytes::new(), true);
                ending.push(async move { in_time("ended", answers.end()).await });
            }
            Ok((.., Err(error))) => lost.push(format!("{error:#}")),
            Err(error) => lost.push(error.to_string()),
        }
    }
    let mut complete = 0;
    while let Some(ended) = ending.next().await {
        match ended {
            Ok(()) => complete += 1,
            Err(error) => lost.push(format!("{error:#}")),
        }
    }
    complete
}

/// What a step of a stream comes to, within [`PATIENCE`].
async fn in_time<T>(done: &str, step: impl Future<Output = Result<T>>) -> Result<T> {
    let step = tokio::time::timeout(PATIENCE, step).await;
    step.unwrap_or_else(|_| Err(anyhow!("not {done} within {PATIENCE:?}")))
}

/// What was seen of a server.
#[derive(Clone, Debug)]
struct Seen {
    /// Streams that ended well.
    complete: usize,
    /// Why the others did not.
    lost: Vec<String>,
    /// Memory before, in KiB.
    idle: u64,
    /// Memory when all were open, and nothing flowed yet.
    resident: u64,
    /// The most memory.
    most: u64,
    /// CPU time for each chunk, in microseconds.
    cpu: f64,
    /// Chunks a second.
    rate: f64,
}

#[derive(Clone, Debug)]
struct Report {
    streams: u32,
    chunks: u32,
    tls: bool,
    seen: Vec<(String, Seen)>,
}

/// KiB in MB.
fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1024.0 / 1e6
}

impl Report {
    fn of(&self, server: &str) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(move |(name, _)| name == server).map(|(_, seen)| seen)
    }

    fn bars(&self) -> Bars {
        let lost = Spread::of(self.of(WAYPOST).map(|seen| seen.lost.len() as f64));
        let most = Spread::of(self.of(WAYPOST).map(|seen| megabytes(seen.most)));
        Bars(vec![
            Bar::at_most(0.0, "streams that the picker lost".to_owned(), lost),
            Bar::at_most(MEMORY, "the most memory of the picker, MB".to_owned(), most),
        ])
    }

    fn json(&self) -> Value {
        let servers = self.seen.iter().map(|(name, seen)| {
            json!({
                "server": name, "complete": seen.complete, "lost": seen.lost.len(), "firstLost": seen.lost.first(),
                "idleKiB": seen.idle, "allOpenKiB": seen.resident, "mostKiB": seen.most,
                "cpuMicrosPerChunk": seen.cpu, "chunksPerSecond": seen.rate,
            })
        });
        json!({
            "bench": "streams", "streams": self.streams, "chunks": self.chunks, "chunkBytes": CHUNK, "tls": self.tls,
            "servers": servers.collect::<Vec<_>>(),
            "bars": self.bars().json(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "TLS" } else { "plaintext" };
        let Self { streams, chunks, .. } = self;
        writeln!(
            f,
            "{streams} streams open at once on one connection, {tls}, {chunks} chunks of {CHUNK} bytes each.\n"
        )?;
        let mut table = Markdown::new([
            "server",
            "ended well",
            "lost",
            "MB before",
            "MB with all open",
            "MB at most",
            "CPU µs a chunk",
            "chunks a second",
        ]);
        for (name, seen) in &self.seen {
            let memory = |kib| format!("{:.0}", megabytes(kib));
            table.row([
                name.clone(),
                seen.complete.to_string(),
                seen.lost.len().to_string(),
                memory(seen.idle),
                memory(seen.resident),
                memory(seen.most),
                format!("{:.2}", seen.cpu),
                format!("{:.0}", seen.rate),
            ]);
        }
        writeln!(f, "{table}")?;
        for (name, seen) in &self.seen {
            if let Some(first) = seen.lost.first() {
                writeln!(f, "{name} lost streams; the first: {first}")?;
            }
        }
        write!(f, "{}", self.bars())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_chunk_and_json() {
        let event = String::from_utf8(event()).unwrap();
        assert_eq!(event.len(), CHUNK);
        let data: Value = serde_json::from_str(event.strip_prefix("data: ").unwrap().trim_end()).unwrap();
        assert_eq!(data["choices"][0]["delta"]["content"].as_str().unwrap().len(), 14);
        assert!(serde_json::from_str::<Value>(CHAT).is_ok());
    }

    #[test]
    fn what_must_hold_is_of_the_picker() {
        let seen = |lost: &[&str], most| Seen {
            complete: 3,
            lost: lost.iter().map(|error| (*error).to_owned()).collect(),
            idle: 1000,
            resident: 2000,
            most,
            cpu: 1.0,
            rate: 2.0,
        };
        let seen = vec![(WAYPOST.to_owned(), seen(&[], 400_000)), ("other".to_owned(), seen(&["reset"], 1))];
        let report = Report { streams: 3, chunks: 2, tls: false, seen };
        let holds: Vec<bool> = report.bars().0.iter().map(Bar::holds).collect();
        assert_eq!(holds, [true, false], "400,000 KiB are more than 400 MB");
        assert!(report.to_string().contains("lost streams; the first: reset"), "{report}");
    }
}
