//! Pixels in memory: one buffer of samples, rows top-down, nothing between rows.

use std::borrow::Cow;

use crate::error::ImageError;

/// Which samples a pixel has, in this order. Those whose names end in 16 have 16 bits a sample, in
/// the processor's own byte order; the others have 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// Inks, 255 is full ink; lives only from decoding to the color conversion.
    Cmyk,
    Gray16,
    GrayAlpha16,
    Rgb16,
    Rgba16,
}

impl Layout {
    /// Samples per pixel.
    pub(crate) const fn channels(self) -> usize {
        match self {
            Self::Gray | Self::Gray16 => 1,
            Self::GrayAlpha | Self::GrayAlpha16 => 2,
            Self::Rgb | Self::Rgb16 => 3,
            Self::Rgba | Self::Rgba16 | Self::Cmyk => 4,
        }
    }

    /// Bytes per pixel.
    pub(crate) const fn bytes_per_pixel(self) -> usize {
        self.channels() * if self.is_deep() { 2 } else { 1 }
    }

    pub(crate) const fn has_alpha(self) -> bool {
        matches!(
            self,
            Self::GrayAlpha | Self::Rgba | Self::GrayAlpha16 | Self::Rgba16
        )
    }

    /// Whether there are 16 bits a sample.
    pub(crate) const fn is_deep(self) -> bool {
        matches!(
            self,
            Self::Gray16 | Self::GrayAlpha16 | Self::Rgb16 | Self::Rgba16
        )
    }

    /// The same samples with 16 bits each; inks stay at 8.
    pub(crate) const fn deep(self) -> Self {
        match self {
            Self::Gray => Self::Gray16,
            Self::GrayAlpha => Self::GrayAlpha16,
            Self::Rgb => Self::Rgb16,
            Self::Rgba => Self::Rgba16,
            other => other,
        }
    }

    /// The same samples with 8 bits each.
    pub(crate) const fn shallow(self) -> Self {
        match self {
            Self::Gray16 => Self::Gray,
            Self::GrayAlpha16 => Self::GrayAlpha,
            Self::Rgb16 => Self::Rgb,
            Self::Rgba16 => Self::Rgba,
            other => other,
        }
    }

    /// The same colors without alpha.
    pub(crate) const fn opaque(self) -> Self {
        match self {
            Self::GrayAlpha => Self::Gray,
            Self::Rgba => Self::Rgb,
            Self::GrayAlpha16 => Self::Gray16,
            Self::Rgba16 => Self::Rgb16,
            other => other,
        }
    }

    pub(crate) const fn is_gray(self) -> bool {
        matches!(
            self,
            Self::Gray | Self::GrayAlpha | Self::Gray16 | Self::GrayAlpha16
        )
    }
}

/// A picture: `data.len() == width * height * layout.bytes_per_pixel()`, sides at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) layout: Layout,
    pub(crate) data: Vec<u8>,
}

/// There are no `len` bytes to be had.
pub(crate) fn no_memory(len: u64) -> ImageError {
    ImageError::OutOfMemory {
        needed: len,
        max: len.saturating_sub(1),
    }
}

/// `len` zero bytes, or [`ImageError::OutOfMemory`]; a header must not be able to abort the process.
pub(crate) fn zeroed(len: u64) -> Result<Vec<u8>, ImageError> {
    let size = usize::try_from(len).map_err(|_| no_memory(len))?;
    pixmill_codecs::zeroed(size).map_err(|_| no_memory(len))
}

/// Bytes of a `width` x `height` picture.
pub(crate) fn byte_len((width, height): (u32, u32), layout: Layout) -> u64 {
    u64::from(width) * u64::from(height) * layout.bytes_per_pixel() as u64
}

impl Picture {
    /// A picture of zeros: black, and transparent where there is alpha.
    pub(crate) fn blank(size: (u32, u32), layout: Layout) -> Result<Self, ImageError> {
        Ok(Self {
            width: size.0,
            height: size.1,
            layout,
            data: zeroed(byte_len(size, layout))?,
        })
    }

    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Bytes per row.
    pub(crate) fn stride(&self) -> usize {
        self.width as usize * self.layout.bytes_per_pixel()
    }

    /// Whether no pixel lets anything shine through.
    pub(crate) fn is_opaque(&self) -> bool {
        let pixel = self.layout.bytes_per_pixel();
        let alpha = pixel / self.layout.channels();
        !self.layout.has_alpha()
            || self
                .data
                .chunks_exact(pixel)
                .all(|bytes| bytes[pixel - alpha..].iter().all(|byte| *byte == 255))
    }

