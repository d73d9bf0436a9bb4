//! Pods with places.

use crate::testing::labelled;
use crate::view::View;

const NAMES: [&str; 4] = [
    "kubernetes.io/hostname",
    "topology.kubernetes.io/rack",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
];

/// A view of pods with these places; an empty text is no label.
pub(in crate::plugins) fn view_of(places: &[[&'static str; 4]]) -> View {
    let labels: Vec<Vec<_>> = places
        .iter()
        .map(|place| NAMES.into_iter().zip(*place).filter(|(_, value)| !value.is_empty()).collect())
        .collect();
    labelled(labels.iter().map(Vec::as_slice))
}
