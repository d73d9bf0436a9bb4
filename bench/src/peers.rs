//! Products of others to compare with: routers from PyPI, which are proxy and picker in one, and pickers whose programs
//! the command line names.

mod given;
mod sglang;
mod vllm;

pub use given::{Given, distinct};
pub use sglang::SGLANG;
pub use vllm::VLLM;

use e2e::tools::python::Package;

/// A proxy that picks by itself.
#[derive(Debug)]
pub struct Router {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it comes from.
    pub package: Package,
    /// Arguments besides the addresses.
    args: &'static [&'static str],
}

impl Router {
    /// Its command line, for Python: it listens on `port` and serves its metrics on `metrics`.
    pub fn args(&self, port: u16, metrics: u16, workers: &[String]) -> Vec<String> {
        let (port, metrics) = (port.to_string(), metrics.to_string());
        let mut args = vec!["-m", self.package.module, "--host", "127.0.0.1", "--port", &port];
        args.extend(["--prometheus-host", "127.0.0.1", "--prometheus-port", &metrics]);
        args.extend(self.args);
        args.push("--worker-urls");
        args.extend(workers.iter().map(String::as_str));
        args.into_iter().map(str::to_owned).collect()
    }
}
