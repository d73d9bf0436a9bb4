//! Counting the tokens of prompts: by an estimate, images, audio and video included, or with a render server.

mod dimensions;
pub(super) mod estimate;
pub(super) mod image;
pub(super) mod rendered;
pub(super) mod renders;
pub(super) mod video;
pub(super) mod vllm;
