//! Writers of the bodies that tests have no text for: messages of gRPC, and forms.

/// A number as Protocol Buffers write it.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field with a number.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A field with bytes, a text or a message.
pub(crate) fn bytes(field: u64, value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

/// A field with packed numbers.
pub(crate) fn packed(field: u64, values: &[u64]) -> Vec<u8> {
    bytes(field, values.iter().flat_map(|value| varint(*value)).collect::<Vec<_>>())
}

/// A message of gRPC as it is sent.
pub(crate) fn framed(message: impl AsRef<[u8]>) -> Vec<u8> {
    let message = message.as_ref();
    [&[0][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

/// A part of a form, with the boundary `b` before it.
pub(crate) fn part(head: &str, value: impl AsRef<[u8]>) -> Vec<u8> {
    [b"--b\r\n", head.as_bytes(), b"\r\n\r\n", value.as_ref(), b"\r\n"].concat()
}

/// A part with a field.
pub(crate) fn text(name: &str, value: &str) -> Vec<u8> {
    part(&format!("Content-Disposition: form-data; name=\"{name}\""), value)
}

/// A part with a file.
pub(crate) fn file(name: &str, content: &[u8]) -> Vec<u8> {
    part(
        &format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"a.wav\"\r\nContent-Type: audio/wav"
        ),
        content,
    )
}

/// A form of `parts`.
pub(crate) fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), b"--b--\r\n".to_vec()].concat()
}
