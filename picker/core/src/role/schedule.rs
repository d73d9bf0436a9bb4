//! Roles of the decision.

use std::sync::Arc;

use crate::ask::{Ask, Picked, Scored};
use crate::cx::Cx;
use crate::fact::Own;
use crate::inputs::Inputs;
use crate::refusal::Refusal;
use crate::view::Candidates;

/// Takes candidates out for all profiles, before producers run (a rollout's revision, a tenant's servers). `ask` has only what [`Preparer`](crate::role::Preparer)s found.
pub trait Screener: Send + Sync {
    /// Removes from `keep` what must not serve the request.
    fn screen(&self, ask: &Ask<'_>, cx: &mut Cx, keep: &mut Candidates);

    /// Why it removed the endpoint at position `endpoint` of the view, where that can be told: as [`Filter::why`].
    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let _ = (ask, endpoint);
        None
    }
}

/// Finds out something about a request, for the roles after it to read.
pub trait Producer: Send + Sync {
    /// Writes its facts into `own`. `ask` has those of the producers it reads from, which run before it.
    fn produce(&self, ask: &Ask<'_>, candidates: &Candidates, own: &mut Own);
}

/// Takes candidates out. Filters of a profile work in the order in which it lists them.
pub trait Filter: Send + Sync {
    /// Removes from `keep` what must not serve the request.
    fn filter(&self, ask: &Ask<'_>, cx: &mut Cx, keep: &mut Candidates);

    /// Whether it judges endpoints by their labels alone, so that what it keeps is what the profile is for: of these a
    /// share is left alone when it [fails](crate::health).
    fn is_by_labels(&self) -> bool {
        false
    }

    /// Why it removed the endpoint at position `endpoint` of the view, where that can be told, for who asks about a
    /// decision; called only then. It quotes nothing that a client wrote.
    fn why(&self, ask: &Ask<'_>, endpoint: usize) -> Option<String> {
        let _ = (ask, endpoint);
        None
    }

    /// What it judged by besides the columns and facts that it asked for when it was made; called as [`Filter::why`].
    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let _ = (ask, inputs);
    }
}

/// Judges every candidate at once.
pub trait Scorer: Send + Sync {
    /// Writes a score for each of `candidates` into the same position of `out`: 0 worst, 1 best. `out` has their
    /// length and is filled with 0. What lies outside 0 to 1 is clamped, and NaN counts as 0.
    fn score(&self, ask: &Ask<'_>, candidates: &Candidates, out: &mut [f32]);

    /// What it judged by besides the columns and facts that it asked for when it was made, for who asks about a decision;
    /// called only then, after [`Scorer::score`].
    fn inputs(&self, ask: &Ask<'_>, inputs: &mut Inputs<'_>) {
        let _ = (ask, inputs);
    }
}

/// Chooses among the scored candidates.
pub trait Picker: Send + Sync {
    /// The chosen endpoints, best first, at least one. `scored` is never empty.
    fn pick(&self, ask: &Ask<'_>, cx: &mut Cx, scored: Scored<'_>) -> Picked;
}

/// Decides which profiles run for a request, and which result is the destination.
pub trait ProfileHandler: Send + Sync {
    /// The handler for a strategy with the scheduling profiles `names`, in that order.
    ///
    /// # Errors
    /// When it can't work with them: a message for whoever wrote the configuration, with what to change.
    fn bind(&self, names: &[&str]) -> Result<Arc<dyn BoundHandler>, String>;
}

/// A [`ProfileHandler`] that knows the profiles of its strategy.
pub trait BoundHandler: Send + Sync {
    /// What to do next. `ask.done` has the results so far; each profile runs at most once.
    fn next(&self, ask: &Ask<'_>) -> Next;
}

/// The next step of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Run the profile at this position.
    Run(usize),
    /// All is done: the destination is what `ask.done` has at this position.
    Done {
        /// Position in `ask.done`.
        primary: usize,
    },
    /// Refuse the request.
    Refuse(Refusal),
}

/// Answers a yes-or-no question of a profile handler, for example whether a prompt is worth a prefill server.
pub trait Decider: Send + Sync {
    /// The answer. `ask.done` has the results so far.
    fn decide(&self, ask: &Ask<'_>) -> bool;
}
