//! What a plugin may ask for while an instance of it is made.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::{BuildError, parameter_path};
use crate::column::{Column, MAX_COLUMNS};
use crate::fact::{Fact, Layout, Slot};
use crate::role::Decider;
use crate::scrape::{CORE_EXTRACTOR, attributes};
use crate::store::{Shape, Staging, State};

/// The deciders of a configuration by name; `None` for a plugin that is none. They are made before all others.
pub(crate) type Deciders = BTreeMap<String, Option<Arc<dyn Decider>>>;

/// What the instances of one strategy have in common while they are made.
pub(crate) struct Building {
    /// State that outlives the strategy.
    pub staging: Staging,
    /// The slots of facts so far.
    pub layout: Layout,
    /// Whose fact is in each slot, and who reads it.
    pub fittings: Vec<Fitting>,
    /// The deciders.
    pub deciders: Deciders,
    /// Names of the scheduling profiles, in their order.
    pub profiles: Vec<String>,
    /// Type and name of each plugin of the configuration, in their order.
    pub declared: Vec<(&'static str, String)>,
}

/// The producer of the fact in one slot, and its readers.
pub(crate) struct Fitting {
    /// The kind of fact.
    pub id: TypeId,
    /// The same in words.
    pub fact: &'static str,
    /// Name of the instance that has to provide it.
    pub producer: String,
    /// The plugin type that provides such facts where no producer is named.
    pub default: Option<&'static str>,
    /// Whether an instance of that name did say that it provides it.
    pub provided: bool,
    /// Whether somebody can't do without it.
    pub required: bool,
    /// Paths of the parameters by which instances read it, with the names of these.
    pub readers: Vec<(String, String)>,
    /// What the default producer is made with, if a reader says so.
    pub made_with: Option<MadeWith>,
}

/// The parameters of a producer that the configuration does not have.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MadeWith {
    /// Path of the plugin whose parameters have them, for what is wrong with one.
    pub path: String,
    /// The parameters.
    pub parameters: Map<String, Value>,
}

/// A parameter that has moved from one plugin type to another.
pub(crate) struct Moved {
    /// Its name where it was.
    pub field: &'static str,
    /// The parameters it is now, with their values.
    pub now: Vec<(&'static str, Value)>,
}

impl Building {
    fn slot<F: Fact>(&mut self, producer: &str) -> (Slot<F>, &mut Fitting) {
        let id = TypeId::of::<F>();
        let index = match self.fittings.iter().position(|f| f.id == id && f.producer == producer) {
            Some(index) => index,
            None => {
                self.layout.add::<F>();
                self.fittings.push(Fitting {
                    id,
                    fact: F::NAME,
                    producer: producer.to_owned(),
                    default: F::DEFAULT_PRODUCER,
                    provided: false,
                    required: false,
                    readers: Vec::new(),
                    made_with: None,
                });
                self.fittings.len() - 1
            }
        };
        (Slot::new(index as u16), &mut self.fittings[index])
    }
}

impl Building {
    /// Name of the producer of `F` where none is named: the plugin called like the fact's default producer, or else the
    /// only one of that type in the configuration, whatever its name, or else a default one.
    fn unnamed<F: Fact>(&self) -> Option<&str> {
        let kind = F::DEFAULT_PRODUCER?;
        let mut of_kind = self.of_kind(kind);
        match (of_kind.next(), of_kind.next()) {
            (Some(only), None) if self.declared.iter().all(|(_, name)| name != kind) => Some(only),
            _ => Some(kind),
        }
    }

    /// Names of the plugins of type `kind` in the configuration.
    fn of_kind(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.declared.iter().filter(move |(other, _)| *other == kind).map(|(_, name)| name.as_str())
    }

