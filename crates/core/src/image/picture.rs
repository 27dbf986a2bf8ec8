//! Pixels in memory: one buffer of 8-bit samples, rows top-down, nothing between rows.

use crate::error::ImageError;

/// Which samples a pixel has, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// Inks, 255 is full ink; lives only from decoding to the color conversion.
    Cmyk,
}

impl Layout {
    /// Bytes per pixel.
    pub(crate) const fn channels(self) -> usize {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }

    pub(crate) const fn has_alpha(self) -> bool {
        matches!(self, Self::GrayAlpha | Self::Rgba)
    }

    /// The same colors without alpha.
    pub(crate) const fn opaque(self) -> Self {
        match self {
            Self::GrayAlpha => Self::Gray,
            Self::Rgba => Self::Rgb,
            other => other,
        }
    }

    pub(crate) const fn is_gray(self) -> bool {
        matches!(self, Self::Gray | Self::GrayAlpha)
    }
}

/// A picture: `data.len() == width * height * layout.channels()`, sides at least 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) layout: Layout,
    pub(crate) data: Vec<u8>,
}

/// `len` zero bytes, or [`ImageError::OutOfMemory`]; a header must not be able to abort the process.
pub(crate) fn zeroed(len: u64) -> Result<Vec<u8>, ImageError> {
    let no_memory = || ImageError::OutOfMemory {
        needed: len,
        max: len.saturating_sub(1),
    };
    let size = usize::try_from(len).map_err(|_| no_memory())?;
    let mut data = Vec::new();
    data.try_reserve_exact(size).map_err(|_| no_memory())?;
    data.resize(size, 0);
    Ok(data)
}

/// Bytes of a `width` x `height` picture.
pub(crate) fn byte_len((width, height): (u32, u32), layout: Layout) -> u64 {
    u64::from(width) * u64::from(height) * layout.channels() as u64
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
        self.width as usize * self.layout.channels()
    }

    /// Whether no pixel lets anything shine through.
    pub(crate) fn is_opaque(&self) -> bool {
        let channels = self.layout.channels();
        !self.layout.has_alpha()
            || self
                .data
                .chunks_exact(channels)
                .all(|pixel| pixel[channels - 1] == 255)
    }

    /// The same picture without its alpha channel when that says nothing; in place.
    pub(crate) fn without_idle_alpha(mut self) -> Self {
        if self.layout.has_alpha() && self.is_opaque() {
            let from = self.layout.channels();
            let to = from - 1;
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

    /// The picture in `layout`, which holds at least as much: gray becomes three equal samples,
    /// missing alpha becomes opaque.
    pub(crate) fn widened(&self, layout: Layout) -> Result<Self, ImageError> {
        let mut wide = Self::blank(self.size(), layout)?;
        let from = self.data.chunks_exact(self.layout.channels());
        let to = wide.data.chunks_exact_mut(layout.channels());
        for (from, to) in from.zip(to) {
            let (gray, alpha) = match *from {
                [v] => ([v; 3], 255),
                [v, a] => ([v; 3], a),
                [r, g, b] => ([r, g, b], 255),
                [r, g, b, a, ..] => ([r, g, b], a),
                [] => unreachable!("a pixel has samples"),
            };
            match to {
                [v] => *v = gray[0],
                [v, a] => (*v, *a) = (gray[0], alpha),
                [r, g, b] => (*r, *g, *b) = (gray[0], gray[1], gray[2]),
                [r, g, b, a, ..] => (*r, *g, *b, *a) = (gray[0], gray[1], gray[2], alpha),
                [] => {}
            }
        }
        Ok(wide)
    }

    /// The picture laid over `background`, without alpha. Gray stays gray over a gray background.
    pub(crate) fn flattened(&self, background: [u8; 3]) -> Result<Self, ImageError> {
        let [red, green, blue] = background;
        let layout = match self.layout {
            Layout::GrayAlpha if red == green && green == blue => Layout::Gray,
            Layout::GrayAlpha | Layout::Rgba => Layout::Rgb,
            other => other,
        };
        let mut flat = Self::blank(self.size(), layout)?;
        let from = self.data.chunks_exact(self.layout.channels());
        let to = flat.data.chunks_exact_mut(layout.channels());
        for (from, to) in from.zip(to) {
            let Some((alpha, colors)) = from.split_last().filter(|_| self.layout.has_alpha())
            else {
                to.copy_from_slice(from);
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

/// `top` with `alpha` over an opaque `below`, rounded to nearest.
fn over(top: u8, below: u8, alpha: u8) -> u8 {
    let (top, below, alpha) = (u32::from(top), u32::from(below), u32::from(alpha));
    let sum = top * alpha + below * (255 - alpha);
    u8::try_from((sum + 127) / 255).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::*;

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
