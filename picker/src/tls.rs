//! The certificate that gateways are shown: made at start, or read from a directory and read again when it
//! changes.
//!
//! Gateways check no certificate of an endpoint picker today
//! (kubernetes-sigs/gateway-api-inference-extension#582), but several speak nothing but TLS to it.

mod certificate;
mod clients;
mod files;
mod follow;

pub(crate) use certificate::provider;
pub use certificate::{Certificate, TlsError};
pub use clients::{ClientCa, Clients};
pub use files::Files;
pub use follow::Change;
