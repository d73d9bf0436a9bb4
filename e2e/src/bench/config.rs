//! What the pickers are told to do.

/// A whole decision: three scorers, over the model servers that a file names. `queue` is the weight of the first.
pub fn whole(queue: u32) -> String {
    format!(
        "\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- {{type: file-discovery, parameters: {{path: ENDPOINTS}}}}
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
