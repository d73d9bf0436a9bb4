//! Rules in CEL over a request and an endpoint: what `cel-filter` and `cel-scorer` have in common.

use std::collections::BTreeSet;
use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};
use cel::common::types::{CelBool, CelDouble, CelInt, CelUInt};
use cel::common::value::Val;
use cel::objects::Value;
use cel::{Context, ExecutionError};
use smallvec::SmallVec;

use super::observe::expression::{Expression, STANDARD};
use crate::ask::Ask;
use crate::column::Column;
use crate::endpoint::Labels;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError};
use crate::request::Request;
use crate::view::Models;

mod object;
#[cfg(test)]
mod tests;
mod typed;

use object::{Attributes, Numbers, Object, Scope};
use typed::{Here, Known, Root, Typed};

/// The variables, and the fields that each has.
const VARIABLES: [(&str, &[&str]); 2] = [
    ("request", &["model", "headers"]),
    ("endpoint", &["name", "labels", "waiting", "running", "kvUsage", "inFlight", "models", "attributes"]),
];

/// The field of an endpoint whose fields are attributes.
const ATTRIBUTES: (&str, &str) = ("endpoint", "attributes");

/// The fields of an endpoint that are columns of the view.
const COLUMNS: [(&str, Column); 3] =
    [("waiting", Column::WAITING), ("running", Column::RUNNING), ("kvUsage", Column::KV_USAGE)];

/// The parameter that has the rule.
const FIELD: &str = "expression";

/// A rule that can be asked about an endpoint.
#[derive(Debug)]
pub(super) struct Rule {
    expression: Expression,
    /// Which of [`COLUMNS`] it reads.
    columns: [bool; COLUMNS.len()],
    /// The attributes that it reads, with their columns.
    attributes: Box<[(Box<str>, Column)]>,
    /// Whether it reads the models of endpoints.
    models: bool,
    /// What must be done for it.
    pub needs: Needs,
    /// Whether labels of endpoints are all that it reads.
    pub by_labels: bool,
    /// The same, where it need not be interpreted.
    typed: Option<Typed>,
}

/// A type that a rule can come to.
pub(super) trait Answer: Sized {
    /// What it is called.
    const NAME: &'static str;

    /// `value` as it, if it is of this type.
    fn of(value: &dyn Val) -> Option<Self>;

    /// What `root` comes to, if it is of this type.
    fn of_typed(root: &Root, here: &Here<'_>) -> Option<Self>;
}

impl Answer for bool {
    const NAME: &'static str = "true or false";

    fn of(value: &dyn Val) -> Option<Self> {
        value.downcast_ref::<CelBool>().map(|value| *value.inner())
    }

    fn of_typed(root: &Root, here: &Here<'_>) -> Option<Self> {
        match root {
            Root::Test(test) => test.of(here),
            Root::Number(_) => None,
        }
    }
}

impl Answer for f64 {
    const NAME: &'static str = "a number";

    fn of(value: &dyn Val) -> Option<Self> {
        let double = || value.downcast_ref::<CelDouble>().map(|value| *value.inner());
        let int = || value.downcast_ref::<CelInt>().map(|value| *value.inner() as f64);
        let unsigned = || value.downcast_ref::<CelUInt>().map(|value| *value.inner() as f64);
        double().or_else(int).or_else(unsigned)
    }

    fn of_typed(root: &Root, here: &Here<'_>) -> Option<Self> {
        match root {
            Root::Number(number) => number.of(here),
            Root::Test(_) => None,
        }
    }
}

impl Rule {
    /// Reads `text`, and says in `cx` which columns it reads.
    ///
    /// # Errors
    /// What is wrong with it, and where it can't come to an answer of the type `A`.
    pub fn build<A: Answer>(text: &str, cx: &mut BuildCx<'_>) -> Result<Self, BuildError> {
        let invalid = |message: String| BuildError::invalid(FIELD, message);
        let expression = Expression::over(&VARIABLES.map(|(name, _)| name), text).map_err(invalid)?;
        let (fields, names) = fields(expression.tree()).map_err(invalid)?;
        let columns = COLUMNS.map(|(field, _)| fields.contains(&("endpoint", field)));
        for ((_, column), _) in COLUMNS.iter().zip(columns).filter(|(_, reads)| *reads) {
            cx.reads_column(*column);
        }
        let models = fields.contains(&("endpoint", "models"));
        if models {
            cx.reads_column(Column::MODELS);
        }
        let mut read = |name: &str| Ok((name.into(), cx.attribute(FIELD, name, Some(""))?));
        let attributes = names.into_iter().map(&mut read).collect::<Result<_, BuildError>>()?;
        let needs = if fields.contains(&("request", "model")) { Needs::BODY } else { Needs::NOTHING };
        let by_labels = !fields.is_empty() && fields.iter().all(|field| *field == ("endpoint", "labels"));
        let typed = Typed::read(expression.tree(), &COLUMNS.map(|(field, _)| field));
        let rule = Self { expression, columns, attributes, models, needs, by_labels, typed };
        rule.try_out::<A>(cx)?;
        Ok(rule)
    }

