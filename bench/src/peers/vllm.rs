//! vLLM's router.

use super::Router;
use e2e::tools::python::Package;

/// It began as SGLang's, and follows prefixes as that does.
pub const VLLM: Router = Router {
    name: "vllm-router",
    package: Package { name: "vllm-router", version: "0.1.17", module: "vllm_router.launch_router" },
    args: &["--policy", "cache_aware", "--log-level", "error"],
};
