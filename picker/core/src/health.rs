//! Passive health: which endpoints fail, as connections of the picker and the responses to requests show it.
//!
//! An endpoint that refuses a connection, or answers a request at once with an error of the server, is ejected: it gets no
//! requests for a while. After that one request at a time is a trial. A trial that succeeds readmits the endpoint, one
//! that fails ejects it for longer. It is what proxies call outlier detection, with a circuit breaker that is half open
//! during the trial.
//!
//! An error may be the fault of the request, too. Whether it was shows when the endpoint does the next one well: such
//! stray errors are counted, and for a while as many in a row are borne before an endpoint is ejected.
//!
//! The state belongs to the endpoint ([`Health`]), so it outlives changes of the strategy, and is one atomic number.
//! While no endpoint of a pool fails, a decision reads one counter of the pool ([`PoolHealth::any`]) and nothing else.

mod endpoint_health;
mod pool_health;
mod settings;
mod state;
mod strays;
#[cfg(test)]
mod tests;
mod trial;

pub use endpoint_health::{Health, Status, Verdict};
pub use pool_health::PoolHealth;
pub use settings::Settings;
pub use state::{Phase, Reason, Standing};
pub use trial::Trial;
