//! Rules as typed trees, evaluated without the interpreter, which makes an object of each value and of each comparison.
//!
//! Which rules can be: those that [`read`] knows. What such a tree comes to is what the interpreter does.

use std::sync::Arc;

use arc_swap::Guard;
use smallvec::SmallVec;

use crate::ask::Ask;
use crate::endpoint::Endpoint;
use crate::plugins::per_labels::{Kept, PerLabels};
use crate::request::Request;

mod read;

/// A rule.
#[derive(Debug)]
pub(super) struct Typed {
    pub root: Root,
    /// What it reads of requests.
    request: Box<[RequestText]>,
    /// The labels that it reads.
    labels: Box<[String]>,
    values: PerLabels<Values>,
}

/// The values of the labels that are read.
type Values = Box<[Option<Box<str>>]>;

/// What it comes to.
#[derive(Debug)]
pub(in crate::plugins) enum Root {
    Test(Test),
    Number(Number),
}

/// A text of a request.
#[derive(Debug, PartialEq)]
enum RequestText {
    Model,
    Header(String),
}

/// True, false, or without a value.
#[derive(Debug)]
pub(in crate::plugins) enum Test {
    Literal(bool),
    Ordered(Box<[Number; 2]>, Order),
    Equal(Box<[Number; 2]>),
    Same(Box<[Text; 2]>),
    /// The first one has the second one at this end, or anywhere.
    Has(Box<[Text; 2]>, Place),
    Among(Text, Box<[Text]>),
    IsText(Text),
    IsNumber(Number),
    Not(Box<Test>),
    And(Box<[Test; 2]>),
    Or(Box<[Test; 2]>),
    Choice(Box<[Test; 3]>),
}

#[derive(Clone, Copy, Debug)]
pub(in crate::plugins) enum Order {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::plugins) enum Place {
    Start,
    End,
    Anywhere,
}

/// A number, or without a value.
#[derive(Debug)]
pub(in crate::plugins) enum Number {
    Literal(f64),
    /// By position among the columns that rules know.
    Column(usize),
    InFlight,
    Negative(Box<Number>),
    Sum(Box<[Number; 2]>),
    Difference(Box<[Number; 2]>),
    Product(Box<[Number; 2]>),
    Quotient(Box<[Number; 2]>),
    Choice(Box<(Test, Number, Number)>),
}

/// A text, or without a value.
#[derive(Debug)]
pub(in crate::plugins) enum Text {
    Literal(Box<str>),
    /// By position among the texts that the rule reads of a request.
    Request(usize),
    /// By position among the labels that it reads.
    Label(usize),
    Name,
}

/// One endpoint, and the request.
pub(in crate::plugins) struct Here<'a> {
    request: &'a [Option<&'a str>],
    /// Empty where no label is read.
    labels: &'a [Values],
    columns: &'a [&'a [f32]],
    endpoint: &'a Endpoint,
    /// Position of the endpoint.
    i: usize,
}

/// What is the same for all endpoints of a decision.
pub(super) struct Known<'a> {
    request: SmallVec<[Option<&'a str>; 4]>,
    /// `None` where no label is read.
    labels: Option<Guard<Arc<Kept<Values>>>>,
}

impl Known<'_> {
    /// With the endpoint at position `i`.
    pub fn at<'a>(&'a self, columns: &'a [&'a [f32]], endpoint: &'a Endpoint, i: usize) -> Here<'a> {
        let labels = self.labels.as_ref().map_or(&[][..], |labels| labels);
        Here { request: &self.request, labels, columns, endpoint, i }
    }
}

impl Typed {
    /// Reads what it needs of the request of `ask`.
    pub fn about<'a>(&'a self, ask: &Ask<'a>) -> Known<'a> {
        let read = |text: &'a RequestText| text.of(ask.request);
        let values = || {
            self.values.of(ask.view, |labels| {
                self.labels.iter().map(|name| labels.get(name).map(|value| value.as_str().into())).collect()
            })
        };
        let labels = (!self.labels.is_empty()).then(values);
        Known { request: self.request.iter().map(read).collect(), labels }
    }
}

impl RequestText {
    fn of<'a>(&self, request: &'a Request) -> Option<&'a str> {
        match self {
            Self::Model => request.model(),
            Self::Header(name) => request.headers.text(name),
        }
    }
}

impl Text {
    fn of<'a>(&'a self, here: &Here<'a>) -> Option<&'a str> {
        match self {
            Self::Literal(text) => Some(text),
            Self::Request(n) => here.request[*n],
            Self::Label(n) => here.labels.get(here.i)?[*n].as_deref(),
            Self::Name => Some(&here.endpoint.name),
        }
    }
}

impl Number {
    pub fn of(&self, here: &Here<'_>) -> Option<f64> {
        match self {
            Self::Literal(number) => Some(*number),
            Self::Column(n) => here.columns[*n].get(here.i).map(|v| f64::from(*v)).filter(|v| v.is_finite()),
            Self::InFlight => Some(f64::from(here.endpoint.live().in_flight())),
            Self::Negative(number) => Some(-number.of(here)?),
            Self::Sum(both) => Some(both[0].of(here)? + both[1].of(here)?),
            Self::Difference(both) => Some(both[0].of(here)? - both[1].of(here)?),
            Self::Product(both) => Some(both[0].of(here)? * both[1].of(here)?),
            Self::Quotient(both) => Some(both[0].of(here)? / both[1].of(here)?),
            Self::Choice(choice) => {
                let (test, yes, no) = &**choice;
                if test.of(here)? { yes.of(here) } else { no.of(here) }
            }
        }
    }
}

impl Test {
    pub fn of(&self, here: &Here<'_>) -> Option<bool> {
        match self {
            Self::Literal(answer) => Some(*answer),
            Self::Ordered(both, order) => {
                let ordering = both[0].of(here)?.partial_cmp(&both[1].of(here)?)?;
                Some(match order {
                    Order::Less => ordering.is_lt(),
                    Order::LessOrEqual => ordering.is_le(),
                    Order::Greater => ordering.is_gt(),
                    Order::GreaterOrEqual => ordering.is_ge(),
                })
            }
            Self::Equal(both) => Some(both[0].of(here)? == both[1].of(here)?),
            Self::Same(both) => Some(both[0].of(here)? == both[1].of(here)?),
            Self::Has(both, place) => {
                let (text, part) = (both[0].of(here)?, both[1].of(here)?);
                Some(match place {
                    Place::Start => text.starts_with(part),
                    Place::End => text.ends_with(part),
                    Place::Anywhere => text.contains(part),
                })
            }
            Self::Among(text, list) => {
                let text = text.of(here)?;
                // All are read, as one without a value makes the list one.
                list.iter().try_fold(false, |found, other| Some(found | (other.of(here)? == text)))
            }
            Self::IsText(text) => Some(text.of(here).is_some()),
            Self::IsNumber(number) => Some(number.of(here).is_some()),
            Self::Not(test) => Some(!test.of(here)?),
            // What one side decides alone, it decides also where the other has no value.
            Self::And(both) => match (both[0].of(here), &both[1]) {
                (Some(false), _) => Some(false),
                (left, right) => match right.of(here)? {
                    true => left,
                    false => Some(false),
                },
            },
            Self::Or(both) => match (both[0].of(here), &both[1]) {
                (Some(true), _) => Some(true),
                (left, right) => match right.of(here)? {
                    true => Some(true),
                    false => left,
                },
            },
            Self::Choice(three) => {
                if three[0].of(here)? {
                    three[1].of(here)
                } else {
                    three[2].of(here)
                }
            }
        }
    }
}
