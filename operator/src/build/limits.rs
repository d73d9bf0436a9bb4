//! Limits of `spec.picker` that whoever installed the operator sets for the authors of strategies.

/// Default keys and prefixes of labels and annotations that pod templates may set. Of sidecar injectors
/// only the switch: their other annotations say what runs and what is mounted beside the picker.
pub const POD_METADATA: [&str; 5] = [
    "sidecar.istio.io/inject",
    "linkerd.io/inject",
    "prometheus.io",
    "cluster-autoscaler.kubernetes.io",
    "karpenter.sh",
];

/// The limits of spec.picker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Prefixes of the keys of labels and annotations, without the slash, and whole keys.
    pub pod_metadata: Vec<String>,
    /// Beginnings of images; empty: any image.
    pub image_prefixes: Vec<String>,
    /// Whether the pods may have labels without a prefix, by which Services and NetworkPolicies of the namespace
    /// may choose pods.
    pub plain_labels: bool,
    /// Whether the environment may name a proxy.
    pub proxies: bool,
    /// Whether the operator has rights of the cluster, to give some of them to pickers.
    pub of_cluster: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pod_metadata: POD_METADATA.map(str::to_owned).into(),
            image_prefixes: Vec::new(),
            plain_labels: true,
            proxies: false,
            of_cluster: true,
        }
    }
}

impl Limits {
    /// Whether a label or an annotation may have this key. Those without a prefix are the author's own.
    pub fn allows_key(&self, key: &str) -> bool {
        let Some((prefix, _)) = key.split_once('/') else { return true };
        self.pod_metadata.iter().any(|allowed| allowed == prefix || allowed == key)
    }

    /// Whether a label may have this key, as far as that depends on its having a prefix.
    pub fn allows_label(&self, key: &str) -> bool {
        self.plain_labels || key.contains('/')
    }

    /// Whether pickers may be of this image. A prefix ends where a part of the image's name does, so that
    /// that of a registry is not that of another one with a longer name.
    pub fn allows_image(&self, image: &str) -> bool {
        let is_under = |prefix: &String| {
            image.strip_prefix(prefix.as_str()).is_some_and(|rest| {
                rest.is_empty()
                    || prefix.ends_with('/')
                    || rest.starts_with('/')
                    || (prefix.contains('/') && rest.starts_with([':', '@']))
            })
        };
        self.image_prefixes.is_empty() || self.image_prefixes.iter().any(is_under)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("team", true)]
    #[case("prometheus.io/scrape", true)]
    #[case("karpenter.sh/do-not-disrupt", true)]
    #[case("sidecar.istio.io/inject", true)]
    #[case("sidecar.istio.io/userVolume", false)]
    #[case("linkerd.io/inject", true)]
    #[case("config.linkerd.io/proxy-image", false)]
    #[case("container.apparmor.security.beta.kubernetes.io/picker", false)]
    #[case("not-prometheus.io/scrape", false)]
    fn keys(#[case] key: &str, #[case] allowed: bool) {
        assert_eq!(Limits::default().allows_key(key), allowed);
    }

    #[rstest]
    #[case("registry.example.com/llm/picker:1", true)]
    #[case("registry.example.com.evil.org/picker:1", false)]
    #[case("registry.example.com:5000/picker:1", false)]
    #[case("docker.io/waypost/picker:1", true)]
    #[case("docker.io/waypost/picker@sha256:0", true)]
    #[case("docker.io/waypost/picker", true)]
    #[case("docker.io/waypost/picker-evil:1", false)]
    #[case("ghcr.io/team/any", true)]
    #[case("ghcr.io/teammate/any", false)]
    fn images(#[case] image: &str, #[case] allowed: bool) {
        let prefixes = ["registry.example.com", "docker.io/waypost/picker", "ghcr.io/team/"];
        let limits = Limits { image_prefixes: prefixes.map(str::to_owned).into(), ..Limits::default() };
        assert_eq!(limits.allows_image(image), allowed);
        assert!(Limits::default().allows_image(image));
    }
}
