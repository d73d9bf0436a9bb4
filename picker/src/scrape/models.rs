//! The list of models that a server has, in the form of OpenAI's API: `{"data": [{"id": "…", "parent": "…"}]}`.
//!
//! Servers leave out what they do not know, or write `null`, or the text `None`. Ollama lists no models as `null`.

use std::fmt;
use std::sync::Arc;

use picker_core::view::{Model, Models, Signals};
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

#[cfg(test)]
mod tests;

/// The most models of one server that are kept.
const MOST: usize = 1024;

/// The longest name of a model, in bytes.
const LONGEST: usize = 256;

/// The most bytes of all names of one server.
const MOST_BYTES: usize = 128 << 10;

/// Why a list can't be used. Of a part of it nobody could say what is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is none.
    #[error("answer is no list of models")]
    NoList,
    /// It has more models than are kept, or longer names.
    #[error(
        "lists more than 1024 models, or one with a name of more than 256 bytes, or names of more than 128 KiB"
    )]
    TooMany,
}

/// Reads `text`.
///
/// # Errors
/// When it is no list of models, or too long a one.
pub fn parse(text: &[u8]) -> Result<Models, Unreadable> {
    let Answer { data } = serde_json::from_slice(text).map_err(|_| Unreadable::NoList)?;
    let length = |model: &Model| model.id.len() + model.parent.as_ref().map_or(0, |parent| parent.len());
    let bytes: usize = data.models.iter().map(length).sum();
    if data.too_many || bytes > MOST_BYTES { Err(Unreadable::TooMany) } else { Ok(Models::new(data.models)) }
}

/// A reader of lists that come in chunks, one after the other.
#[derive(Debug, Default)]
pub struct ModelsReader {
    text: Vec<u8>,
    cut: bool,
    /// The last list: one that equals it takes no memory of its own.
    last: Arc<Models>,
}

impl ModelsReader {
    /// Reads the next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.text.extend_from_slice(chunk);
    }

    /// What was fed is not all.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// The list; the reader is ready for the next one. Of one that was cut nothing is known.
    ///
    /// # Errors
    /// As [`parse`].
    pub fn finish(&mut self) -> Result<Signals, Unreadable> {
        let text = std::mem::take(&mut self.text);
        if std::mem::take(&mut self.cut) {
            return Ok(Signals::default());
        }
        let models = parse(&text)?;
        if *self.last != models {
            self.last = Arc::new(models);
        }
        Ok(Signals { models: Some(self.last.clone()), ..Signals::default() })
    }

    /// Forgets a text that broke off.
    pub fn reset(&mut self) {
        self.text = Vec::new();
        self.cut = false;
    }
}

/// A key of an object.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Data,
    Id,
    Parent,
    #[serde(other)]
    Other,
}

struct Answer {
    data: Data,
}

#[derive(Default)]
struct Data {
    models: Vec<Model>,
    too_many: bool,
}

#[derive(Default)]
struct Entry {
    id: Name,
    parent: Name,
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnswerVisitor)
    }
}

struct AnswerVisitor;

impl<'de> Visitor<'de> for AnswerVisitor {
    type Value = Answer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
        let mut data = None;
        while let Some(key) = map.next_key()? {
            match key {
                Key::Data => data = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        data.map(|data| Answer { data }).ok_or_else(|| A::Error::missing_field("data"))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Id => entry.id = map.next_value()?,
                Key::Parent => entry.parent = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(entry)
    }
}

/// A name, if it is one.
#[derive(Default)]
enum Name {
    #[default]
    None,
    Some(Box<str>),
    TooLong,
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(List)
    }
}

struct List;

impl<'de> Visitor<'de> for List {
    type Value = Data;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of models")
    }

    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Data, A::Error> {
        let mut data = Data::default();
        while let Some(Entry { id, parent }) = entries.next_element()? {
            let id = match id {
                Name::Some(id) => id,
                Name::None => continue,
                Name::TooLong => {
                    data.too_many = true;
                    continue;
                }
            };
            let parent = match parent {
                Name::Some(parent) if &*parent != "None" => Some(parent),
                _ => None,
            };
            if data.models.len() == MOST {
                data.too_many = true;
            } else {
                data.models.push(Model { id, parent });
            }
        }
        Ok(data)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyName)
    }
}

struct AnyName;

impl<'de> Visitor<'de> for AnyName {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match name.len() {
            0 => Name::None,
            1..=LONGEST => Name::Some(name.into()),
            _ => Name::TooLong,
        })
    }

    fn visit_unit<E>(self) -> Result<Name, E> {
        Ok(Name::None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Name, E> {
        Ok(Name::None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Name, E> {
        Ok(Name::None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Name, E> {
        Ok(Name::None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Name, E> {
        Ok(Name::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Name, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Name::None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Name, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Name::None)
    }
}
