//! Addresses as gateways and tests write them.

use std::net::{IpAddr, SocketAddr};

/// An address as gateways and tests write it: `ip` (any port) or `ip:port`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    ip: IpAddr,
    port: Option<u16>,
}

impl Address {
    /// Reads `ip`, `ip:port`, `[ip]` or `[ip]:port`; `None` when it is none of them.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(full) = text.parse::<SocketAddr>() {
            return Some(Self { ip: full.ip(), port: Some(full.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        bare.parse().ok().map(|ip| Self { ip, port: None })
    }

    /// All ports of `ip`.
    pub fn at(ip: IpAddr) -> Self {
        Self { ip, port: None }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: Some(address.port()) }
    }
}
