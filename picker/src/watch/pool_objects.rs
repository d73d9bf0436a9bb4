//! The objects of one kind that are for a pool, by name, as a watch tells them.

use std::collections::BTreeMap;

use kube::runtime::watcher::Event;
use kube_ext::object_parts::RawObject;

/// What is known of them: of each what was read of it.
#[derive(Debug)]
pub(super) struct Known<T> {
    pub by_name: BTreeMap<String, T>,
    /// What the list under way has shown so far.
    listed: BTreeMap<String, T>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new(), listed: BTreeMap::new() }
    }
}

impl<T: PartialEq> Known<T> {
    /// Takes note of `event`; whether anything is different now. `read` says what an object says: `None` when it is not for
    /// the pool, or can't be read.
    pub fn learn(&mut self, event: Event<RawObject>, read: impl Fn(&RawObject) -> Option<T>) -> bool {
        let named = |object: &RawObject| Some((object.metadata.name.clone()?, read(object)?));
        match event {
            Event::Init => {
                self.listed.clear();
                false
            }
            Event::InitApply(object) => {
                self.listed.extend(named(&object));
                false
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let changed = self.by_name != listed;
                self.by_name = listed;
                changed
            }
            Event::Apply(object) => match named(&object) {
                Some((name, now)) => {
                    let changed = self.by_name.get(&name) != Some(&now);
                    self.by_name.insert(name, now);
                    changed
                }
                None => self.forget(&object),
            },
            Event::Delete(object) => self.forget(&object),
        }
    }

    fn forget(&mut self, object: &RawObject) -> bool {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        self.by_name.remove(name).is_some()
    }
}
