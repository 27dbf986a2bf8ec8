//! The pictures that are measured on: found in a folder, or made here, the same every time.

use std::fs;
use std::path::{Path, PathBuf};

use image::{ImageReader, RgbImage};
use pixmill_codecs::jpeg::{self, EncodeOptions, Layout, Subsampling, Tables};

/// JPEGs and PNGs directly in `folder`, by name. Fails in words.
pub(crate) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let told = |error: std::io::Error| format!("{} can't be read: {error}", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        if path.is_file() && (is(&path, "jpg") || is(&path, "jpeg") || is(&path, "png")) {
            found.push(path);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(format!("{} holds no JPEG and no PNG.", folder.display()));
    }
    Ok(found)
}

pub(crate) fn is(path: &Path, extension: &str) -> bool {
    path.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(extension))
}

/// Pixels as they are stored, as RGB; transparency is dropped. JPEG is read by the same decoder for everybody.
pub(crate) fn decoded(path: &Path) -> Result<RgbImage, String> {
    let told =
        |error: &dyn std::fmt::Display| format!("{} can't be decoded: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| told(&error))?;
    if !is(path, "jpg") && !is(path, "jpeg") {
        let reader = ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
        let mut reader = reader.map_err(|error| told(&error))?;
        reader.no_limits();
        return Ok(reader.decode().map_err(|error| told(&error))?.into_rgb8());
    }
    let options = jpeg::DecodeOptions {
        accept_damage: true,
        ..jpeg::DecodeOptions::default()
    };
    let decoded = jpeg::decode(&bytes, &options).map_err(|error| told(&error))?;
    let data = match decoded.layout {
        Layout::Rgb => decoded.data,
        Layout::Gray => decoded.data.iter().flat_map(|v| [*v; 3]).collect(),
        Layout::Cmyk => return Err(told(&"four inks are not measured here")),
    };
    RgbImage::from_raw(decoded.width, decoded.height, data).ok_or_else(|| told(&"too short"))
}

/// Width and height as stored, by the header alone.
pub(crate) fn size(path: &Path) -> Result<(u32, u32), String> {
    let told = |error: &dyn std::fmt::Display| format!("{} can't be read: {error}", path.display());
    if is(path, "jpg") || is(path, "jpeg") {
        let bytes = fs::read(path).map_err(|error| told(&error))?;
        let header = jpeg::header(&bytes).map_err(|error| told(&error))?;
        return Ok((header.width, header.height));
    }
    image::image_dimensions(path).map_err(|error| told(&error))
}

/// Whether all programs mean the same by this file: no transparency, whose ground is each one's own
/// choice, and 8 bits a sample, which not all reduce to.
pub(crate) fn is_plain(path: &Path) -> Result<bool, String> {
    if !is(path, "png") {
        return Ok(true);
    }
    let told = |error: &dyn std::fmt::Display| format!("{} can't be read: {error}", path.display());
    let reader = ImageReader::open(path).map_err(|error| told(&error))?;
    let decoder = reader.into_decoder().map_err(|error| told(&error))?;
    let color = image::ImageDecoder::color_type(&decoder);
    Ok(!color.has_alpha() && color.bytes_per_pixel() == color.channel_count())
}

/// Writes `picture` as a JPEG of the kind that cameras write.
pub(crate) fn write_jpeg(path: &Path, picture: &RgbImage) -> Result<(), String> {
    let options = EncodeOptions {
        quality: 92,
        subsampling: Subsampling::S422,
        progressive: false,
        tables: Tables::Standard,
    };
    let (width, height) = picture.dimensions();
    let bytes = jpeg::encode(
        picture.as_raw(),
        width,
        height,
        Layout::Rgb,
        &options,
        &|| false,
    )
    .map_err(|error| error.to_string())?;
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// `picture` beside and below itself, every other time mirrored, up to this size.
pub(crate) fn tiled(picture: &RgbImage, (width, height): (u32, u32)) -> RgbImage {
    let (own_width, own_height) = picture.dimensions();
    let folded = |at: u32, side: u32| {
        let within = at % side;
        if (at / side).is_multiple_of(2) {
            within
        } else {
            side - 1 - within
        }
    };
    RgbImage::from_fn(width, height, |x, y| {
        *picture.get_pixel(folded(x, own_width), folded(y, own_height))
    })
}

/// A small picture with soft and hard parts, and grain; another one for each `number`.
pub(crate) fn drawn(number: u32, (width, height): (u32, u32)) -> RgbImage {
    let mut state = number.wrapping_mul(0x9E37_79B9) | 1;
    RgbImage::from_fn(width, height, |x, y| {
        // Xorshift: enough for grain.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let grain = state % 12;
        let soft = (x * 200 / width + y * 40 / height + number * 7) % 240;
        let disc = (x % 97).abs_diff(48).pow(2) + (y % 89).abs_diff(44).pow(2) < 900 + number % 700;
        let byte = |value: u32| u8::try_from(value.min(255)).unwrap_or(255);
        if disc {
            image::Rgb([
                byte(soft + grain),
                byte(220 - soft * 3 / 4 + grain),
                byte(60 + grain),
            ])
        } else {
            image::Rgb([byte(40 + grain), byte(soft / 2 + grain), byte(soft + grain)])
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_pictures_are_the_same_every_time_and_differ_from_each_other() {
        let one = drawn(1, (64, 48));
        assert_eq!(one, drawn(1, (64, 48)));
        assert_ne!(one, drawn(2, (64, 48)));
    }

    #[test]
    fn tiles_meet_without_a_seam() {
        let picture = drawn(3, (10, 8));
        let large = tiled(&picture, (25, 20));
        assert_eq!(large.dimensions(), (25, 20));
        assert_eq!(large.get_pixel(9, 3), large.get_pixel(10, 3));
        assert_eq!(large.get_pixel(4, 7), large.get_pixel(4, 8));
        assert_eq!(large.get_pixel(20, 16), picture.get_pixel(0, 0));
    }
}
