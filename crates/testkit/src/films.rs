//! Animations drawn in code, and what players that we did not write show of an animation.

use std::io::Cursor;

use gif::{DisposalMethod, Encoder as GifEncoder, Frame as GifFrame, Repeat};
use image::codecs::gif::GifDecoder;
use image::codecs::png::PngDecoder;
use image::metadata::LoopCount;
use image::{AnimationDecoder, ImageDecoder};
pub use pixmill_codecs::webp::reference::Film;

use crate::pictures::Drawing;

/// What becomes of a piece when its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum After {
    Stays,
    Cleared,
    Before,
}

/// What is drawn for one frame.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Its left and upper edge, in pixels; even in a WebP.
    pub at: (u32, u32),
    /// RGBA. In a GIF, at most 255 colors, and alpha is 0 or 255.
    pub drawing: Drawing,
    /// How long it is shown, in milliseconds; tens in a GIF.
    pub delay: u32,
    /// Whether it is laid over what is there, or replaces it. A GIF is always laid over.
    pub blend: bool,
    /// What becomes of it. There is no `Before` in a WebP.
    pub after: After,
}

/// A GIF that is repeated as often as stated (0: for ever), or says nothing of that.
#[expect(clippy::missing_panics_doc, reason = "pieces are small and few")]
pub fn gif((width, height): (u32, u32), pieces: &[Piece], repeat: Option<u16>) -> Vec<u8> {
    let side = |side: u32| u16::try_from(side).expect("films are small");
    let mut out = Vec::new();
    let mut encoder =
        GifEncoder::new(&mut out, side(width), side(height), &[]).expect("memory can be written");
    match repeat {
        Some(0) => encoder.set_repeat(Repeat::Infinite).expect("as above"),
        Some(times) => encoder.set_repeat(Repeat::Finite(times)).expect("as above"),
        None => {}
    }
    for piece in pieces {
        let mut palette = vec![[0, 0, 0]];
        let mut pixels = Vec::new();
        for pixel in piece.drawing.data.chunks_exact(4) {
            let color = [pixel[0], pixel[1], pixel[2]];
            let found = palette.iter().skip(1).position(|known| *known == color);
            pixels.push(match (pixel[3], found) {
                (0, _) => 0,
                (_, Some(at)) => u8::try_from(at + 1).expect("few colors"),
                (_, None) => {
                    palette.push(color);
                    u8::try_from(palette.len() - 1).expect("few colors")
                }
            });
        }
        let (width, height) = (side(piece.drawing.width), side(piece.drawing.height));
        let mut frame =
            GifFrame::from_palette_pixels(width, height, pixels, palette.concat(), Some(0));
        (frame.left, frame.top) = (side(piece.at.0), side(piece.at.1));
        frame.delay = side(piece.delay / 10);
        frame.dispose = match piece.after {
            After::Stays => DisposalMethod::Keep,
            After::Cleared => DisposalMethod::Background,
            After::Before => DisposalMethod::Previous,
        };
        encoder.write_frame(&frame).expect("as above");
    }
    drop(encoder);
    out
}

/// A PNG that is played `plays` times (0: for ever). With a `poster`, that is what programs without
/// animation show, and no frame.
#[expect(clippy::missing_panics_doc, reason = "pieces are RGBA and fit")]
pub fn png(
    (width, height): (u32, u32),
    poster: Option<&Drawing>,
    pieces: &[Piece],
    plays: u32,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgba);
    let frames = u32::try_from(pieces.len()).expect("few frames");
    encoder.set_animated(frames, plays).expect("good numbers");
    encoder
        .set_sep_def_img(poster.is_some())
        .expect("it is animated");
    let mut writer = encoder.write_header().expect("memory can be written");
    if let Some(poster) = poster {
        writer.write_image_data(&poster.data).expect("as above");
    }
    for piece in pieces {
        writer.reset_frame_position().expect("as above");
        writer
            .set_frame_dimension(piece.drawing.width, piece.drawing.height)
            .expect("it fits");
        writer
            .set_frame_position(piece.at.0, piece.at.1)
            .expect("it fits");
        let delay = u16::try_from(piece.delay).expect("short frames");
        writer.set_frame_delay(delay, 1000).expect("as above");
        writer
            .set_blend_op(if piece.blend {
                png::BlendOp::Over
            } else {
                png::BlendOp::Source
            })
            .expect("as above");
        writer
            .set_dispose_op(match piece.after {
                After::Stays => png::DisposeOp::None,
                After::Cleared => png::DisposeOp::Background,
                After::Before => png::DisposeOp::Previous,
            })
            .expect("as above");
        writer
            .write_image_data(&piece.drawing.data)
            .expect("as above");
    }
    writer.finish().expect("all frames are there");
    out
}

