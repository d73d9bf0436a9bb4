//! `request-attribute-reporter`: tells the gateway a number that is worked out from the token counts of an answer.

use std::sync::Arc;

use cel::objects::Value;
use schemars::JsonSchema;
use serde::Deserialize;

use super::expression::{Expression, Variables};
use crate::ask::{Ask, Decision};
use crate::edits::Edits;
use crate::outcome::{Outcome, Usage};
use crate::plugin::{BuildCx, BuildError, Origin, Plugin, Role, Roles, Task};
use crate::role::{Observer, ResponseWatch};

/// Parameters of `request-attribute-reporter`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Params {
    /// What is told: exactly one. For more of them, declare the plugin several times, under different names.
    #[schemars(length(min = 1, max = 1))]
    attributes: Vec<Attribute>,
}

/// One number, and where it goes.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Attribute {
    /// Where the number goes in the dynamic metadata of the request.
    key: Key,
    /// The number, as an expression in CEL (<https://cel.dev>) over `usage`: `usage.prompt_tokens`,
    /// `usage.completion_tokens`, `usage.total_tokens`, `usage.prompt_token_details.cached_tokens` and
    /// `usage.completion_token_details.reasoning_tokens`. They are of type double, so numbers beside them are written like
    /// 2.0, not 2. Up to 1024 bytes, without loops. Its fraction is cut off.
    expression: String,
    /// When the number is told, as an expression in CEL that is true or false. Always, if left out.
    condition: Option<String>,
}

/// A place in dynamic metadata.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Key {
    /// The namespace; `envoy.lb` if left out.
    #[serde(default)]
    namespace: String,
    /// The key within the namespace, for example `x-gateway-inference-request-cost`.
    name: String,
}

/// Tells the gateway a number at the end of a response.
#[derive(Debug)]
pub struct RequestAttributeReporter(Arc<Report>);

/// What is told, and where.
#[derive(Debug)]
struct Report {
    namespace: String,
    name: String,
    expression: Expression,
    condition: Option<Expression>,
}

impl Plugin for RequestAttributeReporter {
    const TYPE: &'static str = "request-attribute-reporter";
    const TASK: Task = Task::Data;
    const ORIGIN: Origin = Origin::Gie;
    const SUMMARY: &'static str = "Tells the gateway at the end of a response a number that an expression makes of its token counts, as dynamic metadata. 0 is not told, and nothing for an answer without token counts.";
    const ROLES: &'static [Role] = &[Role::Observer];
    const SAMPLE: &'static str = "\
plugins:
- type: queue-scorer
- type: request-attribute-reporter
  parameters:
    attributes:
    - key: {name: x-gateway-inference-request-cost}
      expression: usage.prompt_tokens + 3.0 * usage.completion_tokens
      condition: usage.total_tokens > 100
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
";
    type Params = Params;

    fn build(params: Params, cx: &mut BuildCx<'_>) -> Result<Roles, BuildError> {
        let Ok([attribute]) = <[Attribute; 1]>::try_from(params.attributes) else {
            let message = "must have exactly one entry; declare the plugin once for each number";
            return Err(BuildError::invalid("attributes", message));
        };
        let Key { mut namespace, name } = attribute.key;
        if name.is_empty() {
            return Err(BuildError::invalid("attributes[0].key.name", "must not be empty"));
        }
        if namespace.is_empty() {
            "envoy.lb".clone_into(&mut namespace);
        }
        let parse = |field, text: &str| {
            Expression::parse(text).map_err(|message| BuildError::invalid(field, message))
        };
        let expression = parse(EXPRESSION, &attribute.expression)?;
        let condition = attribute.condition.filter(|text| !text.is_empty());
        let condition = condition.map(|text| parse(CONDITION, &text)).transpose()?;
        let report = Report { namespace, name, expression, condition };
        report.try_out(cx)?;
        Ok(Roles { observer: Some(Arc::new(Self(Arc::new(report)))), ..Roles::default() })
    }
}

const EXPRESSION: &str = "attributes[0].expression";
const CONDITION: &str = "attributes[0].condition";

impl Report {
    /// Evaluates it for an answer that might be, so that whoever wrote it learns what can't work.
    fn try_out(&self, cx: &mut BuildCx<'_>) -> Result<(), BuildError> {
        let variables = Variables::from(Usage { prompt: 1000, cached: 600, completion: 200, reasoning: 100 });
        let holds = self.holds(&variables).map_err(|message| BuildError::invalid(CONDITION, message))?;
        match self.number(&variables) {
            Ok(_) => Ok(()),
            Err(message) if holds => Err(BuildError::invalid(EXPRESSION, message)),
            // The condition may be there to prevent this.
            Err(message) => {
                cx.warn(EXPRESSION, message);
                Ok(())
            }
        }
    }

    /// Whether the number is to be told.
    fn holds(&self, variables: &Variables) -> Result<bool, String> {
        match self.condition.as_ref().map(|condition| condition.evaluate(variables)) {
            None => Ok(true),
            Some(Ok(Value::Bool(holds))) => Ok(holds),
            Some(Ok(_)) => Err("must be true or false".to_owned()),
            Some(Err(error)) => Err(told(&error)),
        }
    }

    /// The number, without its fraction.
    fn number(&self, variables: &Variables) -> Result<f64, String> {
        match self.expression.evaluate(variables) {
            Ok(Value::Float(number)) => Ok(number.trunc()),
            Ok(Value::Int(number)) => Ok(number as f64),
            Ok(Value::UInt(number)) => Ok(number as f64),
            Ok(_) => Err("must be a number".to_owned()),
            Err(error) => Err(told(&error)),
        }
    }

    /// What is told of an answer with these counts.
    fn of(&self, usage: Usage) -> Option<f64> {
        let variables = Variables::from(usage);
        let number = self.holds(&variables).ok()?.then(|| self.number(&variables).ok())??;
        (number != 0.0).then_some(number)
    }
}

/// Why an expression has no value, for whoever wrote it.
fn told(error: &cel::ExecutionError) -> String {
    let hint = match error {
        cel::ExecutionError::UnsupportedBinaryOperator(..) => {
            "; the numbers of usage are of type double: write 2.0, not 2"
        }
        cel::ExecutionError::NoSuchKey(_) => "; test with has(…) whether it is there",
        _ => "",
    };
    format!("has no value for an answer with all token counts: {error}{hint}")
}

impl Observer for RequestAttributeReporter {
    fn watch(&self, _: &Ask<'_>, _: &Decision) -> Option<Box<dyn ResponseWatch>> {
        Some(Box::new(Watch(self.0.clone())))
    }
}

/// Waits for the end of one response.
struct Watch(Arc<Report>);

impl ResponseWatch for Watch {
    fn ended(&mut self, outcome: &Outcome, edits: &mut Edits) {
        if let Some(number) = outcome.usage.and_then(|usage| self.0.of(usage)) {
            edits.number(self.0.namespace.clone(), self.0.name.clone(), number);
        }
    }
}

#[cfg(test)]
mod tests;
