//! JPEG out, by libjpeg-turbo.

use pixmill_codecs::jpeg::{self, EncodeOptions, Layout as JpegLayout, Subsampling, Tables};

use super::{Encoded, codec_failure, failure};
use crate::error::ImageError;
use crate::image::metadata::{Carried, into_jpeg};
use crate::image::picture::{Layout, Picture};
use crate::recipe::{Chroma, Effort, Variant};

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
        tables: match variant.effort {
            Effort::Fast => Tables::Standard,
            Effort::Balanced => Tables::Sampled,
            Effort::Best => Tables::Fitted,
        },
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