    /// Nothing was made yet. `profiles` are the names of the scheduling profiles, in their order.
    pub fn new(staging: Staging, profiles: Vec<String>) -> Self {
        let (layout, fittings, deciders) = (Layout::default(), Vec::new(), Deciders::new());
        Self { staging, layout, fittings, deciders, profiles, declared: Vec::new() }
    }
}

/// The surroundings of one instance that is being made.
pub struct BuildCx<'a> {
    kind: &'static str,
    name: &'a str,
    /// Where the instance stands in the configuration.
    path: &'a str,
    building: &'a mut Building,
    asked: Asked,
}

/// What an instance asked for while it was made.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Columns that it reads.
    pub columns: Vec<Column>,
    /// Attributes of endpoints that it reads.
    pub attributes: Vec<AttributeRead>,
    /// Files that it reads when it serves: parameter and path.
    pub files: Vec<(String, String)>,
    /// Warnings: parameter and message.
    pub warnings: Vec<(String, String)>,
    /// Slots of the facts that it provides.
    pub provides: Vec<u16>,
    /// Slots of the facts that it reads.
    pub reads: Vec<u16>,
    /// Names of the deciders that it asks.
    pub decides: Vec<String>,
}

/// An attribute of endpoints that an instance reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttributeRead {
    /// The parameter that names it.
    pub field: String,
    /// Its name.
    pub attribute: String,
    /// Name or type of the extractor that sets it; empty for any.
    pub producer: String,
    /// Where it is in views.
    pub column: Column,
}

impl<'a> BuildCx<'a> {
    pub(crate) fn new(kind: &'static str, name: &'a str, path: &'a str, building: &'a mut Building) -> Self {
        Self { kind, name, path, building, asked: Asked::default() }
    }

    pub(crate) fn asked(self) -> Asked {
        self.asked
    }

    /// The place of a fact that this instance provides: as a producer or a preparer it writes it. In other roles it
    /// finds it with its default value at each request, and may note something in it for a later role if it has a cell.
    pub fn provides<F: Fact>(&mut self) -> Slot<F> {
        let (slot, fitting) = self.building.slot::<F>(self.name);
        fitting.provided = true;
        self.asked.provides.push(slot.index());
        slot
    }

    /// The place of a fact that the instance called `producer` provides. Without a name, with an empty one, or with that of
    /// the fact's default producer, it is the one called so, or else the only one of that type, whatever its name. When the
    /// configuration has none, one is made with default parameters, and works only while somebody who reads from it has a
    /// part in the strategy. `field` is the parameter that has the name.
    ///
    /// Whether that instance is there, and provides such a fact, is checked when all are made.
    ///
    /// # Errors
    /// When there is no name, and the fact has no default producer.
    pub fn reads<F: Fact>(&mut self, field: &str, producer: Option<&str>) -> Result<Slot<F>, BuildError> {
        let named = producer.filter(|name| !name.is_empty() && Some(*name) != F::DEFAULT_PRODUCER);
        let producer = named.or(self.building.unnamed::<F>());
        let Some(producer) = producer.map(str::to_owned) else {
            let message = format!("is required: the name of a plugin that provides a {}", F::NAME);
            return Err(BuildError::invalid(field, message));
        };
        let (slot, fitting) = self.building.slot::<F>(&producer);
        let reader = (parameter_path(self.path, field), producer);
        fitting.required = true;
        fitting.readers.push(reader);
        self.asked.reads.push(slot.index());
        Ok(slot)
    }

