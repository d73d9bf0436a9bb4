//! Edits of an exchange that plugins ask for: headers, parts of the body, metadata.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

/// What plugins change of a request, or of its response. Without any, it is one word, and takes no memory of the heap:
/// it goes with every request, and most have none.
///
/// Of a request, everything is used, within what the gateway's mode allows: nothing but metadata when only trailers are
/// left to answer; splices only where the picker was shown the whole body. `content-length` and `transfer-encoding` can't
/// be set. Of a response's head: headers and metadata. At its end: metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits(Option<Box<Changes>>);

/// The edits, where there are any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Changes {
    headers: Vec<(Cow<'static, str>, Bytes)>,
    removed: Vec<Cow<'static, str>>,
    splices: Vec<Splice>,
    metadata: Vec<Metadatum>,
    destination: Option<Bytes>,
    clear_route: bool,
}

/// A part of the body, and what takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Splice {
    /// The bytes of the body that go. An empty range inserts.
    pub range: Range<usize>,
    /// The bytes that come in their place.
    pub with: Bytes,
}

/// One entry of the metadata that the gateway keeps with the exchange (Envoy's dynamic metadata).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadatum {
    /// The namespace.
    pub namespace: Cow<'static, str>,
    /// The key within it.
    pub key: Cow<'static, str>,
    /// The value.
    pub value: MetadataValue,
}

/// A value of metadata.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataValue {
    /// A text.
    Text(Bytes),
    /// A number.
    Number(f64),
    /// Numbers by name.
    Numbers(Vec<(Bytes, f64)>),
}

/// Numbers are never NaN ([`Edits::number`]).
impl Eq for MetadataValue {}

impl Edits {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn changes(&mut self) -> &mut Changes {
        self.0.get_or_insert_default()
    }

    /// One of the lists; an empty one where there are no edits.
    fn list<T>(&self, of: impl FnOnce(&Changes) -> &Vec<T>) -> &[T] {
        self.0.as_deref().map_or(&[], |changes| of(changes))
    }

    /// Sets the header `name` (lower case), in place of all that are called so. The last one that sets it wins.
    pub fn set_header(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) {
        let (name, value, changes) = (name.into(), value.into(), self.changes());
        changes.removed.retain(|other| *other != name);
        match changes.headers.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = value,
            None => changes.headers.push((name, value)),
        }
    }

    /// Takes out all headers called `name` (lower case).
    pub fn remove_header(&mut self, name: impl Into<Cow<'static, str>>) {
        let (name, changes) = (name.into(), self.changes());
        changes.headers.retain(|(other, _)| *other != name);
        if !changes.removed.contains(&name) {
            changes.removed.push(name);
        }
    }

    /// Replaces `range` of the body by `with`. One that overlaps an earlier one is dropped: false comes back.
    pub fn splice(&mut self, range: Range<usize>, with: impl Into<Bytes>) -> bool {
        let splices = self.splices();
        let at = splices.partition_point(|other| other.range.start < range.start);
        let before = at.checked_sub(1).is_none_or(|n| splices[n].range.end <= range.start);
        let after = splices.get(at).is_none_or(|next| range.end <= next.range.start);
        let fits = range.start <= range.end && before && after;
        if fits {
            self.changes().splices.insert(at, Splice { range, with: with.into() });
        }
        fits
    }

    /// Tells the gateway a text.
    pub fn text(
        &mut self,
        namespace: impl Into<Cow<'static, str>>,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Bytes>,
    ) {
        self.metadatum(namespace.into(), key.into(), MetadataValue::Text(value.into()));
    }

    /// Tells the gateway a number; one that is not finite is left out.
    pub fn number(
        &mut self,
        namespace: impl Into<Cow<'static, str>>,
        key: impl Into<Cow<'static, str>>,
        value: f64,
    ) {
        if value.is_finite() {
            self.metadatum(namespace.into(), key.into(), MetadataValue::Number(value));
        }
    }

    /// Tells the gateway numbers by name; those that are not finite are left out.
    pub fn numbers(
        &mut self,
        namespace: impl Into<Cow<'static, str>>,
        key: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = (Bytes, f64)>,
    ) {
        let values = values.into_iter().filter(|(_, value)| value.is_finite()).collect();
        self.metadatum(namespace.into(), key.into(), MetadataValue::Numbers(values));
    }

    fn metadatum(&mut self, namespace: Cow<'static, str>, key: Cow<'static, str>, value: MetadataValue) {
        let metadata = &mut self.changes().metadata;
        metadata.retain(|m| m.namespace != namespace || m.key != key);
        metadata.push(Metadatum { namespace, key, value });
    }

    /// Sends the request to `address` (`ip:port`) instead of the address of the endpoint that was picked: another
    /// port of the same pod, which passes it on (data-parallel ranks).
    pub fn set_destination(&mut self, address: impl Into<Bytes>) {
        self.changes().destination = Some(address.into());
    }

    /// Lets the gateway choose its route anew by the headers as they are now.
    pub fn clear_route(&mut self) {
        self.changes().clear_route = true;
    }

    /// Headers to set.
    pub fn headers(&self) -> &[(Cow<'static, str>, Bytes)] {
        self.list(|changes| &changes.headers)
    }

    /// Headers to take out.
    pub fn removed(&self) -> &[Cow<'static, str>] {
        self.list(|changes| &changes.removed)
    }

    /// Parts of the body to replace, in order and apart.
    pub fn splices(&self) -> &[Splice] {
        self.list(|changes| &changes.splices)
    }

    /// What the gateway is told.
    pub fn metadata(&self) -> &[Metadatum] {
        self.list(|changes| &changes.metadata)
    }

    /// The address in place of the endpoint's.
    pub fn destination(&self) -> Option<&Bytes> {
        self.0.as_ref()?.destination.as_ref()
    }

    /// Whether the gateway chooses its route anew.
    pub fn clears_route(&self) -> bool {
        self.0.as_ref().is_some_and(|changes| changes.clear_route)
    }
}

#[cfg(test)]
mod tests;
