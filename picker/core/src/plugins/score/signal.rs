//! Scores of one scraped signal.

use crate::view::Candidates;

/// Scores a signal of which less is better, relative to the candidates: the least is worth 1, the most
/// 0, in between linearly; 1 each when all are equal. See [`absolute`] for unknown values.
pub(super) fn relative(column: &[f32], candidates: &Candidates, out: &mut [f32]) {
    absolute(column, candidates, out, below_most(column, candidates));
}

/// How far a value of a signal lies below the most of the candidates, of the way to their least: 1 for the least, and for all
/// when they are equal.
pub(super) fn below_most(column: &[f32], candidates: &Candidates) -> impl Fn(f32) -> f32 + use<> {
    let known = candidates.iter().map(|i| column[i]).filter(|v| v.is_finite());
    let (least, most) = known.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, m), v| (l.min(v), m.max(v)));
    // In f64, in which the difference of any two f32 is finite.
    let below = move |v: f32| f64::from(most) - f64::from(v);
    let range = below(least);
    move |v| if range > 0.0 { (below(v) / range) as f32 } else { 1.0 }
}

/// Scores each known value of a signal by `score`. An endpoint whose value is unknown is neither good
/// nor bad: it gets the mean score of those that are known, and 1 like all others when none is.
pub(super) fn absolute(column: &[f32], candidates: &Candidates, out: &mut [f32], score: impl Fn(f32) -> f32) {
    let (mut sum, mut known) = (0.0, 0_usize);
    for (place, i) in out.iter_mut().zip(candidates.iter()) {
        let value = column[i];
        *place = if value.is_finite() {
            let score = score(value).clamp(0.0, 1.0);
            sum += score;
            known += 1;
            score
        } else {
            f32::NAN
        };
    }
    if known < out.len() {
        let mean = if known == 0 { 1.0 } else { sum / known as f32 };
        out.iter_mut().filter(|place| place.is_nan()).for_each(|place| *place = mean);
    }
}
