//! A file that tells a picker of the servers: llm-d's format of `file-discovery`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The file for these servers, by name and address. An unspecified address is written as loopback.
pub fn yaml<'a>(servers: impl IntoIterator<Item = (&'a str, SocketAddr)>, model: &str) -> String {
    let mut out = "endpoints:\n".to_owned();
    for (name, address) in servers {
        let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
        let (name, model) = (quoted(name), quoted(model));
        out.push_str(&format!(
            "- name: {name}\n  namespace: default\n  address: \"{ip}\"\n  port: \"{}\"\n  labels: {{model: {model}}}\n",
            address.port()
        ));
    }
    out
}

/// A JSON string, which is a YAML one too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_one_endpoint_for_each_server() {
        let servers =
            [("sim-0", "0.0.0.0:8000".parse().unwrap()), ("sim-1", "10.0.0.1:8001".parse().unwrap())];
        assert_eq!(
            yaml(servers, "m"),
            "endpoints:\n\
             - name: \"sim-0\"\n  namespace: default\n  address: \"127.0.0.1\"\n  port: \"8000\"\n  labels: {model: \"m\"}\n\
             - name: \"sim-1\"\n  namespace: default\n  address: \"10.0.0.1\"\n  port: \"8001\"\n  labels: {model: \"m\"}\n"
        );
    }
}
