//! The header of an HTTP/2 frame (RFC 9113, 4.1): length, type, flags and stream.

/// The length of a frame header, in bytes.
pub(super) const LENGTH: usize = 9;

/// The type of a frame that begins a header block.
pub(super) const HEADERS: u8 = 1;
/// The type of a frame that continues a header block.
pub(super) const CONTINUATION: u8 = 9;

/// The flag of the last frame of a header block.
pub(super) const END_HEADERS: u8 = 0x4;
/// The flag of a payload that begins with the length of its padding.
pub(super) const PADDED: u8 = 0x8;
/// The flag of a payload that has a priority, of five bytes, before the header block.
pub(super) const PRIORITY: u8 = 0x20;

/// The bytes of a frame header.
pub(super) type FrameHeader = [u8; LENGTH];

/// The length of the payload that a frame header announces.
pub(super) fn payload_length(header: &FrameHeader) -> usize {
    usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2])
}
