//! The outcome of a scrape: what a page says, or why there is none.

use std::io;

use http::StatusCode;
use picker_core::view::Signals;

use super::models::Unreadable;

/// What a page of metrics said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The signals in it.
    pub signals: Signals,
    /// Whether it was longer than what is read of a page, so that something may be missing.
    pub cut: bool,
}

/// The reason why a scrape failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection: nobody listens, or nobody is reached.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// No TLS.
    #[error("cannot begin TLS: {0}")]
    Tls(#[source] io::Error),
    /// The connection ended before the first byte of an answer, or there was no answer in HTTP.
    #[error("no answer: {0}")]
    NoAnswer(#[source] hyper::Error),
    /// The answer broke off.
    #[error("broke off: {0}")]
    Broken(#[source] hyper::Error),
    /// The server refused.
    #[error("answered {0}")]
    Status(StatusCode),
    /// The server named another place, which is not followed: on another host, or once more after the first time.
    #[error("answered {0} with a place that is not followed: {1}")]
    Redirect(StatusCode, String),
    /// The text is in an encoding that nobody asked for.
    #[error("encoded as {0:?}, which was not asked for")]
    Encoded(String),
    /// It took longer than its deadline.
    #[error("took longer than the deadline")]
    Timeout,
    /// The page is not what it should be.
    #[error("{0}")]
    Unreadable(#[from] Unreadable),
    /// Nobody knows where the page is.
    #[error("the address of its page is not known")]
    NoAddress,
}

impl Failure {
    /// Whether it says that nobody is there.
    pub fn is_refusal(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable};
        matches!(self, Self::Connect(error) if matches!(error.kind(), ConnectionRefused | HostUnreachable))
    }

    /// The failure in a word, as a label.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::NoAnswer(_) | Self::Broken(_) => "broken",
            Self::Status(_) => "status",
            Self::Redirect(..) => "redirect",
            Self::Encoded(_) => "encoding",
            Self::Timeout => "timeout",
            Self::Unreadable(Unreadable::NoList) => "format",
            Self::Unreadable(Unreadable::TooMany) => "too-large",
            Self::NoAddress => "no-address",
        }
    }

    /// The failure in a few words that are the same each time, for people.
    pub fn cause(&self) -> String {
        match self {
            Self::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "connection refused".to_owned()
            }
            Self::Connect(error) => format!("cannot connect: {}", error.kind()),
            Self::Tls(error) => format!("cannot begin TLS: {error}"),
            Self::NoAnswer(_) => "connection closed before an answer".to_owned(),
            Self::Broken(_) => "answer broke off".to_owned(),
            Self::Status(status) => format!("http {}", status.as_u16()),
            Self::Redirect(status, to) => format!("http {} to {to}, which is not followed", status.as_u16()),
            Self::Encoded(encoding) => format!("page is encoded as {encoding}, which was not asked for"),
            Self::Timeout => "no answer in time".to_owned(),
            Self::Unreadable(unreadable) => unreadable.to_string(),
            Self::NoAddress => "the address of its page is not known".to_owned(),
        }
    }
}
