//! Counting the tokens of prompts: by an estimate, images, sounds and videos included, or with a render server.

mod dimensions;
pub(super) mod estimate;
pub(super) mod image;
pub(super) mod rendered;
pub(super) mod renders;
pub(super) mod video;
pub(super) mod vllm;
