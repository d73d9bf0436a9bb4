//! Configuration files for the pickers under test, and the file that names the model servers.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Placeholder in a configuration for the path of the file of model servers.
const ENDPOINTS: &str = "ENDPOINTS";

/// A whole decision: three scorers, over the model servers that a file names. `queue` is the weight of the first.
pub fn whole(queue: u32) -> String {
    format!(
        "\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {{type: file-discovery, parameters: {{path: {ENDPOINTS}}}}}
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
schedulingProfiles:
- name: default
  plugins:
  - {{pluginRef: queue-scorer, weight: {queue}}}
  - {{pluginRef: kv-cache-utilization-scorer, weight: 2}}
  - {{pluginRef: prefix-cache-scorer, weight: 3}}
dataLayer: {{discovery: {{pluginRef: file-discovery}}}}
"
    )
}

/// The weight of the queue that is measured where nothing is swapped.
pub const QUEUE: u32 = 2;

/// A decision that needs no body.
pub const BY_LOAD: &str = "\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {type: file-discovery, parameters: {path: ENDPOINTS}}
- type: queue-scorer
- type: kv-cache-utilization-scorer
schedulingProfiles:
- name: default
  plugins:
  - {pluginRef: queue-scorer, weight: 2}
  - {pluginRef: kv-cache-utilization-scorer, weight: 2}
dataLayer: {discovery: {pluginRef: file-discovery}}
";

/// Writes a configuration to `file`, all of it at once, over the model servers that `endpoints` names.
///
/// # Errors
/// When it can't be written.
pub fn write(file: &Path, config: &str, endpoints: &Path) -> Result<()> {
    let half = file.with_extension("partial");
    std::fs::write(&half, config.replace(ENDPOINTS, &endpoints.display().to_string()))?;
    std::fs::rename(&half, file).with_context(|| format!("writing {}", file.display()))
}

/// What the file that names the model servers is called, without its ending.
pub const SERVERS_FILE: &str = "endpoints";

/// That file in `folder`.
pub fn endpoints_in(folder: &Path) -> PathBuf {
    folder.join(SERVERS_FILE).with_extension("yaml")
}

/// Writes a configuration over these model servers, and the file that names them, into `folder`. Gives back where.
///
/// # Errors
/// When they can't be written.
pub fn laid(folder: &Path, config: &str, addresses: &[SocketAddr]) -> Result<PathBuf> {
    let (file, servers) = (folder.join("config.yaml"), endpoints_in(folder));
    std::fs::write(&servers, endpoints(addresses))
        .with_context(|| format!("writing {}", servers.display()))?;
    write(&file, config, &servers)?;
    Ok(file)
}

/// A file that names model servers.
fn endpoints(addresses: &[SocketAddr]) -> String {
    let mut file = String::from("endpoints:\n");
    for (number, address) in addresses.iter().enumerate() {
        let (ip, port) = (address.ip(), address.port());
        // Writing to a string does not fail.
        let _ = writeln!(
            file,
            "- {{name: server-{number}, namespace: default, address: \"{ip}\", port: \"{port}\"}}"
        );
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_its_file_of_endpoints() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        for config in [whole(QUEUE), BY_LOAD.to_owned()] {
            write(&file, &config, Path::new("/e.yaml")).unwrap();
            assert!(std::fs::read_to_string(&file).unwrap().contains("parameters: {path: /e.yaml}"));
        }
    }

    #[test]
    fn endpoints_are_named_by_their_number() {
        let file = endpoints(&["127.0.0.1:8000".parse().unwrap(), "127.0.0.2:8001".parse().unwrap()]);
        assert_eq!(
            file,
            "endpoints:\n\
             - {name: server-0, namespace: default, address: \"127.0.0.1\", port: \"8000\"}\n\
             - {name: server-1, namespace: default, address: \"127.0.0.2\", port: \"8001\"}\n"
        );
    }
}