    /// Evaluates it about an endpoint that might be, so that whoever wrote it learns what can't work.
    fn try_out<A: Answer>(&self, cx: &mut BuildCx<'_>) -> Result<(), BuildError> {
        let (request, labels) = (Request::default(), Labels::new());
        let numbers = Numbers { columns: [3.0, 5.0, 0.5], in_flight: 4.0 };
        let (models, values) = (Models::default(), vec![0.5; self.attributes.len()]);
        let attributes = Attributes { names: &self.attributes, values: &values };
        let endpoint = Object::Endpoint {
            name: "pod-0-rank-0",
            labels: &labels,
            numbers,
            models: Some(&models),
            attributes,
        };
        let message = match self.evaluate(&Scope { request: Object::Request(&request), endpoint }, A::of) {
            // What is there depends on the request and on the endpoint.
            Ok(Some(_)) | Err(ExecutionError::NoSuchKey(_)) => return Ok(()),
            Ok(None) => format!("must be {}", A::NAME),
            Err(
                error @ (ExecutionError::DivisionByZero(_)
                | ExecutionError::RemainderByZero(_)
                | ExecutionError::Overflow(..)
                | ExecutionError::IndexOutOfBounds(_)),
            ) => {
                cx.warn(FIELD, format!("has no value for some endpoints: {error}"));
                return Ok(());
            }
            Err(
                error @ (ExecutionError::UnsupportedBinaryOperator(..) | ExecutionError::NoSuchOverload(_)),
            ) => {
                format!("has no value: {error}; numbers of an endpoint are of type double: write 2.0, not 2")
            }
            Err(error) => format!("has no value: {error}"),
        };
        Err(BuildError::invalid(FIELD, message))
    }

    fn evaluate<T>(
        &self,
        scope: &Scope<'_>,
        read: impl FnOnce(&dyn Val) -> Option<T>,
    ) -> Result<Option<T>, ExecutionError> {
        let standard: &Context<'_, '_> = &STANDARD;
        let mut context = standard.new_inner_scope();
        context.set_variable_resolver(scope);
        Value::resolve_val(self.expression.tree(), &context).map(|value| read(value.as_ref()))
    }

    /// The rule about the request of `ask`.
    pub fn about<'a>(&'a self, ask: &Ask<'a>) -> About<'a> {
        let mut columns: [&[f32]; COLUMNS.len()] = [&[]; COLUMNS.len()];
        for ((place, (_, column)), reads) in columns.iter_mut().zip(COLUMNS).zip(self.columns) {
            if reads {
                *place = ask.view.column(column);
            }
        }
        let models = if self.models { &ask.view.models[..] } else { &[] };
        let attributes = self.attributes.iter().map(|(_, column)| ask.view.column(*column)).collect();
        About {
            rule: self,
            ask: *ask,
            columns,
            models,
            attributes,
            known: self.typed.as_ref().map(|typed| (typed, typed.about(ask))),
        }
    }

    /// What it comes to for an endpoint with `labels`, where it reads nothing else.
    pub fn of_labels<A: Answer>(&self, labels: &Labels) -> Option<A> {
        let (numbers, attributes) = (Numbers::default(), Attributes::default());
        let endpoint = Object::Endpoint { name: "", labels, numbers, models: None, attributes };
        self.evaluate(&Scope { request: Object::Nothing, endpoint }, A::of).ok()?
    }
}

/// The fields of variables that an expression reads, and the names of the attributes among them.
type Read<'a> = (BTreeSet<(&'static str, &'static str)>, BTreeSet<&'a str>);

