//! The steps of a decision, as values.

use std::sync::Arc;

use crate::edits::{Edits, MetadataValue};
use crate::inputs::Input;

/// One step of a decision. Endpoints are positions in the view.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A screener's.
    Screened {
        /// Name of the plugin.
        plugin: Arc<str>,
        /// The candidates that it left.
        left: Vec<u32>,
        /// Those that it removed.
        removed: Vec<Removed>,
    },
    /// A producer has written its facts.
    Produced(Arc<str>),
    /// An admitter let the request pass.
    Admitted(Arc<str>),
    /// A profile begins.
    Profile(Arc<str>),
    /// Of endpoints that fail.
    Avoided {
        /// Those that get no request now.
        endpoints: Vec<u32>,
        /// Whether they are left out. Not when too many fail, or nobody else is left.
        applied: bool,
    },
    /// A filter's.
    Filtered {
        /// Name of the plugin.
        plugin: Arc<str>,
        /// The candidates that it left.
        left: Vec<u32>,
        /// Those that it removed.
        removed: Vec<Removed>,
        /// What it read of those that it left, and behind them of those that it removed, in the order of these lists.
        inputs: Vec<Input>,
    },
    /// A scorer's.
    Scored {
        /// Name of the plugin.
        plugin: Arc<str>,
        /// How often each score counts.
        weight: f32,
        /// Each candidate with its score, 0 to 1.
        scores: Vec<(u32, f32)>,
        /// What it read of the candidates, in their order.
        inputs: Vec<Input>,
    },
    /// The picker's.
    Picked {
        /// Name of the plugin.
        plugin: Arc<str>,
        /// What it picked, best first.
        picked: Vec<u32>,
        /// Each candidate with its total, the sum of weight times score.
        totals: Vec<(u32, f32)>,
        /// The candidates with the same total as the first that was picked, and this one; empty when there is no other.
        ties: Vec<u32>,
    },
    /// The request goes to an endpoint.
    Launched {
        /// Position of the destination's profile among those that ran.
        primary: usize,
        /// What plugins changed of the request.
        edits: Edited,
    },
}

/// Endpoints that a plugin removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Removed {
    /// Why, where the plugin can say it.
    pub why: Option<String>,
    /// The endpoints.
    pub endpoints: Vec<u32>,
}

/// What plugins changed of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edited {
    /// The address in place of the endpoint's.
    pub destination: Option<String>,
    /// The headers that were set, which are those of plugins.
    pub headers: Vec<(String, String)>,
    /// Names of headers that were taken out.
    pub removed: Vec<String>,
    /// How many parts of the body were replaced.
    pub splices: usize,
    /// Metadata for the gateway: namespace, key and value.
    pub metadata: Vec<(String, String, String)>,
    /// Whether the gateway chooses its route anew.
    pub clears_route: bool,
}

impl Edited {
    /// The edits in `edits`. Of the body there is no text.
    pub fn of(edits: &Edits) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = |value: &MetadataValue| match value {
            MetadataValue::Text(value) => text(value),
            MetadataValue::Number(number) => number.to_string(),
            MetadataValue::Numbers(numbers) => format!("{} numbers", numbers.len()),
        };
        let metadata = edits.metadata().iter();
        Self {
            destination: edits.destination().map(|destination| text(destination)),
            headers: edits.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            removed: edits.removed().iter().map(ToString::to_string).collect(),
            splices: edits.splices().len(),
            metadata: metadata
                .map(|m| (m.namespace.to_string(), m.key.to_string(), value(&m.value)))
                .collect(),
            clears_route: edits.clears_route(),
        }
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Step {
    /// Its bytes on the heap, about.
    pub fn bytes(&self) -> usize {
        let removed = |all: &[Removed]| -> usize {
            let one = |one: &Removed| {
                size_of::<Removed>()
                    + one.why.as_ref().map_or(0, String::capacity)
                    + 4 * one.endpoints.capacity()
            };
            all.iter().map(one).sum()
        };
        let inputs = |all: &[Input]| -> usize {
            all.iter().map(|input| size_of::<Input>() + size_of_val(&*input.values)).sum()
        };
        match self {
            Self::Screened { left, removed: all, .. } => 4 * left.capacity() + removed(all),
            Self::Produced(_) | Self::Admitted(_) | Self::Profile(_) => 0,
            Self::Avoided { endpoints, .. } => 4 * endpoints.capacity(),
            Self::Filtered { left, removed: all, inputs: read, .. } => {
                4 * left.capacity() + removed(all) + inputs(read)
            }
            Self::Scored { scores, inputs: read, .. } => 8 * scores.capacity() + inputs(read),
            Self::Picked { picked, totals, ties, .. } => {
                4 * (picked.capacity() + ties.capacity()) + 8 * totals.capacity()
            }
            Self::Launched { edits, .. } => edits.bytes(),
        }
    }
}

impl Edited {
    fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
        let metadata = self.metadata.iter().map(|(a, b, c)| a.len() + b.len() + c.len() + 72);
        let removed = self.removed.iter().map(|name| name.len() + 24);
        headers
            + metadata.sum::<usize>()
            + removed.sum::<usize>()
            + self.destination.as_ref().map_or(0, String::len)
    }
}
