//! Model servers without a model.
//!
//! - [`engine`]: one replica of an inference engine as a pure step function in virtual time.
//! - [`server`]: the same engine behind HTTP, in real time, answering as vLLM does.
//! - [`tokenizer`] and [`vocabulary`]: text to token ids and back, without a model's files.

pub mod args;
pub mod endpoints;
pub mod engine;
pub mod server;
pub mod tokenizer;
pub mod vocabulary;
