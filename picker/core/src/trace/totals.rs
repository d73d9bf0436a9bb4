//! The totals of a decision alone.

use std::sync::Arc;

use super::Trace;
use crate::ask::{Ask, Decision, Picked, Scored};
use crate::edits::Edits;
use crate::role::Picker;
use crate::strategy::Named;

/// A trace that keeps the totals of the candidates, by profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Of the profiles that ran, in that order.
    profiles: Vec<Vec<(u32, f32)>>,
    primary: usize,
}

impl Totals {
    /// The candidates of the destination's profile with their totals, as positions in the view.
    pub fn of_destination(&self) -> &[(u32, f32)] {
        self.profiles.get(self.primary).map_or(&[], Vec::as_slice)
    }
}

impl Trace for Totals {
    fn profile(&mut self, _: &Arc<str>) {
        self.profiles.push(Vec::new());
    }

    fn picked(&mut self, _: &Named<dyn Picker>, scored: Scored<'_>, _: &Picked) {
        if let Some(totals) = self.profiles.last_mut() {
            totals.extend(scored.each());
        }
    }

    fn launched(&mut self, _: &Ask<'_>, decision: &Decision, _: &Edits) {
        self.primary = decision.primary;
    }
}
