//! The addresses of a cluster, of one family or the other.

/// The family of all addresses of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// As most clusters.
    #[default]
    Ipv4,
    /// No pod, Service or node has another.
    Ipv6,
}

impl Family {
    /// IPv6 or not.
    pub fn of(ipv6: bool) -> Self {
        if ipv6 { Self::Ipv6 } else { Self::Ipv4 }
    }

    /// The addresses of a cluster of this family.
    pub fn addresses(self) -> &'static Addresses {
        match self {
            Self::Ipv4 => &Addresses::IPV4,
            Self::Ipv6 => &Addresses::IPV6,
        }
    }
}

/// The addresses of a cluster.
#[derive(Debug)]
pub struct Addresses {
    /// The machine's own on the bridge: how pods reach the API server.
    pub bridge: &'static str,
    /// Where pods get theirs from.
    pub pods: &'static str,
    /// Where Services get theirs from.
    pub services: &'static str,
    /// The Service `kubernetes`: the first of the Services.
    pub kubernetes: &'static str,
    /// The Service of the cluster's DNS.
    pub dns: &'static str,
    /// All there are.
    pub everywhere: &'static str,
    /// Every address of this machine.
    pub unspecified: &'static str,
}

impl Addresses {
    pub(super) const IPV4: Self = Self {
        bridge: "10.244.0.1",
        pods: "10.244.0.0/16",
        services: "10.96.0.0/16",
        kubernetes: "10.96.0.1",
        dns: "10.96.0.10",
        everywhere: "0.0.0.0/0",
        unspecified: "0.0.0.0",
    };

    /// Of the range for private use (RFC 4193), as those of IPv4.
    pub(super) const IPV6: Self = Self {
        bridge: "fd10:244::1",
        pods: "fd10:244::/112",
        services: "fd10:96::/112",
        kubernetes: "fd10:96::1",
        dns: "fd10:96::a",
        everywhere: "::/0",
        unspecified: "::",
    };

    /// The machine's own, with the length of the prefix of the pods.
    pub fn on_bridge(&self) -> String {
        let (_, length) = self.pods.split_once('/').unwrap_or_default();
        format!("{}/{length}", self.bridge)
    }
}