    /// As [`BuildCx::reads`], for a type that had `moved` among its parameters before its fact's default producer got
    /// them. That producer is made with them if the configuration does not have it. Each is warned of.
    pub(crate) fn reads_with<F: Fact>(
        &mut self,
        field: &str,
        producer: Option<&str>,
        moved: Vec<Moved>,
    ) -> Result<Slot<F>, BuildError> {
        let slot = self.reads::<F>(field, producer)?;
        if moved.is_empty() {
            return Ok(slot);
        }
        let path = self.path.to_owned();
        let name = self.building.fittings[usize::from(slot.index())].producer.clone();
        let declared = self.building.declared.iter().any(|(_, declared)| *declared == name)
            || Some(name.as_str()) != F::DEFAULT_PRODUCER;
        let mut parameters = Map::new();
        for Moved { field, now } in moved {
            let there: Vec<_> = now.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            let there = there.join(" and ");
            let message = if declared {
                format!(
                    "is a parameter of the plugin {name} now, and has no effect here; write {there} there"
                )
            } else {
                format!(
                    "is a parameter of the plugin {name} now, which is made with it; add that, and write {there} there"
                )
            };
            self.warn(field, message);
            for (name, value) in now {
                // Of two former names of one parameter, the first counts.
                parameters.entry(name).or_insert(value);
            }
        }
        if declared {
            return Ok(slot);
        }
        let (_, fitting) = self.building.slot::<F>(&name);
        let mine = MadeWith { path, parameters };
        let made_with = fitting.made_with.get_or_insert_with(|| mine.clone()).clone();
        if made_with.parameters != mine.parameters {
            let message = format!("{name} is made with the parameters of {}, not with these", made_with.path);
            self.warn("", message);
        }
        Ok(slot)
    }

    /// As [`BuildCx::reads`]. Where the configuration has no such producer, the default one is made with `parameters`.
    pub(crate) fn reads_made_with<F: Fact>(
        &mut self,
        field: &str,
        producer: Option<&str>,
        parameters: Map<String, Value>,
    ) -> Result<Slot<F>, BuildError> {
        let slot = self.reads::<F>(field, producer)?;
        let fitting = &mut self.building.fittings[usize::from(slot.index())];
        fitting.made_with.get_or_insert_with(|| MadeWith { path: self.path.to_owned(), parameters });
        Ok(slot)
    }

    /// As [`BuildCx::reads`], for a fact that the instance can do without: where no `producer` is named, and nobody else makes the
    /// fact's default producer necessary, the fact keeps its default value.
    ///
    /// # Errors
    /// As [`BuildCx::reads`].
    pub fn reads_if_provided<F: Fact>(
        &mut self,
        field: &str,
        producer: Option<&str>,
    ) -> Result<Slot<F>, BuildError> {
        let unnamed = self.building.unnamed::<F>().filter(|_| producer.is_none_or(str::is_empty));
        let Some(producer_name) = unnamed.map(str::to_owned) else {
            return self.reads(field, producer);
        };
        let (slot, _) = self.building.slot::<F>(&producer_name);
        self.asked.reads.push(slot.index());
        Ok(slot)
    }

    /// How many instances have said so far that they provide a fact of this kind.
    pub(crate) fn provided<F: Fact>(&self) -> usize {
        let id = TypeId::of::<F>();
        self.building.fittings.iter().filter(|fitting| fitting.id == id && fitting.provided).count()
    }

    /// Names of the plugins in the configuration that provide `F` by default, where it is not clear which one is meant
    /// without a name: several, none of which is called like their type.
    pub fn ambiguous<F: Fact>(&self) -> Option<Vec<&str>> {
        let kind = F::DEFAULT_PRODUCER?;
        let names: Vec<_> = self.building.of_kind(kind).collect();
        (names.len() > 1 && !names.contains(&kind)).then_some(names)
    }

    /// The decider called `name`, which the parameter `field` names.
    ///
    /// # Errors
    /// When there is no plugin of that name, or it is no decider.
    pub fn decider(&mut self, field: &str, name: &str) -> Result<Arc<dyn Decider>, BuildError> {
        match self.building.deciders.get(name) {
            Some(Some(decider)) => {
                self.asked.decides.push(name.to_owned());
                Ok(decider.clone())
            }
            Some(None) => Err(BuildError::invalid(field, format!("{name:?} is no decider"))),
            None => Err(BuildError::unknown_ref(
                field,
                format!("there is no plugin called {name:?}; add a decider of that name"),
            )),
        }
    }

