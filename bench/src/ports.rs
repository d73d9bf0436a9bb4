//! Free TCP ports for the servers under test, and the flags that set them.

use std::net::TcpListener;
use std::path::Path;

use anyhow::{Context, Result};

/// Where a picker listens.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// For ext_proc.
    pub grpc: u16,
    /// For gRPC health.
    pub health: u16,
    /// For metrics, and whether it is ready.
    pub metrics: u16,
}

impl Ports {
    /// Ports that nothing listens on.
    ///
    /// # Errors
    /// When there are none.
    pub fn free() -> Result<Self> {
        let [grpc, health, metrics] = free()?;
        Ok(Self { grpc, health, metrics })
    }

    /// The flags of a picker that say so.
    pub fn flags(self) -> [String; 6] {
        let Self { grpc, health, metrics } = self;
        let [grpc, health, metrics] = [grpc, health, metrics].map(|port| port.to_string());
        let flag = str::to_owned;
        [flag("--grpc-port"), grpc, flag("--grpc-health-port"), health, flag("--metrics-port"), metrics]
    }
}

/// The command line of a picker with the configuration in `config`, and `more`.
pub fn picker_args(config: &Path, ports: Ports, more: &[String]) -> Vec<String> {
    let config = ["--config-file".to_owned(), config.display().to_string()];
    config.into_iter().chain(ports.flags()).chain(more.iter().cloned()).collect()
}

/// Ports that nothing listens on.
///
/// # Errors
/// When there are not so many.
pub fn free<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    // All are held until the last is found, so that they differ.
    let mut held = Vec::with_capacity(COUNT);
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0").context("looking for a port")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// That of `port` on this machine.
pub fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_name_every_port_and_others_follow() {
        let ports = Ports { grpc: 1, health: 2, metrics: 3 };
        let args = picker_args(Path::new("c.yaml"), ports, &["-v".to_owned(), "1".to_owned()]);
        let expected = "--config-file c.yaml --grpc-port 1 --grpc-health-port 2 --metrics-port 3 -v 1";
        assert_eq!(args.join(" "), expected);
    }
}
