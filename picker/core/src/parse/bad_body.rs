//! The error of a request body that is broken.

/// Why a request can't be served by anyone: its body is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request body is broken at byte {offset}: {message}")]
pub struct BadBody {
    /// Position in the body at which it stops being right; its length if something is missing.
    pub offset: usize,
    /// What is wrong there.
    pub message: &'static str,
}
