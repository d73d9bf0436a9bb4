//! The events of several watches of one kind, each of a namespace of its own, as those of one watch.

use std::collections::HashMap;

use futures::stream::{BoxStream, iter, select_all};
use futures::{Stream, StreamExt as _};
use kube::runtime::watcher::Event;

/// Namespace and name of an object.
type Key = (String, String);

/// What is known of each watch.
struct Merged<K> {
    watches: Vec<Watched<K>>,
    /// Whether all have been listed, and that was told.
    told: bool,
}

struct Watched<K> {
    known: HashMap<Key, K>,
    /// The list that is being read.
    listing: HashMap<Key, K>,
    listed: bool,
}

/// The events of `watches` as those of one watch: one list when each of them was listed, and then changes alone. A list that
/// a watch reads again later becomes the changes that it shows.
pub(super) fn merged<K: Clone + Send + 'static>(
    mut watches: Vec<BoxStream<'static, Event<K>>>,
    key: impl Fn(&K) -> Key + Send + 'static,
) -> BoxStream<'static, Event<K>> {
    if watches.len() == 1 {
        return watches.remove(0);
    }
    let new = || Watched { known: HashMap::new(), listing: HashMap::new(), listed: false };
    let mut state = Merged { watches: watches.iter().map(|_| new()).collect(), told: false };
    numbered(watches).flat_map(move |(at, event)| iter(state.note(at, event, &key))).boxed()
}

fn numbered<K: Send + 'static>(
    watches: Vec<BoxStream<'static, Event<K>>>,
) -> impl Stream<Item = (usize, Event<K>)> + Send {
    select_all(watches.into_iter().enumerate().map(|(at, watch)| watch.map(move |event| (at, event)).boxed()))
}

impl<K: Clone> Merged<K> {
    /// Notes an event of the watch at `at`, and returns what it means for all.
    fn note(&mut self, at: usize, event: Event<K>, key: &impl Fn(&K) -> Key) -> Vec<Event<K>> {
        let Some(watched) = self.watches.get_mut(at) else { return Vec::new() };
        match event {
            Event::Init => {
                watched.listing.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                watched.listing.insert(key(&object), object);
                Vec::new()
            }
            Event::InitDone => {
                let listing = std::mem::take(&mut watched.listing);
                let gone = std::mem::replace(&mut watched.known, listing);
                watched.listed = true;
                if self.told {
                    let gone = gone.into_iter().filter(|(key, _)| !watched.known.contains_key(key));
                    let gone = gone.map(|(_, object)| Event::Delete(object));
                    return watched.known.values().cloned().map(Event::Apply).chain(gone).collect();
                }
                if !self.watches.iter().all(|watched| watched.listed) {
                    return Vec::new();
                }
                self.told = true;
                let all = self.watches.iter().flat_map(|watched| watched.known.values());
                let all = all.cloned().map(Event::InitApply);
                std::iter::once(Event::Init).chain(all).chain([Event::InitDone]).collect()
            }
            Event::Apply(object) => {
                watched.known.insert(key(&object), object.clone());
                if self.told { vec![Event::Apply(object)] } else { Vec::new() }
            }
            Event::Delete(object) => {
                watched.known.remove(&key(&object));
                if self.told { vec![Event::Delete(object)] } else { Vec::new() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
