//! Expressions in CEL, bounded in what they cost, and the variables of those over the token counts of an answer.
//!
//! Syntax and meaning: the language definition of <https://cel.dev>. Not taken are loops and what makes objects.

use std::collections::HashMap;
use std::sync::LazyLock;

use cel::common::ast::{Expr, IdedExpr};
use cel::objects::Value;
use cel::parser::PrattParser;
use cel::{Context, ExecutionError};

use crate::outcome::Usage;

/// The longest expression, in bytes.
const MAX_BYTES: usize = 1024;
/// The deepest nesting of an expression. A sum of n terms has depth n. An evaluation takes stack for each level.
const MAX_DEPTH: usize = 16;

/// The functions of the language. It has no variables.
pub(in crate::plugins) static STANDARD: LazyLock<Context<'static, 'static>> = LazyLock::new(Context::default);

/// An expression that can be evaluated.
#[derive(Debug)]
pub(in crate::plugins) struct Expression(IdedExpr);

impl Expression {
    /// Reads `text`, whose variable is `usage`.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::over(&["usage"], text)
    }

    /// Reads `text`, whose variables are `known`.
    ///
    /// # Errors
    /// What is wrong with it, for whoever wrote it.
    pub fn over(known: &[&str], text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("is longer than {MAX_BYTES} bytes"));
        }
        let parser = PrattParser::new().max_recursion_depth(MAX_DEPTH as u16);
        let tree = parser.parse(text).map_err(|errors| match errors.errors.first() {
            Some(error) => format!("is no CEL: line {}, column {}: {}", error.pos.0, error.pos.1, error.msg),
            None => "is no CEL".to_owned(),
        })?;
        check(&tree, known)?;
        Ok(Self(tree))
    }

    /// Its tree: no deeper than it may be, and without loops.
    pub fn tree(&self) -> &IdedExpr {
        &self.0
    }

    /// Its value.
    ///
    /// # Errors
    /// When it has none with these counts: it divides by 0, mixes types, or reads what is not there.
    pub fn evaluate(&self, variables: &Variables) -> Result<Value, ExecutionError> {
        Value::resolve(&self.0, &variables.0)
    }
}

/// Refuses what costs more than its length, and what is too deep to be evaluated.
fn check(tree: &IdedExpr, known: &[&str]) -> Result<(), String> {
    let mut open = vec![(tree, 1)];
    while let Some((node, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(format!("is nested more than {MAX_DEPTH} deep"));
        }
        let parts = match &node.expr {
            Expr::Comprehension(_) => {
                return Err("must not have a loop (all, exists, exists_one, filter, map)".to_owned());
            }
            Expr::Map(_) | Expr::Struct(_) => return Err("must not make a map or an object".to_owned()),
            Expr::Ident(name) if !known.contains(&name.as_str()) => {
                return Err(format!("knows {} alone, and not {name}", known.join(" and ")));
            }
            Expr::Call(call) => {
                open.extend(call.target.iter().map(|target| (&**target, depth + 1)));
                &call.args
            }
            Expr::List(list) => &list.elements,
            Expr::Select(select) => std::slice::from_ref(&*select.operand),
            Expr::Ident(_) | Expr::Literal(_) => continue,
            // The parser leaves it where it went on after an error. It can't be evaluated.
            Expr::Unspecified => return Err("is no CEL: a part of it is missing".to_owned()),
        };
        open.extend(parts.iter().map(|part| (part, depth + 1)));
    }
    Ok(())
}

/// The variables of an expression: `usage`, with numbers of type double.
pub(in crate::plugins) struct Variables(Context<'static, 'static>);

impl From<Usage> for Variables {
    fn from(usage: Usage) -> Self {
        let number = |count: u64| Value::Float(count as f64);
        let details = || HashMap::from([("cached_tokens", number(usage.cached))]);
        let answer_details = || HashMap::from([("reasoning_tokens", number(usage.reasoning))]);
        let usage: HashMap<&str, Value> = HashMap::from([
            ("prompt_tokens", number(usage.prompt)),
            ("completion_tokens", number(usage.completion)),
            ("total_tokens", number(usage.prompt.saturating_add(usage.completion))),
            // llm-d's name and that of OpenAI's API.
            ("prompt_token_details", details().into()),
            ("prompt_tokens_details", details().into()),
            ("completion_token_details", answer_details().into()),
            ("completion_tokens_details", answer_details().into()),
        ]);
        let mut scope = STANDARD.new_inner_scope();
        scope.add_variable_from_value("usage", usage);
        Self(scope)
    }
}

#[cfg(test)]
mod tests;
