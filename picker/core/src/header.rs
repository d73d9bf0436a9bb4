//! Names of request headers that the project reads, and what may be such a name.

/// `host:port` list that tests use to choose the endpoint themselves.
pub const TEST_ENDPOINT_SELECTION: &str = "test-epp-endpoint-selection";
/// Name of the InferenceObjective that a request belongs to, the newer name of the header first.
pub const OBJECTIVE: [&str; 2] = ["x-llm-d-inference-objective", "x-gateway-inference-objective"];
/// On whose behalf a request is made; the second one is the former name.
pub const FAIRNESS_ID: [&str; 2] = ["x-llm-d-inference-fairness-id", "x-gateway-inference-fairness-id"];
/// How fast an answer has to be: time to first token and time per token, in milliseconds, with the former names.
pub const SLO: [&str; 4] = ["x-llm-d-slo-ttft-ms", "x-llm-d-slo-tpot-ms", "x-slo-ttft-ms", "x-slo-tpot-ms"];
/// The model under which a request goes on; the second one is the former name.
pub const MODEL_REWRITE: [&str; 2] = ["x-llm-d-model-name-rewrite", "x-gateway-model-name-rewrite"];

/// `name` as requests have it: in lower case.
///
/// # Errors
/// When no header can have that name (RFC 9110, section 5.6.2): what is wrong with it.
pub fn name(name: &str) -> Result<String, String> {
    if is_token(name) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(format!("{name:?} is no name of a header"))
    }
}

/// Whether `text` is a token (RFC 9110, section 5.6.2), as names of headers and cookies are.
pub fn is_token(text: &str) -> bool {
    let of_tokens = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(of_tokens)
}
