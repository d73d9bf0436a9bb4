//! Addresses that no server of anybody has: those of a node itself, and those at which clouds have their metadata service.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services beyond the link-local addresses: of Alibaba Cloud and Azure, and of AWS and Google Cloud over IPv6.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

/// The IPv4 address that an IPv6 one stands for: mapped, compatible, or of the well-known prefix of NAT64 (RFC 6052).
fn embedded(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0, 0, high @ 1..=u16::MAX, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Ipv4Addr::new(a, b, c, d).into()
        }
        _ => v6.into(),
    }
}

/// Whether clouds may have their metadata service at `address`: it is of the node's network alone, or known for that.
pub fn is_metadata_service(address: IpAddr) -> bool {
    let address = embedded(address);
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    is_link_local || METADATA.contains(&address)
}

/// Whether `address` can be that of a server elsewhere.
pub fn is_elsewhere(address: IpAddr) -> bool {
    let plain = embedded(address);
    !(plain.is_loopback() || plain.is_unspecified() || plain.is_multicast() || is_metadata_service(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: &[&str], is: fn(IpAddr) -> bool) -> Vec<bool> {
        addresses.iter().map(|address| is(address.parse().unwrap())).collect()
    }

    #[test]
    fn metadata_services_are_known_in_each_form() {
        let services = [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
        ];
        assert_eq!(all(&services, is_metadata_service), [true; 9]);
        assert_eq!(all(&services, is_elsewhere), [false; 9]);
        let others = ["127.0.0.1", "::1", "10.0.0.1", "fd00::1", "192.0.2.1", "64:ff9b::a00:1"];
        assert_eq!(all(&others, is_metadata_service), [false; 6]);
    }

    #[test]
    fn a_server_elsewhere_is_not_the_node_itself() {
        let own = ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "::ffff:127.0.0.1"];
        assert_eq!(all(&own, is_elsewhere), [false; 7]);
        assert_eq!(all(&["10.0.0.1", "fd00::1", "192.0.2.1", "2001:db8::1"], is_elsewhere), [true; 4]);
    }
}
