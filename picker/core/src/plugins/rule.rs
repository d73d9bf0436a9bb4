//! Rules in CEL over a request and an endpoint: what `cel-filter` and `cel-scorer` have in common.

use std::collections::BTreeSet;

use cel::common::ast::{Expr, IdedExpr};
use cel::common::types::{CelBool, CelDouble, CelInt, CelUInt};
use cel::common::value::Val;
use cel::objects::Value;
use cel::{Context, ExecutionError};

use super::observe::expression::{Expression, STANDARD};
use crate::ask::Ask;
use crate::column::Column;
use crate::endpoint::Labels;
use crate::needs::Needs;
use crate::plugin::{BuildCx, BuildError};
use crate::request::Request;

mod object;
#[cfg(test)]
mod tests;

use object::{Numbers, Object, Scope};

/// The variables, and the fields that each has.
const VARIABLES: [(&str, &[&str]); 2] = [
    ("request", &["model", "headers"]),
    ("endpoint", &["name", "labels", "waiting", "running", "kvUsage", "inFlight"]),
];

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
    /// What must be done for it.
    pub needs: Needs,
    /// Whether labels of endpoints are all that it reads.
    pub by_labels: bool,
}

/// A type that a rule can come to.
pub(super) trait Answer: Sized {
    /// What it is called.
    const NAME: &'static str;

    /// `value` as it, if it is of this type.
    fn of(value: &dyn Val) -> Option<Self>;
}

impl Answer for bool {
    const NAME: &'static str = "true or false";

    fn of(value: &dyn Val) -> Option<Self> {
        value.downcast_ref::<CelBool>().map(|value| *value.inner())
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
}

impl Rule {
    /// Reads `text`, and says in `cx` which columns it reads.
    ///
    /// # Errors
    /// What is wrong with it, and where it can't come to an answer of the type `A`.
    pub fn build<A: Answer>(text: &str, cx: &mut BuildCx<'_>) -> Result<Self, BuildError> {
        let invalid = |message: String| BuildError::invalid(FIELD, message);
        let expression = Expression::over(&VARIABLES.map(|(name, _)| name), text).map_err(invalid)?;
        let fields = fields(expression.tree()).map_err(invalid)?;
        let columns = COLUMNS.map(|(field, _)| fields.contains(&("endpoint", field)));
        for ((_, column), _) in COLUMNS.iter().zip(columns).filter(|(_, reads)| *reads) {
            cx.reads_column(*column);
        }
        let needs = if fields.contains(&("request", "model")) { Needs::BODY } else { Needs::NOTHING };
        let by_labels = !fields.is_empty() && fields.iter().all(|field| *field == ("endpoint", "labels"));
        let rule = Self { expression, columns, needs, by_labels };
        rule.try_out::<A>(cx)?;
        Ok(rule)
    }

    /// Evaluates it about an endpoint that might be, so that whoever wrote it learns what can't work.
    fn try_out<A: Answer>(&self, cx: &mut BuildCx<'_>) -> Result<(), BuildError> {
        let (request, labels) = (Request::default(), Labels::new());
        let numbers = Numbers { columns: [3.0, 5.0, 0.5], in_flight: 4.0 };
        let endpoint = Object::Endpoint { name: "pod-0-rank-0", labels: &labels, numbers };
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
        About { rule: self, ask: *ask, columns }
    }

    /// What it comes to for an endpoint with `labels`, where it reads nothing else.
    pub fn of_labels<A: Answer>(&self, labels: &Labels) -> Option<A> {
        let endpoint = Object::Endpoint { name: "", labels, numbers: Numbers::default() };
        self.evaluate(&Scope { request: Object::Nothing, endpoint }, A::of).ok()?
    }
}

/// The fields of variables that `tree` reads.
fn fields(tree: &IdedExpr) -> Result<BTreeSet<(&'static str, &'static str)>, String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![tree]);
    while let Some(node) = open.pop() {
        match &node.expr {
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(variable) => {
                    found.insert(field(variable, &select.field)?);
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
    Ok(found)
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
}

impl About<'_> {
    /// What it comes to for the endpoint at position `i` of the view; `None` when it has no value, or one of another type.
    pub fn of<A: Answer>(&self, i: usize) -> Option<A> {
        let endpoint = &self.ask.view.endpoints[i];
        let column = |column: &[f32]| column.get(i).map_or(f64::NAN, |number| f64::from(*number));
        let in_flight = f64::from(endpoint.live().in_flight());
        let numbers = Numbers { columns: self.columns.map(column), in_flight };
        let endpoint = Object::Endpoint { name: &endpoint.name, labels: &endpoint.labels, numbers };
        self.rule.evaluate(&Scope { request: Object::Request(self.ask.request), endpoint }, A::of).ok()?
    }
}
