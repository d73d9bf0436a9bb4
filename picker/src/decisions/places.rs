//! The endpoints of a view, by name.

use std::net::SocketAddr;

use picker_core::View;

/// Names and addresses of the endpoints of one view, by position. The endpoints themselves are not held: who keeps a
/// decision would keep their labels, and those of all pods since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(Box<[(Box<str>, SocketAddr)]>);

impl Places {
    /// Those of `view`.
    pub fn of(view: &View) -> Self {
        Self(
            view.endpoints.iter().map(|endpoint| (endpoint.name.as_str().into(), endpoint.address)).collect(),
        )
    }

    /// The name of the endpoint at a position.
    pub fn name(&self, position: u32) -> Option<&str> {
        self.0.get(position as usize).map(|(name, _)| &**name)
    }

    /// Its address.
    pub fn address(&self, position: u32) -> Option<SocketAddr> {
        self.0.get(position as usize).map(|(_, address)| *address)
    }

    /// The bytes that they take.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|place| size_of_val(place) + place.0.len()).sum()
    }
}
