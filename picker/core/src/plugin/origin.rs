//! The endpoint picker that a plugin type and its rule come from.

/// Whose configurations name a plugin type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The Gateway API Inference Extension and llm-d Router.
    Gie,
    /// llm-d Router.
    LlmD,
    /// openFuyao's Hermes-router.
    Hermes,
    /// No other endpoint picker than this one.
    Waypost,
}

impl Origin {
    /// The name that documentation uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gie => "GIE and llm-d Router",
            Self::LlmD => "llm-d Router",
            Self::Hermes => "Hermes-router",
            Self::Waypost => "Waypost alone",
        }
    }
}
