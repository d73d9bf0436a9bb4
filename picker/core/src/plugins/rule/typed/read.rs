//! Which rules are typed trees: those of texts that are compared, and of numbers of type double.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::{Number, Order, Place, RequestText, Root, Test, Text, Typed};
use crate::plugins::per_labels::PerLabels;

/// Whole numbers up to this one are the same as doubles.
const MOST_EXACT: i64 = 1 << 53;

impl Typed {
    /// The rule in `tree`, where the fields of an endpoint called `columns` are columns; `None` for one that has to be
    /// interpreted.
    pub fn read(tree: &IdedExpr, columns: &[&'static str]) -> Option<Self> {
        let mut reader = Reader { columns, request: Vec::new(), labels: Vec::new() };
        let number = reader.result(tree).map(Root::Number);
        let root = number.or_else(|| reader.test(tree).map(Root::Test))?;
        let Reader { request, labels, .. } = reader;
        Some(Self { root, request: request.into(), labels: labels.into(), values: PerLabels::default() })
    }
}

/// Makes a number of two.
type Binary = fn(Box<[Number; 2]>) -> Number;

/// What was found that a rule reads.
struct Reader<'a> {
    columns: &'a [&'static str],
    request: Vec<RequestText>,
    labels: Vec<String>,
}

/// The position of `item` in `list`, into which it is put if it isn't there.
fn position<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    list.iter().position(|other| *other == item).unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

/// `request.model` as these two names.
fn field(tree: &IdedExpr) -> Option<(&str, &str)> {
    let Expr::Select(select) = &tree.expr else { return None };
    let Expr::Ident(variable) = &select.operand.expr else { return None };
    Some((variable, &select.field))
}

fn literal_text(tree: &IdedExpr) -> Option<&str> {
    match &tree.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// The two arguments of the call in `tree` of the function `name`.
fn two<'a>(tree: &'a IdedExpr, name: &str) -> Option<[&'a IdedExpr; 2]> {
    match &tree.expr {
        Expr::Call(call) if call.func_name == name && call.target.is_none() => match &call.args[..] {
            [a, b] => Some([a, b]),
            _ => None,
        },
        _ => None,
    }
}

/// The three arguments of a choice.
fn choice(tree: &IdedExpr) -> Option<[&IdedExpr; 3]> {
    match &tree.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => match &call.args[..] {
            [test, yes, no] => Some([test, yes, no]),
            _ => None,
        },
        _ => None,
    }
}

/// The argument of the call in `tree` of the function `name`.
fn one<'a>(tree: &'a IdedExpr, name: &str) -> Option<&'a IdedExpr> {
    match &tree.expr {
        Expr::Call(call) if call.func_name == name && call.target.is_none() => match &call.args[..] {
            [only] => Some(only),
            _ => None,
        },
        _ => None,
    }
}

