//! Traces of a decision: who took out whom, who gave which score. Without one, nothing of it is done.

use crate::ask::Picked;
use crate::view::Candidates;

/// Is told each step of a decision. The default of every method does nothing.
pub trait Trace {
    /// The screener `plugin` left `left`.
    fn screened(&mut self, plugin: &str, left: &Candidates) {
        let _ = (plugin, left);
    }

    /// Endpoints fail: `avoided`, as positions in the view, get no request now if this is `applied`. It is not when too
    /// many fail of those that the profile is for, or nobody else is left: the profile decides as if none did then.
    fn avoided(&mut self, avoided: &[u32], applied: bool) {
        let _ = (avoided, applied);
    }

    /// The profile `name` begins.
    fn profile(&mut self, name: &str) {
        let _ = name;
    }

    /// The filter `plugin` of the profile left `left`.
    fn filtered(&mut self, plugin: &str, left: &Candidates) {
        let _ = (plugin, left);
    }

    /// The scorer `plugin` of the profile gave `candidates` these scores, each of which counts `weight` times.
    fn scored(&mut self, plugin: &str, weight: f32, candidates: &Candidates, scores: &[f32]) {
        let _ = (plugin, weight, candidates, scores);
    }

    /// The picker `plugin` of the profile picked `picked`.
    fn picked(&mut self, plugin: &str, picked: &Picked) {
        let _ = (plugin, picked);
    }
}

/// No trace. It has no size, and its calls are compiled away.
#[derive(Clone, Copy, Debug)]
pub struct NoTrace;

impl Trace for NoTrace {}

/// A trace that keeps everything, in the order of the decision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Explain(pub Vec<Step>);

/// One step of a decision. Endpoints are positions in the view.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A screener's.
    Screened {
        /// Name of the plugin.
        plugin: String,
        /// The candidates that it left.
        left: Vec<usize>,
    },
    /// A profile begins.
    Profile(String),
    /// Of endpoints that fail.
    Avoided {
        /// Those that get no request now.
        endpoints: Vec<usize>,
        /// Whether they are left out. Not when too many fail, or nobody else is left.
        applied: bool,
    },
    /// A filter's.
    Filtered {
        /// Name of the plugin.
        plugin: String,
        /// The candidates that it left.
        left: Vec<usize>,
    },
    /// A scorer's.
    Scored {
        /// Name of the plugin.
        plugin: String,
        /// How often each score counts.
        weight: f32,
        /// Each candidate with its score, 0 to 1.
        scores: Vec<(usize, f32)>,
    },
    /// The picker's.
    Picked {
        /// Name of the plugin.
        plugin: String,
        /// What it picked, best first.
        picked: Vec<usize>,
    },
}

impl Trace for Explain {
    fn screened(&mut self, plugin: &str, left: &Candidates) {
        self.0.push(Step::Screened { plugin: plugin.to_owned(), left: left.iter().collect() });
    }

    fn avoided(&mut self, avoided: &[u32], applied: bool) {
        let endpoints = avoided.iter().map(|&i| i as usize).collect();
        self.0.push(Step::Avoided { endpoints, applied });
    }

    fn profile(&mut self, name: &str) {
        self.0.push(Step::Profile(name.to_owned()));
    }

    fn filtered(&mut self, plugin: &str, left: &Candidates) {
        self.0.push(Step::Filtered { plugin: plugin.to_owned(), left: left.iter().collect() });
    }

    fn scored(&mut self, plugin: &str, weight: f32, candidates: &Candidates, scores: &[f32]) {
        let scores = candidates.iter().zip(scores.iter().copied()).collect();
        self.0.push(Step::Scored { plugin: plugin.to_owned(), weight, scores });
    }

    fn picked(&mut self, plugin: &str, picked: &Picked) {
        let picked = picked.iter().map(|&i| i as usize).collect();
        self.0.push(Step::Picked { plugin: plugin.to_owned(), picked });
    }
}
