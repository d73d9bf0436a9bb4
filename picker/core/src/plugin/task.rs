//! The task that a plugin type is for, by which the documentation groups the types.

/// What users reach for a plugin type for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// To spread requests by how busy the servers are, and to refuse what is too much.
    Load,
    /// To send prompts where their beginnings are in the KV cache.
    PrefixCache,
    /// To keep what belongs together on one server.
    Sessions,
    /// To choose by the labels of pods and where they run.
    Labels,
    /// To choose by the adapter that a request asks for or by the length of its prompt.
    Requests,
    /// To split encode, prefill and decode between servers.
    Disaggregation,
    /// To route by a rule of one's own, without code.
    OwnRules,
    /// To run profiles and to choose by the total of the scores.
    Choice,
    /// To route between clusters.
    Clusters,
    /// To say which formats of requests are read.
    Formats,
    /// To find endpoints, to read their metrics, and to tell the gateway of responses.
    Data,
}

impl Task {
    /// All tasks, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Load,
        Self::PrefixCache,
        Self::Sessions,
        Self::Labels,
        Self::Requests,
        Self::Disaggregation,
        Self::OwnRules,
        Self::Choice,
        Self::Clusters,
        Self::Formats,
        Self::Data,
    ];

    /// The title that documentation uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "Spread load",
            Self::PrefixCache => "Reuse cached prefixes",
            Self::Sessions => "Keep sessions together",
            Self::Labels => "Choose by labels and topology",
            Self::Requests => "Choose by adapter and prompt",
            Self::Disaggregation => "Disaggregate encode, prefill and decode",
            Self::OwnRules => "Write rules of your own",
            Self::Choice => "Run profiles and pick",
            Self::Clusters => "Route between clusters",
            Self::Formats => "Read formats of requests",
            Self::Data => "Find endpoints, read metrics, report",
        }
    }
}
