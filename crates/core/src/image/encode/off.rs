//! Stands in for a format whose cargo feature is off.

use super::{Encoded, failure};
use crate::error::ImageError;
use crate::image::metadata::Carried;
use crate::image::picture::Picture;
use crate::recipe::Variant;

/// Never reached in earnest: such variants are refused while they are planned.
pub(super) fn encode(
    _picture: &Picture,
    variant: &Variant,
    _carried: &Carried,
    _stop: &dyn Fn() -> bool,
) -> Result<Encoded, ImageError> {
    Err(failure(
        variant,
        &"this engine was built without its format",
    ))
}
