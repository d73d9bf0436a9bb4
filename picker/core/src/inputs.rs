//! What a plugin judged endpoints by, in numbers, for who asks about a decision.

use std::sync::Arc;

/// One number for each of some endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// What it is, such as `waiting`.
    pub name: Arc<str>,
    /// The numbers, in the order of the endpoints; a single one when it is the same for all. NaN is unknown.
    pub values: Box<[f32]>,
}

impl Input {
    /// The number of the `n`-th endpoint.
    pub fn value(&self, n: usize) -> f32 {
        match *self.values {
            [common] => common,
            ref values => values.get(n).copied().unwrap_or(f32::NAN),
        }
    }
}

/// The inputs of one plugin. They are asked for only where a decision is explained.
#[derive(Debug)]
pub struct Inputs<'a> {
    /// The endpoints, as positions in the view.
    endpoints: &'a [u32],
    list: Vec<Input>,
}

impl<'a> Inputs<'a> {
    /// None yet, for these endpoints.
    pub fn new(endpoints: &'a [u32]) -> Self {
        Self { endpoints, list: Vec::new() }
    }

    /// Adds a number, which `of` tells of the endpoint at a position of the view; NaN for one that is unknown. A name that is
    /// there already is left as it is.
    pub fn number(&mut self, name: impl Into<Arc<str>>, mut of: impl FnMut(usize) -> f32) {
        let values = self.endpoints.iter().map(|&i| of(i as usize)).collect();
        self.add(name.into(), values);
    }

    /// Adds a number that is the same for all endpoints.
    pub fn common(&mut self, name: impl Into<Arc<str>>, value: f32) {
        self.add(name.into(), Box::new([value]));
    }

    fn add(&mut self, name: Arc<str>, values: Box<[f32]>) {
        if self.list.iter().all(|input| input.name != name) {
            self.list.push(Input { name, values });
        }
    }

    /// All of them, in their order.
    pub fn list(self) -> Vec<Input> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_the_order_of_the_endpoints_and_names_once() {
        let mut inputs = Inputs::new(&[4, 2]);
        inputs.number("waiting", |i| i as f32);
        inputs.number("waiting", |_| 0.0);
        inputs.common("blocks", 7.0);
        let list = inputs.list();
        let expected = [("waiting", vec![4.0, 2.0]), ("blocks", vec![7.0])];
        let expected = expected.map(|(name, values)| Input { name: name.into(), values: values.into() });
        assert_eq!(list, expected);
        assert_eq!([list[0].value(1), list[1].value(0), list[1].value(1)], [2.0, 7.0, 7.0]);
        assert!(list[0].value(2).is_nan());
    }
}
