//! `/metrics`, in the names of several engines.

mod histogram;
mod page;
mod recorder;
mod sglang;
mod text;
mod triton;
mod trtllm;
mod vllm;

pub(super) use self::page::{page, part};
pub(super) use self::recorder::{Recorder, Snapshot};

/// Whose metric names a server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MetricsDialect {
    /// vLLM (`vllm:...`).
    Vllm,
    /// SGLang (`sglang:...`).
    Sglang,
    /// TensorRT-LLM's own server, trtllm-serve (`trtllm_...`).
    Trtllm,
    /// Triton with its TensorRT-LLM backend (`nv_trt_llm_...`).
    Triton,
}
