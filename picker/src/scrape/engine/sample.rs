//! A sample of a page of metrics.

use crate::scrape::labels::Labels;

/// A sample: one line of the text.
#[derive(Clone, Copy, Debug)]
pub(in crate::scrape) struct Sample<'a> {
    pub labels: Labels<'a>,
    pub value: f64,
    /// Milliseconds; 0 where the line has none.
    pub timestamp: i64,
}
