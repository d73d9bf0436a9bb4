//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::engine::{EngineConfig, Preset};
use crate::server::{Drain, FaultConfig, MetricsConfig, MetricsDialect, ServerConfig};

/// Model servers without a model.
#[derive(Debug, Parser)]
#[command(name = "sim", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve OpenAI's chat and text completions as vLLM does, with made-up words at the pace of an engine model
    ///
    /// Every response names its server in the headers x-sim-pod and x-sim-port. Speed and failures can be changed at run
    /// time: POST /admin/config {"speed": 2, "fail_rate": 0.1, "fail_status": 500, "hang_rate": 0, "drop_rate": 0}.
    Serve(Box<ServeArgs>),
}

/// Arguments of `sim serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on; without it all there are, of IPv6 and of IPv4
    #[arg(long)]
    pub bind: Option<IpAddr>,
    /// Port of the first server; 0 picks free ones
    #[arg(long, default_value_t = 8000)]
    pub port: u16,
    /// Servers in this process, on consecutive ports, each with an engine of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub replicas: u16,
    /// Name of the server, in x-sim-pod and system_fingerprint; several servers get -0, -1, … appended
    #[arg(long, env = "POD_NAME", default_value = "sim")]
    pub name: String,
    /// Write the servers' addresses to this file, for a picker with file-discovery
    #[arg(long, value_name = "FILE")]
    pub write_endpoints: Option<PathBuf>,
    /// Name of the base model
    #[arg(long, default_value = "sim-model")]
    pub model: String,
    /// LoRA adapters, asked for by name as models
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    pub lora: Vec<String>,
    /// Size and speed of the engine; the flags of the engine below change single numbers of it
    #[arg(long, value_enum, default_value_t = Preset::Fast)]
    pub preset: Preset,
    /// How many times as fast as the preset the engine runs
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
    /// Mean length in tokens of answers that nothing cuts short
    #[arg(long, value_name = "TOKENS", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..))]
    pub output_tokens: u32,
    /// Engine: LoRA adapters that run at the same time
    #[arg(long)]
    pub max_loras: Option<u32>,
    /// Engine: sequences that run at the same time
    #[arg(long)]
    pub max_num_seqs: Option<u32>,
    /// Engine: tokens that one step computes
    #[arg(long)]
    pub max_num_batched_tokens: Option<u32>,
    /// Engine: tokens of prompt and answer together
    #[arg(long)]
    pub max_model_len: Option<u32>,
    /// Engine: KV blocks
    #[arg(long)]
    pub kv_blocks: Option<u32>,
    /// Engine: tokens of a KV block
    #[arg(long)]
    pub block_size: Option<u32>,
    /// Engine: don't keep blocks of earlier prompts
    #[arg(long)]
    pub no_prefix_caching: bool,
    /// Engine: every step is longer or shorter by up to this share
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub jitter: f64,
    /// Seed of jitter and failures
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Answer 503 for this long after the start, /health included (2s, 500ms)
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub startup_delay: Duration,
    /// Share of requests to answer with --fail-status
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub fail_rate: f64,
    /// Status of failing requests
    #[arg(long, default_value_t = 500)]
    pub fail_status: u16,
    /// Share of requests never to answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub hang_rate: f64,
    /// Share of requests to cut off in the middle of the answer
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub drop_rate: f64,
    /// Whose metric names /metrics uses
    #[arg(long, value_enum, default_value_t = MetricsDialect::Vllm)]
    pub engine: MetricsDialect,
    /// Leave the TYPE lines of /metrics out
    #[arg(long)]
    pub untyped_metrics: bool,
    /// Fill /metrics up to this size with series of no interest; a real vLLM has about 60000
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub metrics_padding: usize,
    /// After SIGTERM, go on taking requests for this long, with /health at 503
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub drain_grace: Duration,
    /// After SIGTERM, end at the latest after this long
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = duration)]
    pub drain_timeout: Duration,
}

impl ServeArgs {
    /// The servers, in the order of their ports.
    pub fn servers(&self) -> Vec<ServerConfig> {
        (0..self.replicas).map(|index| self.server(index)).collect()
    }

    /// How they end on SIGTERM.
    pub fn drain(&self) -> Drain {
        Drain { grace: self.drain_grace, timeout: self.drain_timeout }
    }

    fn server(&self, index: u16) -> ServerConfig {
        ServerConfig {
            name: if self.replicas == 1 { self.name.clone() } else { format!("{}-{index}", self.name) },
            model: self.model.clone(),
            loras: self.lora.clone(),
            engine: self.engine_config(),
            speed: self.speed,
            output_tokens: self.output_tokens,
            startup_delay: self.startup_delay,
            faults: FaultConfig {
                fail_rate: self.fail_rate,
                fail_status: self.fail_status,
                hang_rate: self.hang_rate,
                drop_rate: self.drop_rate,
            },
            metrics: MetricsConfig {
                dialect: self.engine,
                untyped: self.untyped_metrics,
                padding: self.metrics_padding,
            },
            seed: self.seed.wrapping_add(u64::from(index)),
        }
    }

    fn engine_config(&self) -> EngineConfig {
        let mut engine = self.preset.config();
        let numbers = [
            (&mut engine.max_loras, self.max_loras),
            (&mut engine.max_num_seqs, self.max_num_seqs),
            (&mut engine.max_batched_tokens, self.max_num_batched_tokens),
            (&mut engine.max_model_len, self.max_model_len),
            (&mut engine.num_blocks, self.kv_blocks),
            (&mut engine.block_size, self.block_size),
        ];
        for (number, flag) in numbers {
            *number = flag.unwrap_or(*number);
        }
        engine.prefix_caching = !self.no_prefix_caching;
        engine.rates.jitter = self.jitter;
        engine
    }
}

/// Parses `2s`, `1.5s`, `500ms`, `1m` or a plain number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => text.split_at(at),
        None => (text, "s"),
    };
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("unknown unit {unit:?}: write 2s, 500ms or 1m")),
    };
    let number: f64 =
        number.parse().map_err(|_| format!("{number:?} is no number: write 2s, 500ms or 1m"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
