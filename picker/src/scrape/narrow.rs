//! Pages with the wanted metrics alone: servers in Python write what is asked for with `?name[]=…`, which costs them a
//! fraction of a whole page.
//!
//! vLLM with one API server does so at `/metrics/`, with the slash at the end. With several, and in engines that gather
//! their metrics from several processes, the answer is empty; other servers have no such page, or write all of it. So the
//! answer is compared with a whole page, and where it says less, or is not much shorter, whole pages are read.
//! Source: `make_asgi_app` and `CollectorRegistry.restricted_registry` of Python's `prometheus_client`.

use http::uri::PathAndQuery;
use picker_core::view::Signals;

/// The shortest page that is worth it, in bytes.
const WORTH: usize = 8 << 10;

/// The longest path that is asked for, in bytes.
const LONGEST: usize = 2 << 10;

/// The number of whole pages after which a server is tried again: it may be another one by then.
const AGAIN: u32 = 1000;

/// What is known of the narrow page of a server.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    page: Option<NarrowPage>,
    /// Whole pages that are read before it is tried again.
    pause: u32,
}

/// A narrow page, and what it has to say.
#[derive(Clone, Debug)]
pub(super) struct NarrowPage {
    /// Its path.
    pub path: PathAndQuery,
    told: Told,
    /// The most bytes that it may have.
    most: usize,
}

impl Narrow {
    /// The page to ask for; none while whole pages are read.
    pub fn page(&self) -> Option<&NarrowPage> {
        self.page.as_ref()
    }

    /// The narrow page is of no use.
    pub fn failed(&mut self) {
        *self = Self { page: None, pause: AGAIN };
    }

    /// The whole page at `path` has `length` bytes, said `signals` and is made of these metrics, among others.
    pub fn whole<'a>(
        &mut self,
        path: &PathAndQuery,
        length: usize,
        signals: &Signals,
        names: impl Iterator<Item = &'a str>,
    ) {
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        if length < WORTH || path.query().is_some() || *signals == Signals::default() {
            return;
        }
        let mut narrow = path.path().trim_end_matches('/').to_owned();
        let mut separator = "/?name[]=";
        for name in names {
            narrow = narrow + std::mem::replace(&mut separator, "&name[]=") + name;
        }
        let path = narrow.parse().ok().filter(|_| narrow.len() <= LONGEST && separator.starts_with('&'));
        self.page = path.map(|path| NarrowPage { path, told: Told::of(signals), most: length / 2 });
    }
}

impl NarrowPage {
    /// Whether an answer of `length` bytes with these `signals` may stand for the whole page.
    pub fn is_told(&self, length: usize, signals: &Signals) -> bool {
        length <= self.most && Told::of(signals).covers(&self.told)
    }
}

/// Which figures a page tells. Adapters are not among them: they come and go. Nor are models: they are on no page of metrics.
#[derive(Clone, Copy, Debug)]
struct Told {
    known: [bool; 6],
    others: usize,
}

impl Told {
    fn of(signals: &Signals) -> Self {
        let Signals { waiting, running, kv_usage, block_size, num_blocks, cache_tokens, others, .. } =
            signals;
        let known = [
            waiting.is_some(),
            running.is_some(),
            kv_usage.is_some(),
            block_size.is_some(),
            num_blocks.is_some(),
            cache_tokens.is_some(),
        ];
        Self { known, others: others.len() }
    }

    fn covers(&self, other: &Self) -> bool {
        let known = self.known.iter().zip(other.known).all(|(known, needed)| *known || !needed);
        known && self.others >= other.others
    }
}
