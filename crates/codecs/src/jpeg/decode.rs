//! JPEG in: what a file says about itself, its pixels, and whether all of them are there.

use std::borrow::Cow;
use std::ffi::c_int;

use turbojpeg_sys as tj;

use super::handle::Handle;
use super::markers;
use super::message::{self, Failure, Warning};
use super::read::read as read_plain;
use super::{ColorSpace, Layout, Scale, Subsampling};
use crate::{Error, buffer};

/// What a file says about its picture before any pixel is decoded.
///
/// Nothing of it is proven: a short file can state a huge size. Check it before decoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, as stored (orientation not applied), at least 1.
    pub width: u32,
    /// Height in pixels, as stored, at least 1.
    pub height: u32,
    /// How the colours are stored.
    pub color_space: ColorSpace,
    /// How much smaller the colour components are stored.
    pub subsampling: Subsampling,
    /// Bits per sample: 8 for nearly every file. [`decode`] takes 8 only.
    pub bits: u8,
    /// Whether the picture comes in scans that refine each other.
    pub progressive: bool,
    /// Whether this is the rare lossless process.
    pub lossless: bool,
    /// Whether the data is arithmetic-coded instead of Huffman-coded.
    pub arithmetic: bool,
}

impl Header {
    /// The layout that [`decode`] gives the picture.
    pub fn layout(&self) -> Layout {
        match self.color_space {
            ColorSpace::Gray => Layout::Gray,
            ColorSpace::YCbCr | ColorSpace::Rgb => Layout::Rgb,
            ColorSpace::Cmyk | ColorSpace::Ycck => Layout::Cmyk,
        }
    }
}

/// What is wrong with a picture that was decoded all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The file ends before its picture does; the rest is filled in.
    Truncated,
    /// Some of the picture's data makes no sense; parts of it are wrong.
    Corrupt,
}

/// What [`decode`] may spend and what it puts up with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeOptions {
    /// The most scans that a progressive file may have (each costs a pass over the whole picture);
    /// 0 for no limit.
    pub scan_limit: u32,
    /// The most working memory in bytes that libjpeg may take for one picture (progressive files
    /// need some two bytes per sample), the pixels not included; 0 for no limit. libjpeg counts
    /// whole mebibytes: rounded down, but never below one.
    pub memory_limit: u64,
    /// Whether a truncated or corrupt picture is returned with its damage named, instead of refused.
    pub accept_damage: bool,
    /// The size at which the picture is decoded. A lossless file always comes in full.
    pub scale: Scale,
}