impl Reader<'_> {
    fn text(&mut self, tree: &IdedExpr) -> Option<Text> {
        if let Some(text) = literal_text(tree) {
            return Some(Text::Literal(text.into()));
        }
        if let Some([map, key]) = two(tree, operators::INDEX) {
            return self.entry(map, literal_text(key)?);
        }
        match &tree.expr {
            Expr::Select(select) if select.test => None,
            Expr::Select(select) => self.named(tree).or_else(|| self.entry(&select.operand, &select.field)),
            _ => None,
        }
    }

    /// A field that is a text.
    fn named(&mut self, tree: &IdedExpr) -> Option<Text> {
        match field(tree)? {
            ("request", "model") => Some(Text::Request(position(&mut self.request, RequestText::Model))),
            ("endpoint", "name") => Some(Text::Name),
            _ => None,
        }
    }

    /// The header or label called `key` of the map in `tree`.
    fn entry(&mut self, tree: &IdedExpr, key: &str) -> Option<Text> {
        let Expr::Select(select) = &tree.expr else { return None };
        match field(tree)? {
            _ if select.test => None,
            ("request", "headers") => {
                Some(Text::Request(position(&mut self.request, RequestText::Header(key.to_owned()))))
            }
            ("endpoint", "labels") => Some(Text::Label(position(&mut self.labels, key.to_owned()))),
            _ => None,
        }
    }

    /// The number that `tree` is when it is what a rule comes to: it may be a whole one.
    fn result(&mut self, tree: &IdedExpr) -> Option<Number> {
        if let Some([test, yes, no]) = choice(tree) {
            return Some(Number::Choice(Box::new((self.test(test)?, self.result(yes)?, self.result(no)?))));
        }
        self.comparable(tree)
    }

    /// A number that is compared: it may be a whole one too.
    fn comparable(&mut self, tree: &IdedExpr) -> Option<Number> {
        match &tree.expr {
            Expr::Literal(LiteralValue::Int(number)) => {
                let number = *number.inner();
                (-MOST_EXACT..=MOST_EXACT).contains(&number).then_some(Number::Literal(number as f64))
            }
            _ => self.number(tree),
        }
    }

    /// A number of type double.
    fn number(&mut self, tree: &IdedExpr) -> Option<Number> {
        if let Some([test, yes, no]) = choice(tree) {
            return Some(Number::Choice(Box::new((self.test(test)?, self.number(yes)?, self.number(no)?))));
        }
        if let Some(number) = one(tree, operators::NEGATE) {
            return Some(Number::Negative(Box::new(self.number(number)?)));
        }
        let binary: [(&str, Binary); 4] = [
            (operators::ADD, Number::Sum),
            (operators::SUBSTRACT, Number::Difference),
            (operators::MULTIPLY, Number::Product),
            (operators::DIVIDE, Number::Quotient),
        ];
        for (name, make) in binary {
            if let Some([a, b]) = two(tree, name) {
                return Some(make(Box::new([self.number(a)?, self.number(b)?])));
            }
        }
        match &tree.expr {
            Expr::Literal(LiteralValue::Double(number)) => Some(Number::Literal(*number.inner())),
            Expr::Select(select) if !select.test => self.of_endpoint(tree),
            _ => None,
        }
    }

    fn test(&mut self, tree: &IdedExpr) -> Option<Test> {
        if let Some([test, yes, no]) = choice(tree) {
            return Some(Test::Choice(Box::new([self.test(test)?, self.test(yes)?, self.test(no)?])));
        }
        if let Some(test) = one(tree, operators::LOGICAL_NOT) {
            return Some(Test::Not(Box::new(self.test(test)?)));
        }
        if let Some([a, b]) = two(tree, operators::LOGICAL_AND) {
            return Some(Test::And(Box::new([self.test(a)?, self.test(b)?])));
        }
        if let Some([a, b]) = two(tree, operators::LOGICAL_OR) {
            return Some(Test::Or(Box::new([self.test(a)?, self.test(b)?])));
        }
        if let Some([a, b]) = two(tree, operators::EQUALS) {
            return self.equal(a, b);
        }
        if let Some([a, b]) = two(tree, operators::NOT_EQUALS) {
            return Some(Test::Not(Box::new(self.equal(a, b)?)));
        }
        if let Some([text, list]) = two(tree, operators::IN) {
            return self.within(text, list);
        }
        let orders = [
            (operators::LESS, Order::Less),
            (operators::LESS_EQUALS, Order::LessOrEqual),
            (operators::GREATER, Order::Greater),
            (operators::GREATER_EQUALS, Order::GreaterOrEqual),
        ];
        for (name, order) in orders {
            if let Some([a, b]) = two(tree, name) {
                return Some(Test::Ordered(Box::new([self.comparable(a)?, self.comparable(b)?]), order));
            }
        }
        match &tree.expr {
            Expr::Literal(LiteralValue::Boolean(answer)) => Some(Test::Literal(*answer.inner())),
            Expr::Select(select) if select.test => self.is_there(tree),
            Expr::Call(call) => {
                let (text, [part]) = (call.target.as_ref()?, &call.args[..]) else { return None };
                let place = match call.func_name.as_str() {
                    "startsWith" => Place::Start,
                    "endsWith" => Place::End,
                    "contains" => Place::Anywhere,
                    _ => return None,
                };
                Some(Test::Has(Box::new([self.text(text)?, self.text(part)?]), place))
            }
            _ => None,
        }
    }

    fn equal(&mut self, a: &IdedExpr, b: &IdedExpr) -> Option<Test> {
        if let (Some(a), Some(b)) = (self.text(a), self.text(b)) {
            return Some(Test::Same(Box::new([a, b])));
        }
        Some(Test::Equal(Box::new([self.comparable(a)?, self.comparable(b)?])))
    }

    /// Whether a text is in a list, or a key in a map.
    fn within(&mut self, text: &IdedExpr, list: &IdedExpr) -> Option<Test> {
        if let Expr::List(list) = &list.expr {
            if !list.optional_indices.is_empty() {
                return None;
            }
            let text = self.text(text)?;
            let all: Option<Vec<_>> = list.elements.iter().map(|element| self.text(element)).collect();
            return Some(Test::Among(text, all?.into()));
        }
        self.entry(list, literal_text(text)?).map(Test::IsText)
    }

    /// `has(…)`.
    fn is_there(&mut self, tree: &IdedExpr) -> Option<Test> {
        if let Some(text) = self.named(tree) {
            return Some(Test::IsText(text));
        }
        if let Some(number) = self.of_endpoint(tree) {
            return Some(Test::IsNumber(number));
        }
        let Expr::Select(select) = &tree.expr else { return None };
        self.entry(&select.operand, &select.field).map(Test::IsText)
    }

    /// The number of an endpoint that is the field in `tree`.
    fn of_endpoint(&self, tree: &IdedExpr) -> Option<Number> {
        let ("endpoint", name) = field(tree)? else { return None };
        let column = self.columns.iter().position(|field| *field == name).map(Number::Column);
        column.or_else(|| (name == "inFlight").then_some(Number::InFlight))
    }
}
