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
mod tests {
    use futures::stream;

    use super::*;

    /// An object of a namespace, and its state.
    type Object = (&'static str, &'static str, u8);

    fn key((namespace, name, _): &Object) -> Key {
        ((*namespace).to_owned(), (*name).to_owned())
    }

    fn noted(events: Vec<(usize, Event<Object>)>) -> Vec<String> {
        let new = || Watched { known: HashMap::new(), listing: HashMap::new(), listed: false };
        let mut state = Merged { watches: vec![new(), new()], told: false };
        let told = events.into_iter().flat_map(|(at, event)| state.note(at, event, &key));
        told.map(|event| format!("{event:?}")).collect()
    }

    /// Before every namespace is listed, nothing can be told from what is not there.
    #[test]
    fn there_is_one_list_when_all_are_listed() {
        let told = noted(vec![
            (0, Event::Init),
            (1, Event::Init),
            (0, Event::InitApply(("a", "x", 1))),
            (0, Event::InitDone),
            (0, Event::Apply(("a", "y", 1))),
            (0, Event::Delete(("a", "x", 1))),
            (1, Event::InitApply(("b", "x", 1))),
            (1, Event::InitDone),
        ]);
        let expected = ["Init", "InitApply((\"a\", \"y\", 1))", "InitApply((\"b\", \"x\", 1))", "InitDone"];
        assert_eq!(told, expected);
    }

    /// A watch that was away lists again: of the other nothing is lost, and what is gone is told.
    #[test]
    fn a_later_list_is_the_changes_that_it_shows() {
        let listed = |at| vec![(at, Event::Init), (at, Event::InitDone)];
        let mut events = [listed(0), listed(1)].concat();
        events.extend([
            (0, Event::Apply(("a", "x", 1))),
            (0, Event::Apply(("a", "z", 1))),
            (1, Event::Apply(("b", "x", 1))),
            (0, Event::Init),
            (0, Event::InitApply(("a", "x", 2))),
            (0, Event::InitDone),
            (1, Event::Delete(("b", "x", 1))),
        ]);
        let expected = [
            "Init",
            "InitDone",
            "Apply((\"a\", \"x\", 1))",
            "Apply((\"a\", \"z\", 1))",
            "Apply((\"b\", \"x\", 1))",
            "Apply((\"a\", \"x\", 2))",
            "Delete((\"a\", \"z\", 1))",
            "Delete((\"b\", \"x\", 1))",
        ];
        assert_eq!(noted(events), expected);
    }

    #[tokio::test]
    async fn one_watch_is_as_it_is() {
        let events = [Event::Init, Event::InitApply(("a", "x", 1)), Event::InitDone, Event::Init];
        let one = stream::iter(events.clone()).boxed();
        let told: Vec<_> = merged(vec![one], key).map(|event| format!("{event:?}")).collect().await;
        assert_eq!(told, events.map(|event| format!("{event:?}")));
    }
}
