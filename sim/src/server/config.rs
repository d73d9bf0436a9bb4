//! What a model server is told at its start.

use std::time::Duration;

use super::{FaultConfig, MetricsDialect};
use crate::engine::EngineConfig;

/// One model server.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Who serves: header `x-sim-pod` and `system_fingerprint` of every answer.
    pub name: String,
    /// The base model's name.
    pub model: String,
    /// LoRA adapters, asked for by name as if they were models.
    pub loras: Vec<String>,
    /// The engine behind it.
    pub engine: EngineConfig,
    /// How many times as fast as the engine's rates it runs.
    pub speed: f64,
    /// Mean length in tokens of an answer that no limit cuts short; lengths spread evenly over half to one and a half
    /// times it.
    pub output_tokens: u32,
    /// Everything but `/version`, `/ping` and `/admin/config` answers 503 for this long.
    pub startup_delay: Duration,
    /// What goes wrong on purpose.
    pub faults: FaultConfig,
    /// How `/metrics` looks.
    pub metrics: MetricsConfig,
    /// Seed of failures and step jitter.
    pub seed: u64,
}

/// How `/metrics` looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whose names.
    pub dialect: MetricsDialect,
    /// Leave the `# TYPE` lines out.
    pub untyped: bool,
    /// Add series of no interest until the page has at least this many bytes.
    pub padding: usize,
}

impl ServerConfig {
    /// A server of one engine at its own speed, with nothing going wrong.
    pub fn new(name: &str, model: &str, engine: EngineConfig) -> Self {
        Self {
            name: name.to_owned(),
            model: model.to_owned(),
            loras: Vec::new(),
            engine,
            speed: 1.0,
            output_tokens: 128,
            startup_delay: Duration::ZERO,
            faults: FaultConfig::default(),
            metrics: MetricsConfig { dialect: MetricsDialect::Vllm, untyped: false, padding: 0 },
            seed: 0,
        }
    }
}
