//! JPEG out.

use std::ffi::c_int;

use turbojpeg_sys as tj;

use super::handle::Handle;
use super::{Layout, Subsampling};
use crate::Error;

/// How to write a JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodeOptions {
    /// 1 (worst) to 100 (best), on libjpeg's scale.
    pub quality: u8,
    /// How much smaller to store the colour components. [`Subsampling::Gray`] drops them;
    /// [`Subsampling::Other`] can't be written. Gray pixels ignore it.
    pub subsampling: Subsampling,
    /// Whether to write scans that refine each other. Their Huffman tables are always fitted.
    pub progressive: bool,
    /// Whether to fit the Huffman tables to the picture: a few percent smaller, one more pass.
    pub optimize: bool,
}

/// Encodes `width` x `height` pixels of `layout`, which is [`Layout::Gray`] or [`Layout::Rgb`].
///
/// The file has a JFIF header with square pixels and no density, no thumbnail, no comment, no
/// profile. Sides go up to [`MAX_SIDE`](super::MAX_SIDE).
///
/// Fails with [`Error::TooLarge`] over that, [`Error::Input`] if the options are out of range or
/// `data` is not exactly of that size, [`Error::Memory`], or [`Error::Encode`] with the library's words.
pub fn encode(
    data: &[u8],
    width: u32,
    height: u32,
    layout: Layout,
    options: &EncodeOptions,
) -> Result<Vec<u8>, Error> {
    if layout == Layout::Cmyk {
        return Err(Error::Input("CMYK is not written as JPEG".to_owned()));
    }
    if !(1..=100).contains(&options.quality) {
        return Err(Error::Input(format!(
            "a quality of {} is not within 1 to 100",
            options.quality
        )));
    }
    let subsampling = match options.subsampling {
        _ if layout == Layout::Gray => tj::TJSAMP_TJSAMP_GRAY,
        Subsampling::S444 => tj::TJSAMP_TJSAMP_444,
        Subsampling::S422 => tj::TJSAMP_TJSAMP_422,
        Subsampling::S420 => tj::TJSAMP_TJSAMP_420,
        Subsampling::S440 => tj::TJSAMP_TJSAMP_440,
        Subsampling::S411 => tj::TJSAMP_TJSAMP_411,
        Subsampling::S441 => tj::TJSAMP_TJSAMP_441,
        Subsampling::Gray => tj::TJSAMP_TJSAMP_GRAY,
        Subsampling::Other => {
            return Err(Error::Input("that subsampling can't be written".to_owned()));
        }
    };
    let mut handle = Handle::for_writing()?;
    let settings = [
        (tj::TJPARAM_TJPARAM_QUALITY, c_int::from(options.quality)),
        (tj::TJPARAM_TJPARAM_SUBSAMP, subsampling),
        (
            tj::TJPARAM_TJPARAM_PROGRESSIVE,
            c_int::from(options.progressive),
        ),
        (tj::TJPARAM_TJPARAM_OPTIMIZE, c_int::from(options.optimize)),
    ];
    for (parameter, value) in settings {
        handle.set(parameter, value)?;
    }
    handle.write(data, (width, height), layout)
}
