//! Facts about a request: typed values that producers write and every later role reads.
//!
//! The place of a fact (its [`Slot`]) is fixed when a strategy is compiled, so that reading one costs an index.
//! A fact keeps its memory from one request to the next.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::inputs::Inputs;

mod encoder_cache_match;
mod fairness_id;
mod prefix_match;
mod prompt_tokens;
mod request_load;
mod session_id;
#[cfg(test)]
mod tests;
mod topology_labels;

pub use encoder_cache_match::EncoderCacheMatch;
pub use fairness_id::FairnessId;
pub use prefix_match::PrefixMatch;
pub use prompt_tokens::{MediaItem, PromptTokens};
pub use request_load::RequestLoad;
pub use session_id::SessionId;
pub use topology_labels::TopologyLabels;

/// A kind of fact. One value of it is kept for each producer that provides it.
pub trait Fact: Any + Default + Send {
    /// What it is, for messages to whoever writes a configuration: `prefix match`.
    const NAME: &'static str;
    /// The plugin type that provides it where a reader names no producer. It is made with default parameters when the
    /// configuration has no plugin of that name.
    const DEFAULT_PRODUCER: Option<&'static str>;

    /// Forgets the last request, and keeps the memory.
    fn clear(&mut self);

    /// What it says of endpoints, in numbers, for who asks about a decision. Nothing of the request's text.
    fn inputs(&self, inputs: &mut Inputs<'_>) {
        let _ = inputs;
    }
}

/// The place of one fact in the [`Facts`] of a strategy.
pub struct Slot<F> {
    index: u16,
    fact: PhantomData<fn() -> F>,
}

impl<F> Slot<F> {
    pub(crate) fn new(index: u16) -> Self {
        Self { index, fact: PhantomData }
    }

    pub(crate) fn index(self) -> u16 {
        self.index
    }
}

impl<F> Clone for Slot<F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Slot<F> {}

impl<F> fmt::Debug for Slot<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({})", self.index)
    }
}

impl<F: Fact> Slot<F> {
    /// `value` as what a [`Preparer`](crate::role::Preparer) found for this slot.
    pub fn found(self, value: F) -> Finding {
        Finding { index: self.index, cell: Box::new(value) }
    }
}

/// A value for one slot, found before the decision by a [`Preparer`](crate::role::Preparer).
pub struct Finding {
    index: u16,
    cell: Cell,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finding({})", self.index)
    }
}

/// A fact without its type.
trait AnyFact: Send {
    fn clear(&mut self);
    fn inputs(&self, inputs: &mut Inputs<'_>);
    fn any(&self) -> &dyn Any;
    fn any_mut(&mut self) -> &mut dyn Any;
}

impl<F: Fact> AnyFact for F {
    fn clear(&mut self) {
        Fact::clear(self);
    }

    fn inputs(&self, inputs: &mut Inputs<'_>) {
        Fact::inputs(self, inputs);
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

type Cell = Box<dyn AnyFact>;

/// The kind of fact in each slot of a strategy.
pub(crate) struct Layout {
    /// Differs from that of every other layout.
    number: u64,
    kinds: Vec<fn() -> Cell>,
}

impl Default for Layout {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), kinds: Vec::new() }
    }
}

impl Layout {
    /// A further slot.
    pub fn add<F: Fact>(&mut self) -> Slot<F> {
        self.kinds.push(|| Box::new(F::default()));
        Slot::new((self.kinds.len() - 1) as u16)
    }

    /// The slot at the position `index`, if its facts are of the kind `F`.
    pub fn slot<F: Fact>(&self, index: u16) -> Option<Slot<F>> {
        let make = self.kinds.get(usize::from(index))?;
        make().any().is::<F>().then(|| Slot::new(index))
    }
}

/// The facts of one request, one in each slot.
#[derive(Default)]
pub struct Facts {
    /// Number of their layout; 0 for none.
    layout: u64,
    /// Empty where a producer has taken its own out, to write it.
    cells: Vec<Option<Cell>>,
}

impl Facts {
    /// The fact in `slot`: its default value when its producer found nothing.
    ///
    /// # Panics
    /// With a slot of another strategy, or in a producer with a slot of its own: that one is in [`Own`].
    #[inline]
    pub fn get<F: Fact>(&self, slot: Slot<F>) -> &F {
        let cell = self.cells.get(usize::from(slot.index)).and_then(Option::as_deref);
        match cell.and_then(|cell| cell.any().downcast_ref()) {
            Some(fact) => fact,
            None => absent(F::NAME),
        }
    }

    /// What the fact at the position `slot` says, in numbers.
    pub(crate) fn inputs(&self, slot: u16, inputs: &mut Inputs<'_>) {
        if let Some(Some(cell)) = self.cells.get(usize::from(slot)) {
            cell.inputs(inputs);
        }
    }

    /// Whether these are facts of `layout`.
    pub(crate) fn are_of(&self, layout: &Layout) -> bool {
        self.layout == layout.number
    }

    /// Makes them facts of `layout`, empty ones when they were those of another strategy.
    pub(crate) fn fit(&mut self, layout: &Layout) {
        if !self.are_of(layout) {
            self.layout = layout.number;
            self.cells = layout.kinds.iter().map(|make| Some(make())).collect();
        }
    }

    /// Empties all facts, after a decision: they may have parts of its request, which would stay in memory else.
    pub(crate) fn forget(&mut self) {
        self.cells.iter_mut().flatten().for_each(|cell| cell.clear());
    }

    /// Takes in what was found before the decision.
    pub(crate) fn learn(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for Finding { index, cell } in findings {
            if let Some(place) = self.cells.get_mut(usize::from(index)) {
                *place = Some(cell);
            }
        }
    }

    /// Lets a producer write the facts of `slots`, while it reads all others.
    pub(crate) fn produce(&mut self, slots: &[u16], write: impl FnOnce(&Self, &mut Own)) {
        let mut own = Own { cells: smallvec::SmallVec::new() };
        for &slot in slots {
            if let Some(cell) = self.cells.get_mut(usize::from(slot)).and_then(Option::take) {
                own.cells.push((slot, cell));
            }
        }
        write(self, &mut own);
        while let Some((slot, cell)) = own.cells.pop() {
            self.cells[usize::from(slot)] = Some(cell);
        }
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Facts({})", self.cells.len())
    }
}

/// The facts that one producer provides, to write into. They are empty when it is called.
pub struct Own {
    cells: smallvec::SmallVec<[(u16, Cell); 2]>,
}

impl Own {
    /// The fact in `slot`.
    ///
    /// # Panics
    /// With a slot that is not the producer's own.
    #[inline]
    pub fn get_mut<F: Fact>(&mut self, slot: Slot<F>) -> &mut F {
        let cell = self.cells.iter_mut().find(|(index, _)| *index == slot.index);
        match cell.and_then(|(_, cell)| cell.any_mut().downcast_mut()) {
            Some(fact) => fact,
            None => absent(F::NAME),
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.cells.iter().map(|(slot, _)| slot)).finish()
    }
}

#[cold]
fn absent(name: &str) -> ! {
    panic!("the slot of a {name} is not one of this strategy's, or is its producer's own")
}
