//! JPEG out, by libjpeg-turbo.

use pixmill_codecs::jpeg::{self, EncodeOptions, Layout as JpegLayout, Subsampling, Tables};

use super::{Encoded, codec_failure, failure};
use crate::error::ImageError;
use crate::image::metadata::{Carried, into_jpeg};
use crate::image::picture::{Layout, Picture};
use crate::recipe::{Chroma, Effort, Variant};

fn tables(effort: Effort) -> Tables {
    match effort {
        Effort::Fast => Tables::Standard,
        Effort::Balanced => Tables::Sampled,
        Effort::Best => Tables::Fitted,
    }
}

/// Of how many pixels the coefficients are in memory at one time while `variant` is made of `pixels`.
pub(crate) fn pixels_in_memory(variant: &Variant, pixels: u64) -> u64 {
    tables(variant.effort).pixels_in_memory(pixels, variant.is_progressive())
}

pub(super) fn encode(
    picture: &Picture,
    variant: &Variant,
    carried: &Carried,
    stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    let quality = variant.encoder_quality().unwrap_or(100);
    let options = EncodeOptions {
        quality,
        subsampling: match variant.subsampling {
            Chroma::Auto if quality < 90 => Subsampling::S420,
            Chroma::Auto | Chroma::Full => Subsampling::S444,
            Chroma::HalfWidth => Subsampling::S422,
            Chroma::Quarter => Subsampling::S420,
        },
        progressive: variant.is_progressive(),
        tables: tables(variant.effort),
    };
    let layout = match picture.layout {
        Layout::Gray => JpegLayout::Gray,
        Layout::Rgb => JpegLayout::Rgb,
        other => return Err(failure(variant, &format!("{other:?} in a JPEG"))),
    };
    let jpeg = jpeg::encode(
        &picture.data,
        picture.width,
        picture.height,
        layout,
        &options,
        stop,
    )
    .map_err(|error| codec_failure(variant, picture.data.len() as u64, &error))?;
    let (bytes, lost) = into_jpeg(jpeg, carried);
    Ok(Encoded { bytes, lost })
}