    /// The same picture without its alpha channel when that says nothing; in place.
    pub(crate) fn without_idle_alpha(mut self) -> Self {
        if self.layout.has_alpha() && self.is_opaque() {
            let from = self.layout.bytes_per_pixel();
            let to = self.layout.opaque().bytes_per_pixel();
            let pixels = self.data.len() / from;
            for pixel in 0..pixels {
                self.data
                    .copy_within(pixel * from..pixel * from + to, pixel * to);
            }
            self.data.truncate(pixels * to);
            self.data.shrink_to_fit();
            self.layout = self.layout.opaque();
        }
        self
    }

    /// The picture with 8 bits a sample.
    pub(crate) fn narrowed(&self) -> Result<Cow<'_, Self>, ImageError> {
        if !self.layout.is_deep() {
            return Ok(Cow::Borrowed(self));
        }
        let mut narrow = Self::blank(self.size(), self.layout.shallow())?;
        let samples = self.data.as_chunks::<2>().0;
        for (to, from) in narrow.data.iter_mut().zip(samples) {
            *to = narrowed(u16::from_ne_bytes(*from));
        }
        Ok(Cow::Owned(narrow))
    }

    /// The picture in `layout`, which holds at least as much: gray becomes three equal samples,
    /// missing alpha becomes opaque. Samples keep their number of bits.
    pub(crate) fn widened(&self, layout: Layout) -> Result<Self, ImageError> {
        let mut wide = Self::blank(self.size(), layout)?;
        if self.layout.is_deep() {
            widen::<2>(self, &mut wide);
        } else {
            widen::<1>(self, &mut wide);
        }
        Ok(wide)
    }

    /// The picture laid over `background`, without alpha. Gray stays gray over a gray background.
    pub(crate) fn flattened(&self, background: [u8; 3]) -> Result<Self, ImageError> {
        let [red, green, blue] = background;
        let is_gray = red == green && green == blue;
        let layout = match self.layout {
            Layout::GrayAlpha if !is_gray => Layout::Rgb,
            Layout::GrayAlpha16 if !is_gray => Layout::Rgb16,
            other => other.opaque(),
        };
        let mut flat = Self::blank(self.size(), layout)?;
        if !self.layout.has_alpha() {
            flat.data.copy_from_slice(&self.data);
            return Ok(flat);
        }
        let from = self.data.chunks_exact(self.layout.bytes_per_pixel());
        let to = flat.data.chunks_exact_mut(layout.bytes_per_pixel());
        if layout.is_deep() {
            let background = background.map(deepened);
            for (from, to) in from.zip(to) {
                let Some((alpha, colors)) = from.as_chunks::<2>().0.split_last() else {
                    continue;
                };
                let to = to.as_chunks_mut::<2>().0;
                for (at, (sample, below)) in to.iter_mut().zip(background).enumerate() {
                    let top = u16::from_ne_bytes(colors[at.min(colors.len() - 1)]);
                    *sample = deep_over(top, below, u16::from_ne_bytes(*alpha)).to_ne_bytes();
                }
            }
            return Ok(flat);
        }
        for (from, to) in from.zip(to) {
            let Some((alpha, colors)) = from.split_last() else {
                continue;
            };
            for (at, (sample, below)) in to.iter_mut().zip(background).enumerate() {
                // Gray has one sample for all three.
                *sample = over(colors[at.min(colors.len() - 1)], below, *alpha);
            }
        }
        Ok(flat)
    }
}

/// Copies pixels of `N` bytes a sample into a layout that holds at least as much.
fn widen<const N: usize>(from: &Picture, wide: &mut Picture) {
    let opaque = [255; N];
    let source = from.data.as_chunks::<N>().0;
    let target = wide.data.as_chunks_mut::<N>().0;
    let from = source.chunks_exact(from.layout.channels());
    let to = target.chunks_exact_mut(wide.layout.channels());
    for (from, to) in from.zip(to) {
        let (color, alpha) = match *from {
            [v] => ([v; 3], opaque),
            [v, a] => ([v; 3], a),
            [r, g, b] => ([r, g, b], opaque),
            [r, g, b, a, ..] => ([r, g, b], a),
            [] => unreachable!("a pixel has samples"),
        };
        match to {
            [v] => *v = color[0],
            [v, a] => (*v, *a) = (color[0], alpha),
            [r, g, b] => (*r, *g, *b) = (color[0], color[1], color[2]),
            [r, g, b, a, ..] => (*r, *g, *b, *a) = (color[0], color[1], color[2], alpha),
            [] => {}
        }
    }
}

