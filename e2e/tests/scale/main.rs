//! What must be seen to hold with very many strategies: their objects are those of a real API server and real controllers,
//! and their pods run nowhere.
//!
//! The bounds need a machine with nothing else to do, so `cargo xtask test` leaves these out: `cargo xtask test --only
//! scale` runs them.

mod fleet;
mod hundreds;
mod thousands;
