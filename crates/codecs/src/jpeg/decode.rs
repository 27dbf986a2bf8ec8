//! JPEG in: what a file says about itself, its pixels, and whether all of them are there.

use std::borrow::Cow;
use std::ffi::c_int;

use turbojpeg_sys as tj;

use super::handle::Handle;
use super::markers;
use super::message::{Failure, Warning};
use super::{ColorSpace, Layout, Subsampling};
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
}

impl Default for DecodeOptions {
    /// At most 500 scans (as libjpeg-turbo's own tools), any memory, no damage.
    fn default() -> Self {
        Self {
            scan_limit: 500,
            memory_limit: 0,
            accept_damage: false,
        }
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
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
/// before the end marker) or [`Error::Corrupt`]. Bytes between segments or behind the picture and
/// odd values in header fields that libjpeg can do without are no damage. One thing goes unnoticed:
/// corrupt data behind stray bytes between two scans of one file.
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
    match (read(bytes, options, OnWarning::GoOn), damage) {
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
/// mended and decoded anew, until there is none or a serious one.
fn decode_whole(bytes: &[u8], options: &DecodeOptions) -> Result<Outcome, Error> {
    let mut mended: Option<Vec<u8>> = None;
    loop {
        let current = mended.as_deref().unwrap_or(bytes);
        let warning = match read(current, options, OnWarning::Stop) {
            Ok(decoded) => return Ok(Outcome::Whole(decoded)),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(Failure::Warning(Warning::Damaging(damage, text))) => {
                return Ok(Outcome::Damaged(damage, text));
            }
            Err(Failure::Warning(warning)) => warning,
        };
        let next = markers::mended(current, &warning)?;
        // Mending only ever takes bytes out after the first time, so this ends.
        if next == current || mended.as_ref().is_some_and(|last| next.len() >= last.len()) {
            return Ok(Outcome::Odd);
        }
        mended = Some(next);
    }
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
    let pixels = u64::from(header.width) * u64::from(header.height);
    let mut data = usize::try_from(pixels)
        .ok()
        .and_then(|pixels| pixels.checked_mul(layout.bytes_per_pixel()))
        .ok_or(Error::Memory)
        .and_then(buffer::zeroed)
        .map_err(Failure::Fatal)?;
    match handle.read_pixels(bytes, layout, &mut data) {
        Err(Failure::Warning(_)) if on_warning == OnWarning::GoOn => {}
        result => result?,
    }
    Ok(Decoded {
        width: header.width,
        height: header.height,
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