    /// The position of the scheduling profile called `name`, which the parameter `field` names.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn profile(&self, field: &str, name: &str) -> Result<usize, BuildError> {
        self.find_profile(name).ok_or_else(|| {
            let message = format!("there is no scheduling profile called {name:?}");
            BuildError::none_of(field, message, name, self.building.profiles.iter().map(String::as_str))
        })
    }

    /// The position of the scheduling profile called `name`, if there is one.
    pub fn find_profile(&self, name: &str) -> Option<usize> {
        self.building.profiles.iter().position(|profile| profile == name)
    }

    /// Says that the instance reads `column` of the view, so that the model servers are scraped for it.
    pub fn reads_column(&mut self, column: Column) {
        self.asked.columns.push(column);
    }

    /// The column called `name`, whatever fills it; the instance reads it. `field` is the parameter that has the name.
    ///
    /// # Errors
    /// When there are too many columns.
    pub fn column(&mut self, field: &str, name: &str) -> Result<Column, BuildError> {
        let Some(column) = self.building.staging.columns.intern(name) else {
            let message =
                format!("{name:?} is one column too many: a picker keeps {MAX_COLUMNS} from its start on");
            return Err(BuildError::invalid(field, message));
        };
        self.reads_column(column);
        Ok(column)
    }

    /// The column of the attribute `attribute` of endpoints, which the instance reads: a number that the extractor
    /// called `producer` takes from the metrics of model servers. Without a name it is the core metrics extractor;
    /// with an empty one it is any. `field` is the parameter that has the attribute's name.
    ///
    /// Whether an extractor sets it is checked when all plugins are made.
    ///
    /// # Errors
    /// When the name is none, or there are too many columns.
    pub fn attribute(
        &mut self,
        field: &str,
        attribute: &str,
        producer: Option<&str>,
    ) -> Result<Column, BuildError> {
        if attribute.is_empty() {
            return Err(BuildError::invalid(field, "must not be empty"));
        }
        if producer.is_none() && attribute.contains('/') {
            let message =
                "must be the name of the attribute alone; its producer stands in the parameter producer";
            return Err(BuildError::invalid(field, message));
        }
        let producer = producer.unwrap_or(CORE_EXTRACTOR);
        let column = match attributes::core(attribute) {
            Some(known) => {
                self.reads_column(known);
                known
            }
            None => self.column(field, &format!("{producer}/{attribute}"))?,
        };
        self.asked.attributes.push(AttributeRead {
            field: field.to_owned(),
            attribute: attribute.to_owned(),
            producer: producer.to_owned(),
            column,
        });
        Ok(column)
    }

    /// Names a file that the instance reads when it serves, for whoever runs the picker. Nothing reads it now.
    pub fn file(&mut self, field: &str, path: &str) {
        self.asked.files.push((field.to_owned(), path.to_owned()));
    }

    /// Warns whoever wrote the configuration of the parameter `field`.
    pub fn warn(&mut self, field: &str, message: impl Into<String>) {
        self.asked.warnings.push((field.to_owned(), message.into()));
    }

    /// `value`, or `default` with a warning where it is the zero or the empty text that other endpoint pickers take for the
    /// default.
    pub fn or_default<T: Default + PartialEq + Debug>(&mut self, field: &str, value: T, default: T) -> T {
        if value != T::default() {
            return value;
        }
        self.warn(
            field,
            format!("{value:?} counts as the default, {default:?}; leave it out, or write that"),
        );
        default
    }

    /// Whether there is one scheduling profile alone.
    pub fn has_one_profile(&self) -> bool {
        self.building.profiles.len() == 1
    }

    /// State that outlives a change of strategy as long as the instance keeps its type, its name and
    /// `shape`; `make` is called when there is none yet.
    pub fn state<S: State>(&mut self, shape: Shape, make: impl FnOnce() -> S) -> Arc<S> {
        self.building.staging.state(self.kind, self.name, shape, make)
    }

    /// State that all instances of this type share, and that outlives a change of strategy as long as there
    /// is one of them; `make` is called when there is none yet.
    pub fn shared_state<S: State>(&mut self, make: impl FnOnce() -> S) -> Arc<S> {
        self.building.staging.shared(self.kind, make)
    }
}
