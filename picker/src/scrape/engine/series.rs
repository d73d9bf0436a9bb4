//! The series of one figure, put together by what their labels mean.

use std::hash::Hasher;

use picker_core::scrape::meaning::{Meaning, UNKNOWN};
use rustc_hash::FxHasher;
use smallvec::SmallVec;

use crate::scrape::labels::Labels;

/// The most series of one figure that are counted: a server with a rank on each of many accelerators has fewer.
const MOST: usize = 1024;

/// The place of a series among those of its figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The part of the server, by a hash of the labels that tell it.
    part: u64,
    /// The share of a total that is broken down, by a hash; 0 is the total.
    share: u64,
    /// The sum of the ranks that say the same thing.
    pub rank: u32,
}

impl Place {
    /// The place of a series with `labels`. A label with an empty value is as good as none, as everywhere in Prometheus.
    pub fn of(labels: &Labels<'_>, meanings: &[(&[u8], Meaning)]) -> Self {
        Self::told_by(labels, meanings, Some(UNKNOWN))
    }

    /// The place of a series whose labels are its content, as those of an `_info` metric: labels that are not known tell
    /// no place.
    pub fn of_info(labels: &Labels<'_>, meanings: &[(&[u8], Meaning)]) -> Self {
        Self::told_by(labels, meanings, None)
    }

    fn told_by(labels: &Labels<'_>, meanings: &[(&[u8], Meaning)], unknown: Option<Meaning>) -> Self {
        let mut place = Self { part: 0, share: 0, rank: 0 };
        for (name, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            let known = meanings.iter().find(|(known, _)| *known == name).map(|(_, meaning)| *meaning);
            match known.or(unknown) {
                // The order of labels makes no difference.
                Some(Meaning::Part) => place.part = place.part.wrapping_add(hash(name, value)),
                Some(Meaning::Breakdown) => place.share = place.share.wrapping_add(hash(name, value)).max(1),
                Some(Meaning::Repetition) => place.rank = place.rank.saturating_add(rank(value)),
                None => {}
            }
        }
        place
    }

    /// Whether it is the total, of ranks that say the same the first.
    pub fn leads(&self) -> bool {
        self.share == 0 && self.rank == 0
    }
}

/// A hash of a label.
pub(super) fn hash(name: &[u8], value: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    hasher.write_u8(b'=');
    hasher.write(value);
    hasher.finish()
}

/// A rank; what is no number comes after all that are.
fn rank(value: &[u8]) -> u32 {
    std::str::from_utf8(value).ok().and_then(|value| value.parse::<u16>().ok()).map_or(1 << 16, u32::from)
}

/// The values of the series of one figure.
#[derive(Debug, Default)]
pub(super) struct Series(SmallVec<[(Place, f64); 1]>);

impl Series {
    /// Adds the series at `place`. Beyond [`MOST`] none is added any more.
    pub fn add(&mut self, place: Place, value: f64) {
        if self.0.len() < MOST {
            self.0.push((place, value));
        }
    }

    /// Keeps the series at `place`, instead of one that is there already.
    pub fn replace(&mut self, place: Place, value: f64) {
        match self.0.iter_mut().find(|(known, _)| *known == place) {
            Some((_, known)) => *known = value,
            None => self.add(place, value),
        }
    }

    /// The values of all parts together; `None` without any.
    pub fn sum(&mut self) -> Option<f64> {
        let parts = self.parts();
        (!parts.is_empty())
            .then(|| parts.iter().map(|values| values.iter().map(|(_, value)| value).sum::<f64>()).sum())
    }

    /// The mean of the parts; `None` without any.
    pub fn mean(&mut self) -> Option<f64> {
        let parts = self.parts();
        let mean = |values: &[(Place, f64)]| {
            values.iter().map(|(_, value)| value).sum::<f64>() / values.len() as f64
        };
        (!parts.is_empty()).then(|| parts.iter().map(|values| mean(values)).sum::<f64>() / parts.len() as f64)
    }

    /// Leaves of each part the total, or else its shares, and of each of these the lowest rank. Returns them, by part.
    fn parts(&mut self) -> SmallVec<[&[(Place, f64)]; 1]> {
        if self.0.len() > 1 {
            self.0.sort_by_key(|(place, _)| *place);
            let mut last: Option<Place> = None;
            self.0.retain(|(place, _)| {
                let counts = match last.filter(|last| last.part == place.part) {
                    Some(last) if last.share == place.share => last.rank == place.rank,
                    // The total was before its shares.
                    Some(last) => last.share != 0,
                    None => true,
                };
                if counts {
                    last = Some(*place);
                }
                counts
            });
        }
        self.0.chunk_by(|(one, _), (other, _)| one.part == other.part).collect()
    }
}
