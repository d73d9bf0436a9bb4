//! The reading of pages of any kind.

use std::sync::Arc;

use picker_core::Endpoint;
use picker_core::scrape::SourceKind;
use picker_core::view::Signals;

use super::engine::Pod;
use super::models::ModelsReader;
use super::outcome::Failure;
use super::scan::Scanner;
use super::table::{Hint, Table};

/// A reader of pages that come in chunks, one after the other.
pub trait PageReader {
    /// Reads the next chunk.
    fn feed(&mut self, chunk: &[u8]);

    /// What was fed is not all: no more of this page comes.
    fn cut(&mut self);

    /// What the page says; the reader is ready for the next one.
    ///
    /// # Errors
    /// When it is not what it should be.
    fn signals(&mut self, hint: &Hint) -> Result<Signals, Failure>;

    /// The names of the metrics that the last page was read for, if it was one of metrics.
    fn metrics(&self) -> impl Iterator<Item = &str>;

    /// Forgets a page that broke off.
    fn reset(&mut self);
}

impl PageReader for Scanner {
    fn feed(&mut self, chunk: &[u8]) {
        Self::feed(self, chunk);
    }

    fn cut(&mut self) {
        Self::cut(self);
    }

    fn signals(&mut self, hint: &Hint) -> Result<Signals, Failure> {
        Ok(self.finish(hint))
    }

    fn metrics(&self) -> impl Iterator<Item = &str> {
        self.names()
    }

    fn reset(&mut self) {
        Self::reset(self);
    }
}

/// The reader of a source.
#[derive(Debug)]
pub(super) enum Reader {
    /// Of metrics.
    Metrics(Box<Scanner>),
    /// Of lists of models.
    Models(ModelsReader),
}

impl Reader {
    /// The reader of the pages about `endpoint` of the source of which `table` is.
    pub fn new(table: &Arc<Table>, endpoint: &Endpoint) -> Self {
        if table.plan().source.kind == SourceKind::Models {
            return Self::Models(ModelsReader::default());
        }
        let pod = Pod { namespace: endpoint.namespace.as_str().into(), name: endpoint.pod.as_str().into() };
        Self::Metrics(Box::new(Scanner::of_pod(table.clone(), pod)))
    }

    /// Forgets a page that broke off, and reads the next one for what `table` wants.
    pub fn want(&mut self, table: &Arc<Table>) {
        match self {
            Self::Metrics(scanner) => scanner.want(table.clone()),
            Self::Models(models) => models.reset(),
        }
    }
}

impl PageReader for Reader {
    fn feed(&mut self, chunk: &[u8]) {
        match self {
            Self::Metrics(scanner) => scanner.feed(chunk),
            Self::Models(models) => models.feed(chunk),
        }
    }

    fn cut(&mut self) {
        match self {
            Self::Metrics(scanner) => scanner.cut(),
            Self::Models(models) => models.cut(),
        }
    }

    fn signals(&mut self, hint: &Hint) -> Result<Signals, Failure> {
        match self {
            Self::Metrics(scanner) => Ok(scanner.finish(hint)),
            Self::Models(models) => Ok(models.finish()?),
        }
    }

    fn metrics(&self) -> impl Iterator<Item = &str> {
        let scanner = match self {
            Self::Metrics(scanner) => Some(scanner),
            Self::Models(_) => None,
        };
        scanner.into_iter().flat_map(|scanner| scanner.names())
    }

    fn reset(&mut self) {
        match self {
            Self::Metrics(scanner) => scanner.reset(),
            Self::Models(models) => models.reset(),
        }
    }
}
