//! Processes of this machine, identified by number, start time and boot, because numbers are used again.

use std::path::Path;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// One process for as long as it lives: the number, when it began, and in which boot of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pid: i32,
    /// Clock ticks between boot and start, field 22 of `/proc/PID/stat`.
    started: u64,
    boot: String,
}

impl Process {
    /// The process that has the number `pid` now.
    pub fn with_pid(pid: i32) -> Result<Self> {
        let stat = Stat::of(pid).with_context(|| format!("process {pid} ended at once"))?;
        Ok(Self { pid, started: stat.started, boot: boot()? })
    }

    /// The processes whose control group's path holds `name`, such as the identifier of a container; the first one
    /// started comes first.
    pub fn in_control_group(name: &str) -> Vec<Self> {
        let member = |pid: &i32| {
            std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|groups| groups.contains(name))
        };
        let mut members: Vec<Self> =
            all().filter(member).filter_map(|pid| Self::with_pid(pid).ok()).collect();
        members.sort_by_key(|process| process.started);
        members
    }

    /// The processes of a process group.
    pub fn in_group(group: i32) -> Vec<Self> {
        let member = |pid: &i32| Stat::of(*pid).is_some_and(|stat| stat.group == group);
        all().filter(member).filter_map(|pid| Self::with_pid(pid).ok()).collect()
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs. A zombie does not, once its last thread has ended: until then its sockets are open.
    pub fn alive(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.started == self.started && stat.runs())
            && boot().is_ok_and(|boot| boot == self.boot)
    }

    /// Sends `signal` to this very process; none is sent when it is gone, whoever has its number now.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(()) };
        // The descriptor holds on to whoever has the number now; only then is it asked who that is.
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(()),
            Err(error) => return Err(error).context("opening a process"),
        };
        if !self.alive() {
            return Ok(());
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error).context("sending a signal"),
        }
    }
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    threads: u64,
    started: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name, in parentheses, may itself hold spaces and parentheses: fields count from the last one.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let threads = fields.nth(14)?.parse().ok()?;
        let started = fields.nth(1)?.parse().ok()?;
        Some(Self { state, parent, group, threads, started })
    }

    fn runs(&self) -> bool {
        self.state != 'Z' || self.threads > 1
    }
}

fn boot() -> Result<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").context("reading the boot id")?;
    Ok(id.trim().to_owned())
}

fn all() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The containerd shims that serve the containerd listening at `socket`: one a pod.
pub fn shims(socket: &Path) -> Vec<Process> {
    let ours = |pid: &i32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        let shim = words.next().is_some_and(|program| program.ends_with(b"containerd-shim-runc-v2"));
        shim && words.any(|word| word == socket.as_os_str().as_encoded_bytes())
    };
    all().filter(ours).filter_map(|pid| Process::with_pid(pid).ok()).collect()
}

/// Every process below `ancestors`, themselves included, parents before children.
pub fn with_descendants(ancestors: Vec<Process>) -> Vec<Process> {
    let parents: Vec<(i32, i32)> = all().filter_map(|pid| Some((pid, Stat::of(pid)?.parent))).collect();
    let mut family = ancestors;
    let mut next = 0;
    while let Some(parent) = family.get(next).map(Process::pid) {
        let children = parents.iter().filter(|(_, of)| *of == parent);
        family.extend(children.filter_map(|(pid, _)| Process::with_pid(*pid).ok()));
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a ) b) S 3 6 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 4 0 777 1 2";
        let stat = Stat::parse(text).unwrap();
        let fields = (stat.state, stat.parent, stat.group, stat.threads, stat.started);
        assert_eq!(fields, ('S', 3, 6, 4, 777));
    }

    #[test]
    fn a_zombie_runs_until_its_last_thread_has_ended() {
        let stat = |state, threads| Stat { state, parent: 1, group: 1, threads, started: 1 };
        let runs = [stat('S', 1), stat('Z', 2), stat('Z', 1)].map(|stat| stat.runs());
        assert_eq!(runs, [true, true, false]);
    }

    #[test]
    fn this_process_lives_and_one_of_another_time_does_not() {
        let me = Process::with_pid(std::process::id().cast_signed()).unwrap();
        assert!(me.alive());
        let impostor = Process { started: me.started + 1, ..me };
        assert!(!impostor.alive());
        // A signal to it would end this test.
        impostor.signal(Signal::KILL).unwrap();
    }
}
