//! SGLang's router.

use super::Router;
use e2e::tools::python::Package;

/// It follows prefixes by a tree of the prompts that it has seen. As quiet as it can be: every line would cost it.
pub const SGLANG: Router = Router {
    name: "sglang-router",
    package: Package { name: "sglang-router", version: "0.3.2", module: "sglang_router.launch_router" },
    args: &["--policy", "cache_aware", "--log-level", "error"],
};
