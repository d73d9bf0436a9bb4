//! What a plugin may ask for while an instance of it is made.

use std::sync::Arc;

use crate::store::{Shape, Staging, State};

/// Place of a producer's findings in [`crate::schedule::Produced`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerId(pub(crate) usize);

/// The surroundings of one instance that is being made.
pub struct BuildCx<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: &'a str,
    /// Place of this instance, if it is a producer.
    pub(crate) own: Option<ProducerId>,
    /// The producers that this instance asked for.
    pub(crate) asks: Vec<ProducerId>,
    /// Names and types of all producers, in the order of their ids.
    pub(crate) producers: &'a mut Producers,
    pub(crate) staging: &'a mut Staging,
}

impl BuildCx<'_> {
    /// Name of the instance.
    pub fn name(&self) -> &str {
        self.name
    }

    /// The place of this producer's findings.
    pub fn own_id(&self) -> ProducerId {
        self.own.unwrap_or(ProducerId(usize::MAX))
    }

    /// The producer called `name`, which must be of type `kind`. One called like its type is made with
    /// default parameters when the configuration has none, and works only while the instance that asks
    /// for it has a part in the strategy.
    ///
    /// # Errors
    /// A message for whoever wrote the configuration, when there is no such producer.
    pub fn producer(&mut self, kind: &'static str, name: Option<&str>) -> Result<ProducerId, String> {
        let id = self.producers.find(kind, name)?;
        self.asks.push(id);
        Ok(id)
    }

    /// State that outlives a change of strategy as long as the instance keeps its type, its name and
    /// `shape`; `make` is called when there is none yet.
    pub fn state<S: State>(&mut self, shape: Shape, make: impl FnOnce() -> S) -> Arc<S> {
        self.staging.state(self.kind, self.name, shape, make)
    }

    /// State that all instances of this type share, and that outlives a change of strategy as long as there
    /// is one of them; `make` is called when there is none yet.
    pub fn shared_state<S: State>(&mut self, make: impl FnOnce() -> S) -> Arc<S> {
        self.staging.shared(self.kind, make)
    }
}

/// The producers of a configuration, the default ones added as they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    /// Name and type, by id.
    pub list: Vec<(String, String)>,
}

impl Producers {
    fn find(&mut self, kind: &'static str, name: Option<&str>) -> Result<ProducerId, String> {
        let name = name.unwrap_or(kind);
        if let Some(id) = self.list.iter().position(|(n, _)| n == name) {
            let found = &self.list[id].1;
            return if found == kind {
                Ok(ProducerId(id))
            } else {
                Err(format!("{name} is a {found}, and this needs a {kind}"))
            };
        }
        if name != kind {
            return Err(format!(
                "there is no plugin called {name}; add one of type {kind}, or leave this out"
            ));
        }
        self.list.push((name.to_owned(), kind.to_owned()));
        Ok(ProducerId(self.list.len() - 1))
    }

    pub fn id(&self, name: &str) -> Option<ProducerId> {
        self.list.iter().position(|(n, _)| n == name).map(ProducerId)
    }
}
