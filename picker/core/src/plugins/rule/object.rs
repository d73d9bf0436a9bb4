//! The variables of a rule: requests and endpoints as values of CEL, which are read where they lie.

use cel::ExecutionError;
use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelDouble, CelString, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;

use crate::column::Column;
use crate::endpoint::Labels;
use crate::request::{Headers, Request};
use crate::view::Models;

/// The variables.
pub(super) struct Scope<'a> {
    pub request: Object<'a>,
    pub endpoint: Object<'a>,
}

impl VariableResolver for Scope<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        match variable {
            "request" => Some(CowVal::Borrowed(&self.request)),
            "endpoint" => Some(CowVal::Borrowed(&self.endpoint)),
            _ => None,
        }
    }
}

/// Numbers of an endpoint. One that is not finite is unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    /// Waiting, running, KV usage.
    pub columns: [f64; 3],
    pub in_flight: f64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { columns: [f64::NAN; 3], in_flight: f64::NAN }
    }
}

/// Attributes of an endpoint. A value that is not finite is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attributes<'a> {
    /// The names, each with its column.
    pub names: &'a [(Box<str>, Column)],
    /// The values, in the same order.
    pub values: &'a [f64],
}

impl Attributes<'_> {
    fn get(&self, name: &str) -> Option<f64> {
        let place = self.names.iter().position(|(known, _)| **known == *name)?;
        self.values.get(place).copied()
    }
}

/// Something with fields.
#[derive(Clone, Copy, Debug)]
pub(super) enum Object<'a> {
    Nothing,
    Request(&'a Request),
    Headers(&'a Headers),
    Endpoint {
        name: &'a str,
        labels: &'a Labels,
        numbers: Numbers,
        models: Option<&'a Models>,
        attributes: Attributes<'a>,
    },
    Labels(&'a Labels),
    /// A list, which can be asked what is in it.
    Models(&'a Models),
    Attributes(Attributes<'a>),
}

impl Object<'_> {
    /// The field called `name`; `None` where there is none, or it is unknown.
    fn field<'b, 'w>(&'b self, name: &str) -> Option<CowVal<'b, 'w>>
    where
        Self: 'w,
    {
        let number = |number: f64| number.is_finite().then(|| CowVal::owned(CelDouble::from(number)));
        match (*self, name) {
            (Self::Request(request), "model") => request.model().map(text),
            (Self::Request(request), "headers") => Some(CowVal::owned(Object::Headers(&request.headers))),
            (Self::Headers(headers), name) => headers.text(name).map(text),
            (Self::Endpoint { name, .. }, "name") => Some(text(name)),
            (Self::Endpoint { labels, .. }, "labels") => Some(CowVal::owned(Object::Labels(labels))),
            (Self::Endpoint { numbers, .. }, "waiting") => number(numbers.columns[0]),
            (Self::Endpoint { numbers, .. }, "running") => number(numbers.columns[1]),
            (Self::Endpoint { numbers, .. }, "kvUsage") => number(numbers.columns[2]),
            (Self::Endpoint { numbers, .. }, "inFlight") => number(numbers.in_flight),
            (Self::Endpoint { models, .. }, "models") => Some(CowVal::owned(Object::Models(models?))),
            (Self::Endpoint { attributes, .. }, "attributes") => {
                Some(CowVal::owned(Object::Attributes(attributes)))
            }
            (Self::Attributes(attributes), name) => number(attributes.get(name)?),
            (Self::Labels(labels), name) => labels.get(name).map(|value| text(value)),
            _ => None,
        }
    }
}

fn text<'b, 'w>(text: &'w str) -> CowVal<'b, 'w> {
    CowVal::owned(CelString::from(text))
}

/// `key` as the name of a field.
fn name(key: &dyn Val) -> Result<&str, ExecutionError> {
    key.downcast_ref::<CelString<'_>>().map(CelString::inner).ok_or_else(|| ExecutionError::UnexpectedType {
        got: key.get_type().name().to_owned(),
        want: "string".to_owned(),
    })
}

impl Val for Object<'_> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        static MAP: Type = MAP_TYPE;
        &MAP
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(*self)
    }
}

impl Indexer for Object<'_> {
    fn get<'b, 'w>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let name = name(key)?;
        self.field(name).ok_or_else(|| ExecutionError::NoSuchKey(name.to_owned().into()))
    }

    fn steal<'w>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let name = name(key)?;
        let field = self.field(name).map(CowVal::into_owned);
        field.ok_or_else(|| ExecutionError::NoSuchKey(name.to_owned().into()))
    }
}

impl Container for Object<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        let name = name(key)?;
        Ok(match self {
            Self::Models(models) => models.has(name),
            _ => self.field(name).is_some(),
        })
    }
}
