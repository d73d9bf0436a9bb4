//! Runs of cargo.

use crate::paths;
use crate::shell::{Run, run};

/// `cargo` with `args`, at the root of the checkout.
pub fn cargo(args: &[&str]) -> Run {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(program).args(args).current_dir(paths::checkout())
}