/// What `tree` reads.
fn fields(tree: &IdedExpr) -> Result<Read<'_>, String> {
    let (mut found, mut attributes, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![tree]);
    while let Some(node) = open.pop() {
        if let Some(name) = attribute(node) {
            attributes.insert(name);
            found.insert(ATTRIBUTES);
            continue;
        }
        match &node.expr {
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(variable) => {
                    let field = field(variable, &select.field)?;
                    if field == ATTRIBUTES {
                        return Err(
                            "can read endpoint.attributes by their names alone: endpoint.attributes[\"…\"]"
                                .to_owned(),
                        );
                    }
                    found.insert(field);
                }
                _ => open.push(&select.operand),
            },
            // What is no variable was refused before.
            Expr::Ident(variable) => {
                field(variable, "")?;
            }
            Expr::Call(call) => {
                open.extend(call.target.as_deref());
                open.extend(&call.args);
            }
            Expr::List(list) => open.extend(&list.elements),
            _ => {}
        }
    }
    Ok((found, attributes))
}

/// The name of the attribute that `node` reads, if it reads one: `endpoint.attributes.name`, `endpoint.attributes["name"]` or
/// `"name" in endpoint.attributes`.
fn attribute(node: &IdedExpr) -> Option<&str> {
    let is_all = |node: &IdedExpr| match &node.expr {
        Expr::Select(select) => {
            let variable = matches!(&select.operand.expr, Expr::Ident(name) if name == ATTRIBUTES.0);
            variable && select.field == ATTRIBUTES.1
        }
        _ => false,
    };
    match &node.expr {
        Expr::Select(select) if is_all(&select.operand) => Some(&select.field),
        Expr::Call(call) => {
            let (all, name) = match (call.func_name.as_str(), &*call.args) {
                (operators::INDEX, [all, name]) | (operators::IN, [name, all]) => (all, name),
                _ => return None,
            };
            let Expr::Literal(LiteralValue::String(name)) = &name.expr else { return None };
            is_all(all).then(|| name.inner())
        }
        _ => None,
    }
}

/// The field called `name` of `variable`.
fn field(variable: &str, name: &str) -> Result<(&'static str, &'static str), String> {
    let found = VARIABLES.iter().find(|(other, _)| *other == variable);
    let (variable, fields) = found.ok_or_else(|| format!("knows no {variable}"))?;
    match fields.iter().find(|field| **field == name) {
        Some(field) => Ok((*variable, *field)),
        None => Err(format!(
            "can read {variable} by its fields alone: {variable}.{}",
            fields.join(&format!(", {variable}."))
        )),
    }
}

/// A rule about one request.
pub(super) struct About<'a> {
    rule: &'a Rule,
    ask: Ask<'a>,
    /// The columns that it reads, empty ones in place of the others.
    columns: [&'a [f32]; COLUMNS.len()],
    /// The models of all endpoints, if it reads them.
    models: &'a [Option<Arc<Models>>],
    /// The columns of the attributes that it reads.
    attributes: SmallVec<[&'a [f32]; 4]>,
    /// Where it need not be interpreted.
    known: Option<(&'a Typed, Known<'a>)>,
}

impl About<'_> {
    /// What it comes to for the endpoint at position `i` of the view; `None` when it has no value, or one of another type.
    pub fn of<A: Answer>(&self, i: usize) -> Option<A> {
        let endpoint = &self.ask.view.endpoints[i];
        if let Some((typed, known)) = &self.known {
            return A::of_typed(&typed.root, &known.at(&self.columns, endpoint, i));
        }
        let column = |column: &[f32]| column.get(i).map_or(f64::NAN, |number| f64::from(*number));
        let in_flight = f64::from(endpoint.live().in_flight());
        let numbers = Numbers { columns: self.columns.map(column), in_flight };
        let values: SmallVec<[f64; 4]> = self.attributes.iter().map(|values| column(values)).collect();
        let attributes = Attributes { names: &self.rule.attributes, values: &values };
        let models = self.models.get(i).and_then(Option::as_deref);
        let (name, labels) = (&*endpoint.name, &endpoint.labels);
        let endpoint = Object::Endpoint { name, labels, numbers, models, attributes };
        self.rule.evaluate(&Scope { request: Object::Request(self.ask.request), endpoint }, A::of).ok()?
    }
}
