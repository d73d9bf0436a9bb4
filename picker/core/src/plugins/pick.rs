//! Pickers: plugins that choose among scored candidates.

use std::sync::Arc;

use crate::role::Picker;

room! {
    max_score::MaxScorePicker,
    min_score::MinScorePicker,
    power_of_two::PowerOfTwoPicker,
    random::RandomPicker,
    weighted_random::WeightedRandomPicker,
}

mod choice;
#[cfg(test)]
mod tests;

pub use choice::Params;

/// Type of the picker of a profile that names none.
pub const DEFAULT: &str = "max-score-picker";

/// The picker of a profile that names none.
pub fn default() -> Arc<dyn Picker> {
    Arc::new(MaxScorePicker::new(1))
}
