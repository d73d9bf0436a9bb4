//! The pod that a page is read for.

use crate::scrape::labels::Labels;

/// A pod by its names. One without names is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

impl Pod {
    /// Whether a series with `labels` is of it, or of no pod. An exporter that knows no pod has no label, or an empty one.
    pub(super) fn has(&self, labels: &Labels<'_>) -> bool {
        let fits = |label: &str, own: &str| {
            let told = labels.get(label);
            own.is_empty() || told.is_none_or(|told| told.is_empty() || *told == *own)
        };
        fits("pod", &self.name) && fits("namespace", &self.namespace)
    }
}