/// A lossless WebP that is played `plays` times (0: for ever), with these chunks at its end.
#[expect(clippy::missing_panics_doc, reason = "pieces are small")]
pub fn webp(
    (width, height): (u32, u32),
    pieces: &[Piece],
    plays: u16,
    more: &[([u8; 4], &[u8])],
) -> Vec<u8> {
    fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("small").to_le_bytes();
        let padding = &[0][..body.len() % 2];
        [&kind[..], &length, body, padding].concat()
    }
    let u24 = |number: u32| number.to_le_bytes()[..3].to_vec();
    let flag = |kind: &[u8; 4]| match kind {
        b"ICCP" => 0x20,
        b"EXIF" => 0x08,
        b"XMP " => 0x04,
        _ => 0,
    };
    let flags = more
        .iter()
        .fold(0x12, |flags, (kind, _)| flags | flag(kind));
    let sides = [u24(width - 1), u24(height - 1)].concat();
    let mut chunks = chunk(*b"VP8X", &[&[flags, 0, 0, 0], &sides[..]].concat());
    let (first, last): (Vec<_>, Vec<_>) = more.iter().partition(|(kind, _)| kind == b"ICCP");
    for (kind, body) in first {
        chunks.extend(chunk(kind, body));
    }
    let [low, high] = plays.to_le_bytes();
    chunks.extend(chunk(*b"ANIM", &[0, 0, 0, 0, low, high]));
    for piece in pieces {
        let how = u8::from(!piece.blend) << 1 | u8::from(piece.after == After::Cleared);
        let about = [
            u24(piece.at.0 / 2),
            u24(piece.at.1 / 2),
            u24(piece.drawing.width - 1),
            u24(piece.drawing.height - 1),
            u24(piece.delay),
            vec![how],
        ];
        let still = piece.drawing.webp();
        chunks.extend(chunk(*b"ANMF", &[&about.concat(), &still[12..]].concat()));
    }
    for (kind, body) in last {
        chunks.extend(chunk(kind, body));
    }
    let length = u32::try_from(chunks.len() + 4)
        .expect("small")
        .to_le_bytes();
    [b"RIFF", &length[..], b"WEBP", &chunks].concat()
}

/// What a player shows of a GIF or PNG (by the `image` crate) or a WebP (by libwebp).
///
/// # Panics
///
/// When `file` is none of them, or damaged.
pub fn shown(file: &[u8]) -> Film {
    let cursor = Cursor::new(file);
    if file.starts_with(b"RIFF") {
        return pixmill_codecs::webp::reference::film(file).expect("a whole WebP");
    }
    if file.starts_with(b"GIF") {
        return played(GifDecoder::new(cursor).expect("a GIF"));
    }
    let still = PngDecoder::new(cursor).expect("a GIF, a PNG or a WebP");
    let (width, height) = still.dimensions();
    Film {
        width,
        height,
        ..played_frames(still.apng().expect("an animated PNG"))
    }
}

fn played<'a>(decoder: impl AnimationDecoder<'a> + ImageDecoder) -> Film {
    let (width, height) = decoder.dimensions();
    Film {
        width,
        height,
        ..played_frames(decoder)
    }
}

fn played_frames<'a>(decoder: impl AnimationDecoder<'a>) -> Film {
    let plays = match decoder.loop_count() {
        LoopCount::Infinite => 0,
        LoopCount::Finite(times) => times.get(),
    };
    let frames = decoder.into_frames().map(|frame| {
        let frame = frame.expect("a whole frame");
        let (number, parts) = frame.delay().numer_denom_ms();
        (frame.into_buffer().into_raw(), number / parts)
    });
    Film {
        width: 0,
        height: 0,
        plays,
        frames: frames.collect(),
    }
}
