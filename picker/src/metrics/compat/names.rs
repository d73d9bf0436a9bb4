//! The names of both dialects, and which of our figures each stands for.

use picker_core::column::Column;

/// By which labels a metric tells requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// `model_name`.
    Model,
    /// `model_name` and `target_model_name`.
    Target,
    /// These and `priority`.
    Priority,
}

/// A histogram of ours under another name.
pub(super) struct Renamed {
    /// Its name without `waypost_picker_`.
    pub ours: &'static str,
    pub theirs: &'static str,
    pub by: By,
    /// Whether it has the label `streaming`.
    pub streaming: bool,
}

const fn renamed(ours: &'static str, theirs: &'static str, by: By) -> Renamed {
    Renamed { ours, theirs, by, streaming: false }
}

/// The names of one dialect. Counters are without `_total`.
pub(super) struct Names {
    pub requests: &'static str,
    pub errors: &'static str,
    pub running: (&'static str, By),
    pub attempts: &'static str,
    pub distributions: &'static [Renamed],
    pub ready: &'static str,
    /// What servers say, with the names of the mean and of the standard deviation.
    pub columns: [(Column, &'static str, Option<&'static str>); 3],
    /// The queue of each endpoint, and the label of the endpoint.
    pub queue: (&'static str, &'static str),
    pub scheduler: &'static str,
    pub streams: Option<&'static str>,
    pub info: &'static str,
    /// The error code of a status 429.
    pub exhausted: &'static str,
}

/// Those of llm-d's router.
pub(super) static LLM_D: Names = Names {
    requests: "llm_d_epp_request",
    errors: "llm_d_epp_request_error",
    running: ("llm_d_epp_request_running", By::Priority),
    attempts: "llm_d_epp_scheduler_attempts",
    distributions: &[
        renamed("request_duration_seconds", "llm_d_epp_request_duration_seconds", By::Priority),
        renamed("request_size_bytes", "llm_d_epp_request_size_bytes", By::Priority),
        renamed("response_size_bytes", "llm_d_epp_response_size_bytes", By::Priority),
        renamed("request_input_tokens", "llm_d_epp_request_input_tokens", By::Priority),
        renamed("request_output_tokens", "llm_d_epp_request_output_tokens", By::Priority),
        renamed("request_cached_tokens", "llm_d_epp_request_cached_tokens", By::Priority),
        renamed("normalized_time_per_output_token_seconds", "llm_d_epp_request_ntpot_seconds", By::Priority),
        Renamed {
            streaming: true,
            ..renamed("time_to_first_token_seconds", "llm_d_epp_request_ttft_seconds", By::Priority)
        },
        renamed("time_per_output_token_seconds", "llm_d_epp_request_streaming_tpot_seconds", By::Priority),
        renamed("inter_token_latency_seconds", "llm_d_epp_request_streaming_itl_seconds", By::Priority),
    ],
    ready: "llm_d_epp_ready_endpoints",
    columns: [
        (
            Column::KV_USAGE,
            "llm_d_epp_average_kv_cache_utilization",
            Some("llm_d_epp_std_dev_kv_cache_utilization"),
        ),
        (Column::WAITING, "llm_d_epp_average_queue_size", Some("llm_d_epp_std_dev_queue_size")),
        (Column::RUNNING, "llm_d_epp_average_running_requests", Some("llm_d_epp_std_dev_running_requests")),
    ],
    queue: ("llm_d_epp_per_endpoint_queue_size", "model_server_endpoint"),
    scheduler: "llm_d_epp_scheduler_e2e_duration_seconds",
    streams: Some("llm_d_epp_extproc_streams_inflight"),
    info: "llm_d_epp_info",
    exhausted: "ResourceExhausted",
};

/// Those of the Gateway API Inference Extension.
pub(super) static GIE: Names = Names {
    requests: "inference_objective_request",
    errors: "inference_objective_request_error",
    running: ("inference_objective_running_requests", By::Model),
    attempts: "inference_extension_scheduler_attempts",
    distributions: &[
        renamed("request_duration_seconds", "inference_objective_request_duration_seconds", By::Target),
        renamed("request_size_bytes", "inference_objective_request_sizes", By::Target),
        renamed("response_size_bytes", "inference_objective_response_sizes", By::Target),
        renamed("request_input_tokens", "inference_objective_input_tokens", By::Target),
        renamed("request_output_tokens", "inference_objective_output_tokens", By::Target),
        renamed("request_cached_tokens", "inference_objective_prompt_cached_tokens", By::Target),
        renamed(
            "normalized_time_per_output_token_seconds",
            "inference_objective_normalized_time_per_output_token_seconds",
            By::Target,
        ),
        renamed("time_to_first_token_seconds", "inference_objective_request_ttft_seconds", By::Target),
        renamed("time_per_output_token_seconds", "inference_objective_request_tpot_seconds", By::Target),
    ],
    ready: "inference_pool_ready_pods",
    columns: [
        (Column::KV_USAGE, "inference_pool_average_kv_cache_utilization", None),
        (Column::WAITING, "inference_pool_average_queue_size", None),
        (Column::RUNNING, "inference_pool_average_running_requests", None),
    ],
    queue: ("inference_pool_per_pod_queue_size", "model_server_pod"),
    scheduler: "inference_extension_scheduler_e2e_duration_seconds",
    streams: None,
    info: "inference_extension_info",
    exhausted: "InferencePoolResourceExhausted",
};