impl Default for DecodeOptions {
    /// At most 500 scans (as libjpeg-turbo's own tools), any memory, no damage.
    fn default() -> Self {
        Self {
            scan_limit: 500,
            memory_limit: 0,
            accept_damage: false,
            scale: Scale::Full,
        }
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Width in pixels, at the scale that was asked for.
    pub width: u32,
    /// Height in pixels, at that scale.
    pub height: u32,
    /// How `data` is laid out.
    pub layout: Layout,
    /// The pixels: `width * height * layout.bytes_per_pixel()` bytes.
    pub data: Vec<u8>,
    /// What is wrong with the picture; always `None` unless damage was accepted.
    pub damage: Option<Damage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnWarning {
    Stop,
    GoOn,
}

/// Reads what `bytes` says about its picture, up to the first scan.
///
/// Fails with [`Error::Truncated`] or [`Error::Corrupt`] if that part is not whole, and with
/// [`Error::Unsupported`] or [`Error::TooLarge`] if libjpeg can't read such files.
pub fn header(bytes: &[u8]) -> Result<Header, Error> {
    let mut current = Cow::Borrowed(bytes);
    // A harmless warning hides what comes after it, so it is mended once and then let be.
    for on_warning in [OnWarning::Stop, OnWarning::Stop, OnWarning::GoOn] {
        match read_header(&current, on_warning) {
            Ok((_, header)) => return Ok(header),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(Failure::Warning(Warning::Damaging(damage, text))) => {
                return Err(refusal(damage, text));
            }
            Err(Failure::Warning(warning)) => {
                current = Cow::Owned(markers::mended(&current, &warning)?);
            }
        }
    }
    unreachable!("warnings are not failures when going on")
}

/// Decodes a picture to 8 bits per sample: gray stays gray, CMYK and YCCK become CMYK, anything else RGB.
///
/// The pixel buffer is allocated from the size that the file states: check [`header`] first.
///
/// libjpeg fills in what it can't read and only warns. Here, unless damage is accepted, a picture
/// with anything missing or wrong is refused with [`Error::Truncated`] (the bytes run out, if only
/// before the end marker) or [`Error::Corrupt`]. Bytes between segments or behind the picture,
/// padding at the end of its data, and odd values in header fields that libjpeg can do without are
/// no damage. Not all corruption can be noticed: a changed bit often decodes to another picture,
/// and what lies behind stray bytes between two scans is not looked at.
///
/// Fails with [`Error::LimitExceeded`] at one of the limits in `options`, [`Error::Memory`] if there
/// is no memory for the pixels, and [`Error::Unsupported`] for anything but 8 bits per sample.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, Error> {
    let (damage, text) = match decode_whole(bytes, options)? {
        Outcome::Whole(decoded) => return Ok(decoded),
        Outcome::Damaged(damage, text) => (Some(damage), text),
        Outcome::Odd if !markers::has_end(bytes) => (Some(Damage::Truncated), String::new()),
        Outcome::Odd => (None, String::new()),
    };
    if let Some(damage) = damage
        && !options.accept_damage
    {
        return Err(refusal(damage, text));
    }
    let usable = match damage {
        Some(Damage::Truncated) => markers::before_cut(bytes),
        _ => bytes,
    };
    match (read(usable, options, OnWarning::GoOn), damage) {
        (Ok(decoded), damage) => Ok(Decoded { damage, ..decoded }),
        // Too little is left to show anything: the damage is the reason, not what came of it.
        (Err(Failure::Fatal(Error::Corrupt(_) | Error::Unsupported(_))), Some(damage)) => {
            Err(refusal(damage, text))
        }
        (Err(Failure::Fatal(error)), _) => Err(error),
        (Err(Failure::Warning(_)), _) => unreachable!("warnings are not failures when going on"),
    }
}

/// How a decoding that stops at warnings went.
enum Outcome {
    Whole(Decoded),
    Damaged(Damage, String),
    /// Nothing but harmless warnings up to one that can't be mended: what is behind it is unknown.
    Odd,
}

/// Decodes, stopping at the first warning. A harmless one hides those behind it, so the file is
/// mended and decoded anew, until there is none or a serious one, but only so often: each time costs
/// a decoding, and a header and an end with something odd in them take three.
fn decode_whole(bytes: &[u8], options: &DecodeOptions) -> Result<Outcome, Error> {
    let mut current = Cow::Borrowed(bytes);
    for _ in 0..4 {
        let warning = match read(&current, options, OnWarning::Stop) {
            Ok(decoded) => return Ok(Outcome::Whole(decoded)),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(Failure::Warning(Warning::Damaging(damage, text))) => {
                return Ok(Outcome::Damaged(damage, text));
            }
            Err(Failure::Warning(Warning::StrayBytes {
                count,
                marker: markers::EOI,
            })) if markers::is_picture_data(markers::before_end(&current, count)) => {
                let text = format!("{count} bytes of its data are left over");
                return Ok(Outcome::Damaged(Damage::Corrupt, text));
            }
            Err(Failure::Warning(warning)) => warning,
        };
        let mended = markers::mended(&current, &warning)?;
        if mended == *current {
            break;
        }
        current = Cow::Owned(mended);
    }
    Ok(Outcome::Odd)
}

fn read(bytes: &[u8], options: &DecodeOptions, on_warning: OnWarning) -> Result<Decoded, Failure> {
    let (mut handle, header) = read_header(bytes, on_warning)?;
    if header.bits != 8 {
        return Err(Failure::Fatal(Error::Unsupported(format!(
            "a JPEG with {} bits per sample (only 8 are read)",
            header.bits
        ))));
    }
    let mebibytes = match options.memory_limit {
        0 => 0,
        bytes => (bytes >> 20).max(1),
    };
    let settings = [
        (
            tj::TJPARAM_TJPARAM_SCANLIMIT,
            c_int::try_from(options.scan_limit).unwrap_or(c_int::MAX),
        ),
        (
            tj::TJPARAM_TJPARAM_MAXMEMORY,
            c_int::try_from(mebibytes).unwrap_or(c_int::MAX),
        ),
    ];
    for (parameter, value) in settings {
        handle.set(parameter, value).map_err(Failure::Fatal)?;
    }
    let layout = header.layout();
    // The lossless process has no blocks to take less of, and the library ignores a scale there.
    let scale = if header.lossless {
        Scale::Full
    } else {
        options.scale
    };
    handle.scale(scale).map_err(Failure::Fatal)?;
    let (width, height) = (
        header.width.div_ceil(scale.divisor()),
        header.height.div_ceil(scale.divisor()),
    );
    let pixels = u64::from(width) * u64::from(height);
    let mut data = usize::try_from(pixels)
        .ok()
        .and_then(|pixels| pixels.checked_mul(layout.bytes_per_pixel()))
        .ok_or(Error::Memory)
        .and_then(buffer::zeroed)
        .map_err(Failure::Fatal)?;
    // Nearly every file; what this says no to, TurboJPEG says why.
    let may_be_plain = !(header.progressive || header.lossless || header.arithmetic);
    let is_done = may_be_plain
        && on_warning == OnWarning::Stop
        && read_plain(
            bytes,
            (width, height),
            layout,
            scale,
            mebibytes << 20,
            &mut data,
        );
    if !is_done {
        match handle.read_pixels(bytes, layout, scale, &mut data) {
            Err(Failure::Warning(_)) if on_warning == OnWarning::GoOn => {}
            result => result?,
        }
    }
    Ok(Decoded {
        width,
        height,
        layout,
        data,
        damage: None,
    })
}

fn read_header(bytes: &[u8], on_warning: OnWarning) -> Result<(Handle, Header), Failure> {
    let mut handle = Handle::for_reading().map_err(Failure::Fatal)?;
    let settings = [
        (
            tj::TJPARAM_TJPARAM_STOPONWARNING,
            c_int::from(on_warning == OnWarning::Stop),
        ),
        // No copies of markers in the library: profiles are the caller's to find.
        (tj::TJPARAM_TJPARAM_SAVEMARKERS, 0),
    ];
    for (parameter, value) in settings {
        handle.set(parameter, value).map_err(Failure::Fatal)?;
    }
    match handle.read_header(bytes) {
        Err(Failure::Warning(_)) if on_warning == OnWarning::GoOn => {}
        // No scan has begun, so a restart marker among stray bytes is one of them.
        Err(Failure::Warning(Warning::Damaging(damage, text))) => {
            let stray = message::stray_bytes(&text);
            let warning = stray.unwrap_or(Warning::Damaging(damage, text));
            return Err(Failure::Warning(warning));
        }
        result => result?,
    }
    let header = describe(&handle).map_err(Failure::Fatal)?;
    Ok((handle, header))
}

/// The picture that the handle has read the header of.
fn describe(handle: &Handle) -> Result<Header, Error> {
    let side = |parameter| match u32::try_from(handle.get(parameter)) {
        Ok(pixels @ 1..) => Ok(pixels),
        // The library takes a file that ends properly before any frame for a set of tables.
        _ => Err(Error::Corrupt("it holds no picture".to_owned())),
    };
    let flag = |parameter| handle.get(parameter) == 1;
    Ok(Header {
        width: side(tj::TJPARAM_TJPARAM_JPEGWIDTH)?,
        height: side(tj::TJPARAM_TJPARAM_JPEGHEIGHT)?,
        color_space: match handle.get(tj::TJPARAM_TJPARAM_COLORSPACE).cast_unsigned() {
            tj::TJCS_TJCS_GRAY => ColorSpace::Gray,
            tj::TJCS_TJCS_YCbCr => ColorSpace::YCbCr,
            tj::TJCS_TJCS_RGB => ColorSpace::Rgb,
            tj::TJCS_TJCS_CMYK => ColorSpace::Cmyk,
            tj::TJCS_TJCS_YCCK => ColorSpace::Ycck,
            _ => {
                return Err(Error::Unsupported(
                    "a JPEG of an unknown colour space".to_owned(),
                ));
            }
        },
        subsampling: match handle.get(tj::TJPARAM_TJPARAM_SUBSAMP) {
            tj::TJSAMP_TJSAMP_444 => Subsampling::S444,
            tj::TJSAMP_TJSAMP_422 => Subsampling::S422,
            tj::TJSAMP_TJSAMP_420 => Subsampling::S420,
            tj::TJSAMP_TJSAMP_440 => Subsampling::S440,
            tj::TJSAMP_TJSAMP_411 => Subsampling::S411,
            tj::TJSAMP_TJSAMP_441 => Subsampling::S441,
            tj::TJSAMP_TJSAMP_GRAY => Subsampling::Gray,
            _ => Subsampling::Other,
        },
        bits: u8::try_from(handle.get(tj::TJPARAM_TJPARAM_PRECISION)).unwrap_or(0),
        progressive: flag(tj::TJPARAM_TJPARAM_PROGRESSIVE),
        lossless: flag(tj::TJPARAM_TJPARAM_LOSSLESS),
        arithmetic: flag(tj::TJPARAM_TJPARAM_ARITHMETIC),
    })
}

fn refusal(damage: Damage, text: String) -> Error {
    match damage {
        Damage::Truncated => Error::Truncated,
        Damage::Corrupt => Error::Corrupt(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (u32, u32) = (96, 64);

    /// A file of a kind that the public encoder doesn't write.
    fn written(layout: Layout, settings: &[(tj::TJPARAM, c_int)]) -> (Vec<u8>, Vec<u8>) {
        written_in(SIZE, layout, settings)
    }

    fn written_in(
        size: (u32, u32),
        layout: Layout,
        settings: &[(tj::TJPARAM, c_int)],
    ) -> (Vec<u8>, Vec<u8>) {
        let pixels: Vec<u8> = (0..size.0 * size.1)
            .flat_map(|i| [i % 96, i / 48, i % 48, i / 96].map(|value| value.to_le_bytes()[0]))
            .take((size.0 * size.1) as usize * layout.bytes_per_pixel())
            .collect();
        let mut handle = Handle::for_writing().unwrap();
        handle.set(tj::TJPARAM_TJPARAM_QUALITY, 95).unwrap();
        handle
            .set(tj::TJPARAM_TJPARAM_SUBSAMP, tj::TJSAMP_TJSAMP_444)
            .unwrap();
        for (parameter, value) in settings {
            handle.set(*parameter, *value).unwrap();
        }
        let jpeg = handle.write(&pixels, size, layout);
        (pixels, jpeg)
    }

    fn colorspace(space: tj::TJCS) -> (tj::TJPARAM, c_int) {
        (tj::TJPARAM_TJPARAM_COLORSPACE, space.cast_signed())
    }

    #[test]
    fn four_inks_come_out_as_cmyk_however_they_are_stored() {
        for (stored, space) in [
            (tj::TJCS_TJCS_CMYK, ColorSpace::Cmyk),
            (tj::TJCS_TJCS_YCCK, ColorSpace::Ycck),
        ] {
            let (pixels, jpeg) = written(Layout::Cmyk, &[colorspace(stored)]);
            let header = header(&jpeg).unwrap();
            assert_eq!((header.color_space, header.layout()), (space, Layout::Cmyk));
            let decoded = decode(&jpeg, &DecodeOptions::default()).unwrap();
            assert_eq!(
                (decoded.layout, decoded.data.len()),
                (Layout::Cmyk, pixels.len())
            );
            let worst = pixels
                .iter()
                .zip(&decoded.data)
                .map(|(a, b)| a.abs_diff(*b))
                .max();
            assert!(worst < Some(24), "{space:?}: {worst:?}");
        }
    }

    #[test]
    fn rgb_stored_as_it_is_comes_out_as_rgb() {
        let (_, jpeg) = written(Layout::Rgb, &[colorspace(tj::TJCS_TJCS_RGB)]);
        assert_eq!(header(&jpeg).unwrap().color_space, ColorSpace::Rgb);
        assert_eq!(
            decode(&jpeg, &DecodeOptions::default()).unwrap().layout,
            Layout::Rgb
        );
    }

    #[test]
    fn lossless_and_arithmetic_files_are_read() {
        let lossless = (tj::TJPARAM_TJPARAM_LOSSLESS, 1);
        let (pixels, jpeg) = written(Layout::Rgb, &[lossless]);
        assert!(header(&jpeg).unwrap().lossless);
        // There is nothing in such a file to take less of.
        let small = DecodeOptions {
            scale: Scale::Eighth,
            ..DecodeOptions::default()
        };
        let in_full = decode(&jpeg, &small).unwrap();
        assert_eq!((in_full.width, in_full.height), SIZE);
        assert_eq!(
            decode(&jpeg, &DecodeOptions::default()).unwrap().data,
            pixels
        );
        let (_, jpeg) = written(Layout::Rgb, &[(tj::TJPARAM_TJPARAM_ARITHMETIC, 1)]);
        assert!(header(&jpeg).unwrap().arithmetic);
        assert!(decode(&jpeg, &DecodeOptions::default()).is_ok());
        let cut = &jpeg[..jpeg.len() * 3 / 4];
        assert_eq!(
            decode(cut, &DecodeOptions::default()),
            Err(Error::Truncated)
        );
    }

    #[test]
    fn restart_markers_may_be_padded_but_not_lost() {
        let (_, jpeg) = written(Layout::Rgb, &[(tj::TJPARAM_TJPARAM_RESTARTROWS, 1)]);
        let whole = decode(&jpeg, &DecodeOptions::default()).unwrap();
        let marker = jpeg
            .windows(2)
            .position(|pair| pair == [0xFF, 0xD3])
            .unwrap();
        let mut filled = jpeg.clone();
        filled.splice(marker..marker, [0xFF; 3]);
        assert_eq!(decode(&filled, &DecodeOptions::default()).unwrap(), whole);
        let mut tail = jpeg.clone();
        tail.splice(jpeg.len() - 2..jpeg.len() - 2, [0; 30]);
        assert_eq!(decode(&tail, &DecodeOptions::default()).unwrap(), whole);

        let mut lost = jpeg.clone();
        lost.drain(marker..marker + 2);
        let mut swapped = jpeg.clone();
        swapped[marker + 1] = 0xD5;
        for bad in [
            lost,
            swapped,
            jpeg[..marker]
                .iter()
                .chain(&[0xFF, 0xD9])
                .copied()
                .collect(),
        ] {
            assert!(matches!(
                decode(&bad, &DecodeOptions::default()),
                Err(Error::Corrupt(_))
            ));
            let accept = DecodeOptions {
                accept_damage: true,
                ..DecodeOptions::default()
            };
            assert_eq!(decode(&bad, &accept).unwrap().damage, Some(Damage::Corrupt));
        }
        assert_eq!(
            decode(&jpeg[..marker], &DecodeOptions::default()),
            Err(Error::Truncated)
        );
    }

    fn at(scale: Scale) -> DecodeOptions {
        DecodeOptions {
            scale,
            ..DecodeOptions::default()
        }
    }

    /// The pixels if the file is plain enough.
    fn plainly(jpeg: &[u8], scale: Scale) -> Option<Vec<u8>> {
        let header = header(jpeg).ok()?;
        let divisor = scale.divisor();
        let size = (
            header.width.div_ceil(divisor),
            header.height.div_ceil(divisor),
        );
        let layout = header.layout();
        let mut pixels = vec![0; size.0 as usize * size.1 as usize * layout.bytes_per_pixel()];
        read_plain(jpeg, size, layout, scale, 0, &mut pixels).then_some(pixels)
    }

    /// Small files of every kind that is one sequential scan.
    fn plain_files() -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        let spaces = [
            (Layout::Gray, tj::TJCS_TJCS_GRAY),
            (Layout::Rgb, tj::TJCS_TJCS_RGB),
            (Layout::Cmyk, tj::TJCS_TJCS_CMYK),
            (Layout::Cmyk, tj::TJCS_TJCS_YCCK),
        ];
        for (layout, space) in spaces {
            files.push(written_in((61, 43), layout, &[colorspace(space)]).1);
        }
        for (subsampling, size) in [
            (tj::TJSAMP_TJSAMP_444, (1, 1)),
            (tj::TJSAMP_TJSAMP_422, (97, 64)),
            (tj::TJSAMP_TJSAMP_420, (33, 90)),
            (tj::TJSAMP_TJSAMP_440, (40, 41)),
            (tj::TJSAMP_TJSAMP_411, (70, 15)),
            (tj::TJSAMP_TJSAMP_441, (15, 70)),
        ] {
            for (quality, optimize, restart_blocks) in
                [(30, 0, 0), (95, 1, 0), (100, 0, 1), (90, 0, 7), (60, 1, 2)]
            {
                let settings = [
                    (
                        tj::TJPARAM_TJPARAM_SUBSAMP,
                        c_int::try_from(subsampling).unwrap(),
                    ),
                    (tj::TJPARAM_TJPARAM_QUALITY, quality),
                    (tj::TJPARAM_TJPARAM_OPTIMIZE, optimize),
                    (tj::TJPARAM_TJPARAM_RESTARTBLOCKS, restart_blocks),
                ];
                files.push(written_in(size, Layout::Rgb, &settings).1);
            }
        }
        files
    }

    #[test]
    fn a_plain_file_has_the_same_pixels_whoever_reads_its_codes() {
        for (number, jpeg) in plain_files().iter().enumerate() {
            for scale in [Scale::Full, Scale::Quarter, Scale::Eighth] {
                let turbo = read(jpeg, &at(scale), OnWarning::GoOn).ok().unwrap();
                let plain = plainly(jpeg, scale);
                assert!(plain.is_some(), "file {number} is plain");
                assert!(plain == Some(turbo.data), "file {number} at {scale:?}");
            }
        }
    }

    #[test]
    fn what_is_not_one_sequential_scan_is_left_to_turbojpeg() {
        let (_, whole) = written(Layout::Rgb, &[]);
        assert!(plainly(&whole, Scale::Full).is_some());
        for setting in [
            (tj::TJPARAM_TJPARAM_PROGRESSIVE, 1),
            (tj::TJPARAM_TJPARAM_ARITHMETIC, 1),
            (tj::TJPARAM_TJPARAM_LOSSLESS, 1),
        ] {
            let (_, jpeg) = written(Layout::Rgb, &[setting]);
            assert_eq!(plainly(&jpeg, Scale::Full), None, "{setting:?}");
        }
    }

    /// What is read here must never be a picture that `TurboJPEG` would have refused, or another one.
    #[test]
    fn whatever_was_changed_in_a_file_it_is_read_as_turbojpeg_reads_it_or_not_at_all() {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        let mut below = |limit: usize| {
            // xorshift64 (Marsaglia, 2003): the same numbers on every machine.
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            usize::try_from(random >> 33).unwrap() % limit
        };
        let is_long = std::env::var_os("PIXMILL_LONG").is_some();
        let rounds = if is_long { 40_000 } else { 120 };
        let (mut same, mut left) = (0, 0);
        for file in plain_files() {
            let data = file
                .windows(2)
                .rposition(|pair| pair == [0xFF, 0xDA])
                .unwrap();
            for round in 0..rounds {
                let mut jpeg = file.clone();
                // Mostly in the codes, where much stays readable.
                let from = if round % 4 == 0 { 2 } else { data + 8 };
                let place = from + below(jpeg.len() - from);
                match round % 5 {
                    0 | 1 => jpeg[place] ^= 1 << below(8),
                    2 => jpeg[place] = [0, 0xFF, 0xD0, 0xD9][below(4)],
                    3 => drop(jpeg.drain(place..jpeg.len().min(place + 1 + below(4)))),
                    _ => {
                        let piece: Vec<u8> =
                            (0..=below(3)).map(|_| file[below(file.len())]).collect();
                        jpeg.splice(place..place, piece);
                    }
                }
                let scale = [Scale::Full, Scale::Quarter, Scale::Eighth][round % 3];
                let Some(plain) = plainly(&jpeg, scale) else {
                    left += 1;
                    continue;
                };
                same += 1;
                // Without what is read here: a header that has already been read, and the pixels.
                let (mut handle, header) = read_header(&jpeg, OnWarning::Stop).ok().unwrap();
                handle.scale(scale).unwrap();
                let mut pixels = vec![0; plain.len()];
                let outcome = handle.read_pixels(&jpeg, header.layout(), scale, &mut pixels);
                assert!(outcome.is_ok(), "{outcome:?}: {jpeg:02x?}");
                assert!(pixels == plain, "{jpeg:02x?}");
            }
        }
        println!("{same} read here, {left} left to TurboJPEG");
        assert!(same > 500 && left > 500);
    }
}
