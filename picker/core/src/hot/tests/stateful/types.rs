//! The plugin types that keep state, and which of their parameters it depends on.

use serde_json::Value;

/// What becomes of the state of an instance of which a parameter is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is kept.
    Stays,
    /// It depends on the parameter, and starts anew.
    Restarts,
    /// It is needed no more.
    Ends,
}

use Then::{Ends, Restarts, Stays};

/// A type that keeps state.
pub struct Stateful {
    /// The type.
    pub kind: &'static str,
    /// Parameters with which it does, as JSON.
    parameters: &'static str,
    /// Edits of them: path, new value as JSON.
    pub edits: &'static [(&'static str, &'static str, Then)],
}

impl Stateful {
    /// Parameters with which it keeps state.
    pub fn parameters(&self) -> Value {
        serde_json::from_str(self.parameters).unwrap()
    }
}

const SESSION: &[(&str, &str, Then)] = &[
    ("/strategy", "\"encoded_endpoint_header\"", Ends),
    ("/encodedEndpointHeaderConfig", "{\"header\": \"x-mine\"}", Stays),
    ("/sessionIdConfig/sources", "[{\"attribute\": \"agent-identity\"}]", Restarts),
    ("/sessionIdConfig/evictionTtlSeconds", "5", Stays),
    ("/sessionIdConfig/evictionSweepSeconds", "5", Stays),
    ("/profileName", "\"prefill\"", Restarts),
];

const PREFIXES: &[(&str, &str, Then)] = &[
    ("/autoTune", "false", Restarts),
    ("/blockSizeTokens", "128", Restarts),
    ("/blockSize", "1024", Restarts),
    ("/maxPrefixBlocksToMatch", "100", Stays),
    ("/maxPrefixTokensToMatch", "1000", Stays),
    ("/lruCapacityPerServer", "100", Restarts),
    ("/offloadTokensPerServer", "1000", Stays),
];

pub const STATEFUL: &[Stateful] = &[
    Stateful { kind: "approx-prefix-cache-producer", parameters: "{}", edits: PREFIXES },
    Stateful {
        kind: "burst-prefix-cache-producer",
        parameters: "{}",
        edits: &[
            ("/windowDurationMs", "50", Restarts),
            ("/maxPerReplica", "5", Restarts),
            ("/blockSizeTokens", "128", Restarts),
            ("/maxPrefixTokensToMatch", "1000", Restarts),
            ("/minColocateBlocks", "4", Restarts),
            ("/maxBatchSize", "5", Restarts),
            ("/balanceBy", "\"tokens\"", Restarts),
        ],
    },
    Stateful {
        kind: "latency-ewma-scorer",
        parameters: "{}",
        edits: &[("/halfLifeSeconds", "20", Stays), ("/ttftWeight", "1", Stays), ("/tpotWeight", "1", Stays)],
    },
    Stateful {
        kind: "mm-embeddings-cache-producer",
        parameters: "{\"cacheSizeInMBPerServer\": 8}",
        edits: &[("/cacheSizeInMBPerServer", "16", Restarts), ("/encodeProfile", "\"prefill\"", Stays)],
    },
    Stateful { kind: "multicluster-approx-prefix-cache-producer", parameters: "{}", edits: PREFIXES },
    Stateful {
        kind: "multicluster-session-affinity-filter",
        parameters: "{\"strategy\": \"session_id\", \"sessionIdConfig\": {}}",
        edits: SESSION,
    },
    Stateful {
        kind: "no-hit-lru-scorer",
        parameters: "{}",
        edits: &[
            ("/lruSize", "5", Stays),
            ("/prefixMatchInfoProducerName", "\"other-prefixes\"", Stays),
            ("/prefixPluginType", "\"prefix-cache-scorer\"", Stays),
            ("/prefixPluginName", "\"prefix-cache-scorer\"", Stays),
        ],
    },
    Stateful {
        kind: "scorer-pd-bucket",
        parameters: "{}",
        edits: &[
            ("/alpha", "3", Stays),
            ("/beta", "3", Stays),
            ("/decayFactor", "0.5", Restarts),
            ("/bucketSeperateLength", "100", Restarts),
            ("/pdGroupProducerName", "\"other-groups\"", Stays),
        ],
    },
    Stateful {
        kind: "session-affinity-filter",
        parameters: "{\"strategy\": \"session_id\", \"sessionIdConfig\": {}}",
        edits: SESSION,
    },
    Stateful {
        kind: "session-affinity-scorer",
        parameters: "{\"strategy\": \"session_id\", \"sessionIdConfig\": {}}",
        edits: SESSION,
    },
    Stateful {
        kind: "session-prefix",
        parameters: "{}",
        edits: &[
            ("/prefixBytes", "10", Restarts),
            ("/maxSessions", "512", Restarts),
            ("/ttlSeconds", "5", Stays),
            ("/profileName", "\"prefill\"", Restarts),
        ],
    },
    Stateful {
        kind: "slow-start",
        parameters: "{}",
        edits: &[("/windowSeconds", "5", Stays), ("/minimum", "0.5", Stays)],
    },
    Stateful {
        kind: "token-producer",
        parameters: "{\"modelName\": \"m\", \"vllm\": {}}",
        edits: &[
            ("/modelName", "\"other\"", Restarts),
            ("/estimate", "null", Stays),
            ("/vllm", "{\"timeout\": \"1s\"}", Restarts),
            ("/udsTokenizerConfig", "null", Stays),
        ],
    },
];
