//! Load that a request puts on endpoints: counted when it is sent, given back exactly once.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::ask::{Decision, Part};
use crate::edits::Edits;
use crate::endpoint::{Endpoint, Load};
use crate::view::View;

/// Until when a booking counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The first byte of the response's body: the work of a prefill or an encode server is done then.
    FirstByte,
    /// The end of the response.
    End,
}

/// Load on one endpoint. It is given back when this is dropped.
#[derive(Debug)]
pub struct Booking {
    endpoint: Arc<Endpoint>,
    tokens: u64,
    requests: u32,
    until: Until,
}

impl Booking {
    fn new(endpoint: Arc<Endpoint>, load: Load, until: Until) -> Self {
        endpoint.live().add(load);
        let Load { requests, tokens } = load;
        Self { endpoint, tokens, requests, until }
    }

    /// Until when it counts.
    pub(crate) fn until(&self) -> Until {
        self.until
    }

    /// Whether it is one on `endpoint`.
    pub(crate) fn is_on(&self, endpoint: &Endpoint) -> bool {
        self.endpoint.key == endpoint.key
    }

    /// Books the same on `endpoint` instead.
    pub(crate) fn move_to(&mut self, endpoint: &Arc<Endpoint>) {
        let load = Load { requests: self.requests, tokens: self.tokens };
        // The former one is given back when it is dropped.
        *self = Self::new(endpoint.clone(), load, self.until);
    }
}

impl Drop for Booking {
    fn drop(&mut self) {
        let Self { requests, tokens, .. } = *self;
        self.endpoint.live().give_back(Load { requests, tokens });
    }
}

/// The bookings of one request: the request itself, and with an `inflight-load-producer` its tokens. There is room for the
/// one that every request has.
pub(crate) type Bookings = SmallVec<[Booking; 1]>;

/// A request about to be sent: what [`PreRequest`](crate::role::PreRequest) plugins change and book.
#[derive(Debug)]
pub struct Launch<'a> {
    /// Edits of the request.
    pub edits: Edits,
    pub(crate) bookings: Bookings,
    view: &'a View,
}

impl<'a> Launch<'a> {
    /// Books one request on each endpoint that does a part of it: on the destination until the end, on the others (prefill,
    /// encode) until the first byte.
    #[inline]
    pub(crate) fn of(decision: &Decision, view: &'a View) -> Self {
        let mut launch = Self { edits: Edits::default(), bookings: Bookings::new(), view };
        for Part { endpoint, is_destination } in decision.parts() {
            let until = if is_destination { Until::End } else { Until::FirstByte };
            launch.book(endpoint, Load { requests: 1, tokens: 0 }, until);
        }
        launch
    }

    /// Books `load` on the endpoint at position `endpoint` of the view.
    pub fn book(&mut self, endpoint: usize, load: Load, until: Until) {
        if load != Load::default() {
            let endpoint = self.view.endpoints[endpoint].clone();
            self.bookings.push(Booking::new(endpoint, load, until));
        }
    }
}
