//! The memory and processor time of the operator that leads, as the kernel counts them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::Api;

use super::TestEnv;
use super::install::{OPERATOR, OPERATOR_NAMESPACE};
use super::operator::PODS;
use super::process::process;

/// What the operator that leads has used so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its memory now, in bytes.
    pub resident: u64,
    /// The most that it had, in bytes.
    pub peak: u64,
    /// Its time on processors.
    pub processor: Duration,
}

impl TestEnv {
    /// What the operator that leads has used so far.
    ///
    /// # Errors
    /// When none leads.
    pub async fn operator_usage(&self) -> Result<Usage> {
        let leases = Api::<Lease>::namespaced(self.kubectl().client().clone(), OPERATOR_NAMESPACE);
        let holder = leases.get(OPERATOR).await?.spec.and_then(|spec| spec.holder_identity);
        let holder = holder.context("nobody leads")?;
        let leader = holder.split('_').next().unwrap_or_default();
        let pods = self.kubectl().pods(OPERATOR_NAMESPACE, PODS).await?;
        let pod = pods.iter().find(|pod| pod.name_any() == leader);
        let pid = process(pod.with_context(|| format!("{holder} leads, which is no pod"))?)?.pid();
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}"));
        Usage::read(&read("status")?, &read("stat")?).context("what the kernel tells of the operator")
    }
}

impl Usage {
    fn read(status: &str, stat: &str) -> Option<Self> {
        let kilobytes = |field: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
            line.trim().trim_end_matches(" kB").parse().ok()
        };
        // The name may have spaces and parentheses in it; user and system time are fields 14 and 15 of the line.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        // A hundred a second on every Linux.
        let processor = Duration::from_millis((user + system) * 10);
        Some(Self { resident: kilobytes("VmRSS")? << 10, peak: kilobytes("VmHWM")? << 10, processor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_from_what_the_kernel_tells() {
        let status = "Name:\toperator\nVmHWM:\t   30000 kB\nVmRSS:\t   20000 kB\n";
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 100 1000 10";
        let wanted = Usage { resident: 20_480_000, peak: 30_720_000, processor: Duration::from_secs(2) };
        assert_eq!(Usage::read(status, stat), Some(wanted));
        assert_eq!(Usage::read("", stat), None);
    }
}
