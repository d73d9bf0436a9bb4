//! Which models the servers of a pool have, as they list them.

use crate::ask::Ask;
use crate::cx::Cx;
use crate::role::Screener;
use crate::view::{Candidates, View};

/// What becomes of a request for a model that no server lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unknown {
    /// It goes on: the server says what it thinks of it.
    #[default]
    Pass,
    /// It is refused with 404.
    NotFound,
}

/// Whether any server lists `model`; `None` when none does, and of a server it is not known what it lists.
pub fn is_served(view: &View, model: &str) -> Option<bool> {
    let mut all_known = !view.endpoints.is_empty() && view.models.len() == view.endpoints.len();
    for models in &view.models {
        match models {
            Some(models) if models.has(model) => return Some(true),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(false)
}

/// Takes out the endpoints that don't list the model of a request, where any does.
#[derive(Debug)]
pub(crate) struct Served;

impl Screener for Served {
    fn screen(&self, ask: &Ask<'_>, _: &mut Cx, keep: &mut Candidates) {
        let Some(model) = ask.request.model() else { return };
        let lists = |i: usize| {
            let models = ask.view.models.get(i).and_then(Option::as_ref);
            models.is_some_and(|models| models.has(model))
        };
        if keep.iter().any(lists) {
            keep.retain(lists);
        }
    }

    fn why(&self, _: &Ask<'_>, _: usize) -> Option<String> {
        Some("does not list the model".to_owned())
    }
}