/// 16 bits to 8, scaled and rounded to nearest.
pub(crate) fn narrowed(sample: u16) -> u8 {
    u8::try_from((u32::from(sample) * 255 + 32_767) / 65_535).unwrap_or(255)
}

/// 8 bits to 16: 255 becomes 65,535.
pub(crate) fn deepened(sample: u8) -> u16 {
    u16::from(sample) * 257
}

/// `top` with `alpha` over an opaque `below`, rounded to nearest.
fn over(top: u8, below: u8, alpha: u8) -> u8 {
    let (top, below, alpha) = (u32::from(top), u32::from(below), u32::from(alpha));
    let sum = top * alpha + below * (255 - alpha);
    u8::try_from((sum + 127) / 255).unwrap_or(255)
}

/// [`over`] with 16 bits a sample.
fn deep_over(top: u16, below: u16, alpha: u16) -> u16 {
    let (top, below, alpha) = (u64::from(top), u64::from(below), u64::from(alpha));
    let sum = top * alpha + below * (65_535 - alpha);
    u16::try_from((sum + 32_767) / 65_535).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_scaled_to_eight_and_rounded() {
        assert_eq!(narrowed(0), 0);
        assert_eq!(narrowed(128), 0);
        assert_eq!(narrowed(129), 1);
        assert_eq!(narrowed(32_767), 127);
        assert_eq!(narrowed(32_768), 128);
        assert_eq!(narrowed(65_535), 255);
        for v in 0..=255u8 {
            assert_eq!(narrowed(deepened(v)), v);
        }
    }

    #[test]
    fn deep_pictures_are_flattened_and_widened_as_shallow_ones_are() {
        for layout in [Layout::GrayAlpha, Layout::Rgba] {
            let data: Vec<u8> = (0..96).map(|v: u8| v.wrapping_mul(37)).collect();
            let pixels = u32::try_from(data.len() / layout.channels()).unwrap();
            let shallow = picture(layout, pixels, &data);
            let deep: Vec<u8> = data
                .iter()
                .flat_map(|v| deepened(*v).to_ne_bytes())
                .collect();
            let deep = picture(layout.deep(), pixels, &deep);
            assert_eq!(*deep.narrowed().unwrap(), shallow);
            for background in [[9; 3], [250, 3, 77]] {
                let flat = deep.flattened(background).unwrap();
                let expected = shallow.flattened(background).unwrap();
                assert_eq!(*flat.narrowed().unwrap(), expected);
            }
            let wide = deep.widened(Layout::Rgba16).unwrap();
            let expected = shallow.widened(Layout::Rgba).unwrap();
            assert_eq!(*wide.narrowed().unwrap(), expected);
        }
    }

    fn picture(layout: Layout, width: u32, data: &[u8]) -> Picture {
        Picture {
            width,
            height: 1,
            layout,
            data: data.to_vec(),
        }
    }

    #[test]
    fn alpha_that_says_nothing_is_dropped_and_other_alpha_stays() {
        let opaque = picture(Layout::Rgba, 2, &[1, 2, 3, 255, 4, 5, 6, 255]);
        assert_eq!(
            opaque.without_idle_alpha(),
            picture(Layout::Rgb, 2, &[1, 2, 3, 4, 5, 6])
        );
        let seen_through = picture(Layout::GrayAlpha, 2, &[1, 255, 4, 254]);
        assert_eq!(seen_through.clone().without_idle_alpha(), seen_through);
    }

    #[test]
    fn flattening_lays_pixels_over_the_background() {
        let pixels = picture(
            Layout::Rgba,
            3,
            &[9, 9, 9, 0, 10, 20, 30, 255, 0, 0, 0, 128],
        );
        let flat = pixels.flattened([255, 0, 100]).unwrap();
        assert_eq!(flat.data, [255, 0, 100, 10, 20, 30, 127, 0, 50]);
        let gray = picture(Layout::GrayAlpha, 1, &[0, 0]);
        assert_eq!(gray.flattened([7; 3]).unwrap().layout, Layout::Gray);
        assert_eq!(gray.flattened([7, 8, 9]).unwrap().data, [7, 8, 9]);
    }
}
