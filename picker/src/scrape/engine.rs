//! What each engine calls its figures, and what its figures mean.
//!
//! Names: Gateway API Inference Extension, proposal 003 (model server protocol); Triton core: its metrics
//! page. An engine is recognised by what a server says.

use std::sync::Arc;

use picker_core::view::Signals;

use super::scan::Labels;

mod lora;

/// Engines whose metrics are known, in the order of preference when a server speaks for several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// TensorRT-LLM's own server, `trtllm-serve`.
    TrtllmServe,
    /// Triton with its TensorRT-LLM backend.
    TritonTrtllm,
    /// Triton with other backends.
    Triton,
}

const ENGINES: usize = 5;

/// Labels by which pods name their engine; the second is the older name.
const ENGINE_LABELS: [&str; 2] = ["llm-d.ai/engine-type", "inference.networking.k8s.io/engine-type"];

impl Engine {
    /// The engine that the labels of a pod name.
    pub fn of(labels: &picker_core::endpoint::Labels) -> Option<Self> {
        match ENGINE_LABELS.iter().find_map(|name| labels.get(*name))?.as_str() {
            "vllm" => Some(Self::Vllm),
            "sglang" => Some(Self::Sglang),
            "trtllm-serve" => Some(Self::TrtllmServe),
            "triton-tensorrt-llm" => Some(Self::TritonTrtllm),
            "triton" => Some(Self::Triton),
            _ => None,
        }
    }
}

/// A figure of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    Waiting,
    Running,
    KvUsage,
    BlockSize,
    NumBlocks,
    /// Block size and count as labels of these names.
    CacheConfig(&'static str, &'static str),
    Lora,
    /// Waiting and running by label `request_type`.
    TritonRequests,
    /// Usage, block size and count by label `kv_cache_block_type`.
    TritonBlocks,
}

/// What the series called `name` tells, if it is one of those wanted.
pub(super) fn series(name: &[u8]) -> Option<(Engine, Figure)> {
    use Engine::{Sglang, Triton, TritonTrtllm, TrtllmServe, Vllm};
    use Figure::{
        BlockSize, CacheConfig, KvUsage, Lora, NumBlocks, Running, TritonBlocks, TritonRequests, Waiting,
    };
    Some(match name {
        b"vllm:num_requests_waiting" => (Vllm, Waiting),
        b"vllm:num_requests_running" => (Vllm, Running),
        // The second is the name before vLLM 0.10.
        b"vllm:kv_cache_usage_perc" | b"vllm:gpu_cache_usage_perc" => (Vllm, KvUsage),
        b"vllm:cache_config_info" => (Vllm, CacheConfig("block_size", "num_gpu_blocks")),
        b"vllm:lora_requests_info" => (Vllm, Lora),
        b"sglang:num_queue_reqs" => (Sglang, Waiting),
        b"sglang:num_running_reqs" => (Sglang, Running),
        b"sglang:token_usage" => (Sglang, KvUsage),
        b"sglang:cache_config_info" => (Sglang, CacheConfig("page_size", "num_pages")),
        b"trtllm_num_requests_waiting" => (TrtllmServe, Waiting),
        b"trtllm_num_requests_running" => (TrtllmServe, Running),
        b"trtllm_kv_cache_utilization" => (TrtllmServe, KvUsage),
        b"trtllm_kv_cache_tokens_per_block" => (TrtllmServe, BlockSize),
        b"trtllm_kv_cache_max_blocks" => (TrtllmServe, NumBlocks),
        b"nv_trt_llm_request_metrics" => (TritonTrtllm, TritonRequests),
        b"nv_trt_llm_kv_cache_block_metrics" => (TritonTrtllm, TritonBlocks),
        // Triton's nv_inference_exec_count is a counter, so it doesn't tell what is running.
        b"nv_inference_pending_request_count" => (Triton, Waiting),
        _ => return None,
    })
}

/// One line of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample<'a> {
    pub labels: Labels<'a>,
    pub value: f64,
}

/// What was found so far, by engine.
#[derive(Debug, Default)]
pub(super) struct Found([Figures; ENGINES]);

impl Found {
    pub fn add(&mut self, (engine, figure): (Engine, Figure), sample: &Sample<'_>) {
        self.0[engine as usize].add(figure, sample);
    }

    /// The signals of the hinted engine if it said anything, else of the first that did.
    pub fn signals(self, hint: Option<Engine>) -> Signals {
        let Self(mut engines) = self;
        if let Some(hint) = hint {
            engines[..=hint as usize].rotate_right(1);
        }
        engines.into_iter().map(Figures::signals).find(|s| *s != Signals::default()).unwrap_or_default()
    }
}

/// Figures of one engine. A server with several ranks has a series for each: requests and blocks add up,
/// usage is the mean.
#[derive(Debug, Default)]
struct Figures {
    waiting: Option<f64>,
    running: Option<f64>,
    usage: Mean,
    block_size: Option<u32>,
    num_blocks: Option<u32>,
    lora: lora::Newest,
}

#[derive(Debug, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

impl Figures {
    fn add(&mut self, figure: Figure, sample: &Sample<'_>) {
        let Sample { labels, value } = sample;
        // Ranks of one tensor-parallel or pipeline group say the same thing again.
        let repeats = |name| labels.get(name).is_some_and(|rank| rank != "0" && !rank.is_empty());
        if !value.is_finite() || *value < 0.0 || repeats("tp_rank") || repeats("pp_rank") {
            return;
        }
        match figure {
            Figure::Waiting => *self.waiting.get_or_insert(0.0) += value,
            Figure::Running => *self.running.get_or_insert(0.0) += value,
            Figure::KvUsage => self.usage.add(*value),
            Figure::BlockSize => self.block_size = positive(*value),
            Figure::NumBlocks => self.add_blocks(positive(*value)),
            Figure::CacheConfig(size, count) => {
                let number = |name| labels.get(name).and_then(|v| v.parse().ok()).and_then(positive);
                self.block_size = number(size).or(self.block_size);
                self.add_blocks(number(count));
            }
            Figure::Lora => lora::newest(&mut self.lora, labels, *value),
            Figure::TritonRequests => match labels.get("request_type").as_deref() {
                Some("waiting") => *self.waiting.get_or_insert(0.0) += value,
                Some("scheduled") => *self.running.get_or_insert(0.0) += value,
                _ => {}
            },
            Figure::TritonBlocks => match labels.get("kv_cache_block_type").as_deref() {
                Some("fraction") => self.usage.add(*value),
                Some("tokens_per") => self.block_size = positive(*value),
                Some("max") => self.add_blocks(positive(*value)),
                _ => {}
            },
        }
    }

    fn add_blocks(&mut self, blocks: Option<u32>) {
        if let Some(blocks) = blocks {
            self.num_blocks = Some(self.num_blocks.unwrap_or(0).saturating_add(blocks));
        }
    }

    fn signals(self) -> Signals {
        Signals {
            waiting: self.waiting.map(finite),
            running: self.running.map(finite),
            kv_usage: (self.usage.count > 0.0).then(|| (self.usage.sum / self.usage.count).min(1.0) as f32),
            block_size: self.block_size,
            num_blocks: self.num_blocks,
            lora: self.lora.and_then(|(_, state)| state).map(Arc::new),
            others: Vec::new(),
        }
    }
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }
}

/// Large beyond reason must not become infinite, which no scorer could compare.
fn finite(value: f64) -> f32 {
    value.min(f64::from(f32::MAX)) as f32
}

fn positive(value: f64) -> Option<u32> {
    (value >= 1.0 && value <= f64::from(u32::MAX)).then_some(value as u32)
}
