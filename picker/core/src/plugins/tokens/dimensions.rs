//! The width and height of an image, from the first bytes of its file.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Any padding, as what is decoded is the beginning of a text or a piece of it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The most pixels of an image that is believed: servers decode no larger one (twice `MAX_IMAGE_PIXELS` of Python's Pillow).
const MOST_PIXELS: u64 = 178_956_970;

/// The most segments of a JPEG before the one that has its size.
const MOST_SEGMENTS: usize = 256;

/// Pixels of the image whose file is `base64`: a PNG, GIF or JPEG. `None` for any other text, and for an image that no server
/// decodes.
pub(super) fn pixels(base64: &[u8]) -> Option<u64> {
    let file = File(base64);
    let (width, height) = match file.at::<10>(0)? {
        [0x89, b'P', b'N', b'G', ..] => png(&file)?,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', w0, w1, h0, h1] => {
            (u16::from_le_bytes([w0, w1]).into(), u16::from_le_bytes([h0, h1]).into())
        }
        [0xff, 0xd8, ..] => jpeg(&file)?,
        _ => return None,
    };
    let pixels = u64::from(width) * u64::from(height);
    (1..=MOST_PIXELS).contains(&pixels).then_some(pixels)
}

/// A file as base64.
struct File<'a>(&'a [u8]);

impl File<'_> {
    /// Its `N` bytes from `start` on, for `N` of at most 24.
    fn at<const N: usize>(&self, start: usize) -> Option<[u8; N]> {
        let (first, skipped) = (start / 3 * 4, start % 3);
        let text = self.0.get(first..)?;
        let text = &text[..text.len().min((skipped + N).div_ceil(3) * 4)];
        // 36 characters at the most.
        let mut bytes = [0; 28];
        let length = BASE64.decode_slice(text, &mut bytes).ok()?;
        bytes[..length].get(skipped..skipped + N)?.try_into().ok()
    }
}

/// The size in the first chunk, `IHDR`.
fn png(file: &File<'_>) -> Option<(u32, u32)> {
    let [
        0x89,
        b'P',
        b'N',
        b'G',
        13,
        10,
        26,
        10,
        0,
        0,
        0,
        13,
        b'I',
        b'H',
        b'D',
        b'R',
        w0,
        w1,
        w2,
        w3,
        h0,
        h1,
        h2,
        h3,
    ] = file.at::<24>(0)?
    else {
        return None;
    };
    Some((u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3])))
}

/// The size in the segment that begins a frame (`SOF0` to `SOF2`, the kinds that Go and Pillow decode).
fn jpeg(file: &File<'_>) -> Option<(u32, u32)> {
    let mut at = 2;
    for _ in 0..MOST_SEGMENTS {
        let [0xff, marker, l0, l1] = file.at::<4>(at)? else { return None };
        match marker {
            // A byte that fills.
            0xff => at += 1,
            0xc0..=0xc2 => {
                let [h0, h1, w0, w1] = file.at::<4>(at + 5)?;
                return Some((u16::from_be_bytes([w0, w1]).into(), u16::from_be_bytes([h0, h1]).into()));
            }
            // Markers without a length.
            0x01 | 0xd0..=0xd7 => at += 2,
            // The image's data, or its end.
            0xd9 | 0xda => return None,
            _ => at += 2 + usize::from(u16::from_be_bytes([l0, l1]).max(2)),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD as ENCODER;

    use super::*;

    fn png_of(width: u32, height: u32) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        file.extend_from_slice(&width.to_be_bytes());
        file.extend_from_slice(&height.to_be_bytes());
        file.extend_from_slice(&[8, 2, 0, 0, 0, 1, 2, 3, 4]);
        file
    }

    /// With an `APP1` of so many bytes before the frame, and bytes that fill.
    fn jpeg_of(width: u16, height: u16, exif: u16) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xe1];
        file.extend_from_slice(&(exif + 2).to_be_bytes());
        file.extend(std::iter::repeat_n(0xff, exif.into()));
        file.extend_from_slice(&[0xff, 0xff, 0xff, 0xc2, 0, 17, 8]);
        file.extend_from_slice(&height.to_be_bytes());
        file.extend_from_slice(&width.to_be_bytes());
        file.extend_from_slice(&[3, 1, 2, 3]);
        file
    }

    fn gif_of(width: u16, height: u16) -> Vec<u8> {
        [&b"GIF89a"[..], &width.to_le_bytes(), &height.to_le_bytes(), &[0; 4]].concat()
    }

    fn seen(file: &[u8]) -> Option<u64> {
        pixels(ENCODER.encode(file).as_bytes())
    }

    #[test]
    fn sizes_are_read_from_the_files_of_three_formats() {
        assert_eq!(seen(&png_of(1280, 720)), Some(921_600));
        assert_eq!(seen(&gif_of(3, 5)), Some(15));
        for exif in [0, 1, 2, 3, 1000, 60_000] {
            assert_eq!(seen(&jpeg_of(640, 481, exif)), Some(307_840), "{exif}");
        }
        // Of a file whose end was cut off.
        let whole = ENCODER.encode(jpeg_of(640, 481, 10));
        let known = (0..=whole.len()).filter(|end| pixels(&whole.as_bytes()[..*end]).is_some()).count();
        assert!((1..20).contains(&known), "{known}");
    }

    #[test]
    fn what_is_no_image_or_none_that_a_server_decodes_has_no_size() {
        for file in [
            &b""[..],
            b"\x89PNG",
            b"RIFF\0\0\0\0WEBPVP8 ",
            b"GIF89a",
            &[0xff, 0xd8, 0xff, 0xda, 0, 4, 1, 2, 0xff, 0xc0],
            &[0xff, 0xd8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xff; 4000],
            &png_of(0, 100),
            &png_of(u32::MAX, u32::MAX),
            &png_of(20_000, 20_000),
        ] {
            assert_eq!(seen(file), None, "{:?}", &file[..file.len().min(12)]);
        }
        assert_eq!(pixels(b"https://example.com/a.png"), None);
        assert_eq!(pixels(b"!!!!!!!!!!!!!!!!!!!!!!!!!!!!"), None);
    }
}
