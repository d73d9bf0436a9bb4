//! What must be seen to hold behind the control planes of real gateways, on the test cluster.
//!
//! Building one takes minutes, so `cargo xtask test` leaves these out: `cargo xtask test --only gateways` runs them.

mod istio;
