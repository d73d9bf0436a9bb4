//! HTTP requests of preparers, as plain values: the program sends them, with the client that it hands to
//! [`Strategy::prepare`](crate::strategy::Strategy::prepare).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::fact::Finding;

/// Sends requests. What is dropped half way is given up.
pub trait HttpClient: Send + Sync {
    /// Sends `post`, and feeds the body of its answer to its reader.
    fn post(&self, post: Post) -> Pin<Box<dyn Future<Output = Result<Finding, PostError>> + Send>>;
}

/// A client that sends nothing, for programs without one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoClient;

impl HttpClient for NoClient {
    fn post(&self, _: Post) -> Pin<Box<dyn Future<Output = Result<Finding, PostError>> + Send>> {
        Box::pin(std::future::ready(Err(PostError::Connect)))
    }
}

/// A `POST` of a JSON text. Nothing of it but the body comes from a client.
pub struct Post {
    /// Where it goes.
    pub server: Arc<Server>,
    /// Its path there, behind [`Server::prefix`].
    pub path: &'static str,
    /// Its body, in pieces.
    pub body: SmallVec<[Bytes; 3]>,
    /// What reads the answer.
    pub answer: Box<dyn Answer>,
}

/// Reads the body of an answer, as its pieces come.
pub trait Answer: Send {
    /// Takes a piece.
    fn feed(&mut self, piece: &[u8]);

    /// Bytes of memory that it takes so far.
    fn held(&self) -> usize;

    /// What it says; `None` when it can't be read. May take longer than 100 µs.
    fn finish(self: Box<Self>) -> Option<Finding>;
}

/// The reason why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// There is no connection.
    Connect,
    /// The answer has this status.
    Status(u16),
    /// The connection ended before the answer did.
    Broken,
    /// The answer is too long.
    TooLong,
    /// There is no memory for the answer.
    NoRoom,
    /// The answer can't be read.
    Unreadable,
}

impl PostError {
    /// The reason in a word, as the label of metrics carries it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Status(_) => "status",
            Self::Broken => "broken",
            Self::TooLong => "too-long",
            Self::NoRoom => "no-room",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A server that whoever writes the configuration names, by `http` in plaintext.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name and port as requests have them.
    pub authority: String,
    /// What paths begin with: nothing, or a path without a slash at its end.
    pub prefix: String,
}

impl Server {
    /// The server that `url` names.
    ///
    /// # Errors
    /// When it is none: what to write.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{url:?} {what}; write one like http://render.default.svc:8000");
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return Err(wrong("is served by TLS, which render servers don't speak"));
            }
            _ => return Err(wrong("is no URL of the scheme http")),
        };
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let prefix = prefix.trim_end_matches('/');
        if !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%+".contains(&b)) {
            return Err(wrong("has a path with other characters than letters, digits and /-._~%+"));
        }
        let port_at = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
        let (name, port) = match port_at {
            Some(at) => {
                let port = authority[at + 1..].parse().ok().filter(|port| *port > 0);
                (&authority[..at], port.ok_or_else(|| wrong("has no port from 1 to 65535"))?)
            }
            None => (authority, 80),
        };
        let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let is_host = match address {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
            }
        };
        if !is_host {
            return Err(wrong("names no host"));
        }
        Ok(Self {
            host: address.unwrap_or(name).to_owned(),
            port,
            authority: format!("{name}:{port}"),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_from_urls() {
        let read = |url| Server::parse(url).map(|server| (server.to_string(), server.host, server.port));
        for (url, text, host, port) in [
            ("http://localhost:8000", "http://localhost:8000", "localhost", 8000),
            (
                "http://render.default.svc.cluster.local:8000/",
                "http://render.default.svc.cluster.local:8000",
                "render.default.svc.cluster.local",
                8000,
            ),
            ("HTTP://10.0.0.1", "http://10.0.0.1:80", "10.0.0.1", 80),
            ("http://[::1]:9000/a/b//", "http://[::1]:9000/a/b", "::1", 9000),
            ("http://[fd00::1]", "http://[fd00::1]:80", "fd00::1", 80),
        ] {
            assert_eq!(read(url), Ok((text.to_owned(), host.to_owned(), port)));
        }
        for (url, what) in [
            ("", "is no URL of the scheme http"),
            ("localhost:8000", "is no URL of the scheme http"),
            ("ftp://a", "is no URL of the scheme http"),
            ("https://a", "is served by TLS, which render servers don't speak"),
            ("http://", "names no host"),
            ("http://:80", "names no host"),
            ("http://user:password@host", "has no port from 1 to 65535"),
            ("http://user@host", "names no host"),
            ("http://a b", "names no host"),
            ("http://[::g]", "names no host"),
            ("http://::1", "names no host"),
            ("http://a:0", "has no port from 1 to 65535"),
            ("http://a:65536", "has no port from 1 to 65535"),
            ("http://a?b", "names no host"),
            ("http://a/b?c=d", "has a path with other characters than letters, digits and /-._~%+"),
            ("http://a/b\r\nx: y", "has a path with other characters than letters, digits and /-._~%+"),
        ] {
            let expected = format!("{url:?} {what}; write one like http://render.default.svc:8000");
            assert_eq!(read(url), Err(expected));
        }
    }
}
