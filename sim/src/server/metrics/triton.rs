//! The metrics of Triton's TensorRT-LLM backend.

use super::Snapshot;
use super::text::Text;
use crate::server::config::ServerConfig;

const REQUESTS: &str = "nv_trt_llm_request_metrics";
const BLOCKS: &str = "nv_trt_llm_kv_cache_block_metrics";

pub(super) fn write(config: &ServerConfig, snapshot: &Snapshot, text: &mut Text) {
    text.family(REQUESTS, "gauge", "TensorRT-LLM request metrics.");
    let requests = [
        ("waiting", snapshot.waiting),
        ("context", 0),
        ("scheduled", snapshot.running),
        ("max", config.engine.max_num_seqs as usize),
        ("active", snapshot.running + snapshot.waiting),
    ];
    for (kind, value) in requests {
        text.sample(REQUESTS, &[("request_type", kind)], value as f64);
    }
    text.family(BLOCKS, "gauge", "TensorRT-LLM KV cache block metrics.");
    let max = f64::from(config.engine.num_blocks);
    let used = (snapshot.kv_usage * max).round();
    let blocks = [
        ("fraction", snapshot.kv_usage),
        ("tokens_per", f64::from(config.engine.block_size)),
        ("used", used),
        ("free", max - used),
        ("max", max),
    ];
    for (kind, value) in blocks {
        text.sample(BLOCKS, &[("kv_cache_block_type", kind)], value);
    }
}
