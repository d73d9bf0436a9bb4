//! The metrics of body-based routing ([`crate::bbr`]).

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::{Metrics, Scraping, StrategyMetrics, Traffic};

/// What became of a request whose body should say where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A header was written.
    Set,
    /// The body could be read, and said nothing for a header.
    NoModel,
    /// The request has no body.
    NoBody,
    /// The body was not shown, or could not be read.
    Unreadable,
}

/// The counters of requests.
#[derive(Clone, Debug, Default)]
pub struct RequestsByBody {
    requests: Family<OutcomeLabel, Counter>,
    success: Counter,
    not_found: Family<FieldLabel, Counter>,
    empty: Family<FieldLabel, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FieldLabel {
    field: String,
}

impl RequestsByBody {
    /// Counts a request.
    pub fn count(&self, outcome: Outcome) {
        let label = match outcome {
            Outcome::Set => "set",
            Outcome::NoModel => "no-model",
            Outcome::NoBody => "no-body",
            Outcome::Unreadable => "unreadable",
        };
        self.requests.get_or_create(&OutcomeLabel { outcome: label }).inc();
        if outcome == Outcome::Set {
            self.success.inc();
        }
    }

    /// Counts a body without the field called `field`, which is one of those that flags name.
    pub fn not_found(&self, field: &str) {
        self.not_found.get_or_create(&FieldLabel { field: field.to_owned() }).inc();
    }

    /// Counts a body in which it is empty.
    pub fn empty(&self, field: &str) {
        self.empty.get_or_create(&FieldLabel { field: field.to_owned() }).inc();
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "waypost_bbr_requests",
            "Requests whose bodies should say where they go, by what became of that",
            self.requests.clone(),
        );
        // The names of GIE's body-based router.
        registry.register("bbr_success", "Requests with a header from their body", self.success.clone());
        registry.register(
            "bbr_body_field_not_found",
            "Bodies without a field that should be written into a header",
            self.not_found.clone(),
        );
        registry.register(
            "bbr_body_field_empty",
            "Bodies in which a field that should be written into a header is empty",
            self.empty.clone(),
        );
    }
}

impl Metrics {
    /// The metrics of a process that routes by bodies, and nothing else.
    pub fn by_body() -> (Self, RequestsByBody) {
        let mut registry = Registry::default();
        let (traffic, scraping, strategy) =
            (Traffic::default(), Scraping::default(), StrategyMetrics::default());
        let requests = RequestsByBody::default();
        requests.register(&mut registry);
        let picker = registry.sub_registry_with_prefix("waypost_picker");
        traffic.register_streams(picker);
        scraping.register_watches(picker);
        (Self { traffic, scraping, strategy, registry }, requests)
    }
}
