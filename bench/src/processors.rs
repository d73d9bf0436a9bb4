//! Processors of the machine: one for the servers under test, the others for the client and the model servers.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The processor of the servers under test.
pub const SERVERS: usize = 0;

/// Keeps all threads of this process off the processor of the servers.
///
/// # Errors
/// When the kernel refuses it.
pub fn away_from_the_servers() -> Result<()> {
    let mut set = CpuSet::new();
    let all = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    for cpu in (0..all).filter(|cpu| *cpu != SERVERS || all == 1) {
        set.set(cpu);
    }
    for task in std::fs::read_dir("/proc/self/task")? {
        let task: i32 = task?.file_name().to_string_lossy().parse()?;
        sched_setaffinity(rustix::thread::Pid::from_raw(task), &set).context("choosing processors")?;
    }
    Ok(())
}
