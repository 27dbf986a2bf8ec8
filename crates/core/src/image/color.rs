//! Color to sRGB by the embedded profile, or left as it is with the profile handed on.
//!
//! Conversions are relative colorimetric, without black point compensation: white becomes white, and
//! what sRGB can't show is clipped. Without a profile, gray and RGB are taken for sRGB and inks are
//! converted by `(255 - ink) * (255 - black) / 255`. What a PNG says in other chunks than `iCCP`
//! comes here as a profile too (`decode/png.rs`).

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use moxcms::{
    ColorProfile, DataColorSpace, Layout as Order, ProfileText, RenderingIntent,
    Transform8BitExecutor, Transform16BitExecutor, TransformOptions,
};

use super::picture::{Layout, Picture};
use super::{Warning, WarningCode, profile as profiles};
use crate::recipe::ColorRule;

/// The largest profile that renditions carry, in bytes: each of them would have it. Profiles of
/// cameras and screens have some hundred bytes to some hundred kilobytes.
const LARGEST_CARRIED: usize = 4 << 20;

/// A picture whose colors are as the recipe wants them.
pub(crate) struct Colored {
    pub(crate) picture: Picture,
    /// The profile that its numbers are to be read by, when the recipe keeps profiles.
    pub(crate) profile: Option<Vec<u8>>,
    pub(crate) warnings: Vec<Warning>,
}

/// Pixels that are converted in one go. A fixed number, counted from the picture's first pixel, so
/// that vector code and its leftovers fall on the same pixels at any number of threads.
const PIECE: usize = 4096;

/// Treats `picture` by `rule`, given the profile embedded in its file. CMYK becomes sRGB under
/// every rule, because no format that is written here holds inks.
pub(crate) fn treat(
    rule: ColorRule,
    mut picture: Picture,
    profile: Option<Vec<u8>>,
    threads: usize,
) -> Colored {
    let parsed = profile.as_deref().map(|icc| parse(icc, picture.layout));
    let size = profile.as_ref().map_or(0, Vec::len);
    let mut warnings = Vec::new();
    if rule == ColorRule::Keep && size > LARGEST_CARRIED {
        warnings.push(Warning {
            code: WarningCode::MetadataDropped,
            detail: format!(
                "a color profile of {size} bytes is too large to carry (at most {LARGEST_CARRIED}); colors were converted to sRGB"
            ),
            variant: None,
        });
    } else if rule == ColorRule::Keep && picture.layout != Layout::Cmyk {
        let broken = matches!(parsed, Some(Err(_)));
        return Colored {
            picture,
            profile: profile.filter(|_| !broken),
            warnings: parsed
                .and_then(Result::err)
                .map(|why| broken_profile(&why))
                .into_iter()
                .collect(),
        };
    }
    let layout = picture.layout;
    let conversion = parsed.map(|parsed| {
        let profile = parsed?;
        Ok::<_, String>((conversion(&profile, layout)?, exceeds_srgb(&profile)))
    });
    let mut lost = None;
    match conversion {
        Some(Ok((conversion, exceeds))) => {
            if exceeds && !layout.is_gray() {
                lost = profile.as_deref().map(describe);
            }
            picture = convert(picture, &conversion, threads);
        }
        Some(Err(why)) => warnings.push(broken_profile(&why)),
        None => {}
    }
    if layout == Layout::Cmyk && lost.is_none() {
        lost = Some("inks without a profile".to_owned());
    }
    warnings.extend(lost.map(|space: String| Warning {
        code: WarningCode::GamutConverted,
        detail: format!(
            "{space} became sRGB: what sRGB can't show was moved to the nearest that it can"
        ),
        variant: None,
    }));
    if picture.layout == Layout::Cmyk {
        picture = inks_to_rgb(picture, |from, to| {
            for ([c, m, y, k], rgb) in from
                .as_chunks::<4>()
                .0
                .iter()
                .zip(to.as_chunks_mut::<3>().0)
            {
                *rgb = [c, m, y].map(|ink| multiplied(255 - ink, 255 - k));
            }
        });
    }
    Colored {
        picture,
        profile: None,
        warnings,
    }
}

/// Whether a profile can name colors that sRGB lacks. Inks always can, and of tables it is assumed.
fn exceeds_srgb(profile: &ColorProfile) -> bool {
    // What rounding in a profile's own numbers comes to: sRGB's own are kept with 16 bits.
    const SLACK: f64 = 0.005;
    if profile.color_space != DataColorSpace::Rgb || profile.lut_a_to_b_perceptual.is_some() {
        return profile.color_space != DataColorSpace::Gray;
    }
    let srgb = ColorProfile::new_srgb().colorant_matrix();
    let light = srgb.inverse().mat_mul(profile.colorant_matrix());
    let mut amounts = light.v.iter().flatten();
    amounts.any(|amount| !(-SLACK..=1.0 + SLACK).contains(amount))
}

fn broken_profile(why: &str) -> Warning {
    Warning {
        code: WarningCode::ProfileBroken,
        detail: format!("the embedded color profile can't be used ({why}); sRGB was assumed"),
        variant: None,
    }
}

/// The description that a profile gives of itself.
pub(crate) fn describe(icc: &[u8]) -> String {
    let Ok(profile) = ColorProfile::new_from_slice(icc) else {
        return "a broken profile".to_owned();
    };
    let text = match profile.description {
        Some(ProfileText::PlainString(text)) => text,
        Some(ProfileText::Localizable(texts)) => {
            let english = texts.iter().find(|text| text.language == "en");
            let chosen = english.or(texts.first());
            chosen.map(|text| text.value.clone()).unwrap_or_default()
        }
        Some(ProfileText::Description(text)) if !text.ascii_string.is_empty() => text.ascii_string,
        Some(ProfileText::Description(text)) => text.unicode_string,
        None => String::new(),
    };
    let text: String = text.chars().filter(|c| !c.is_control()).take(256).collect();
    if text.trim().is_empty() {
        "a profile without a name".to_owned()
    } else {
        text.trim().to_owned()
    }
}

fn parse(icc: &[u8], layout: Layout) -> Result<ColorProfile, String> {
    let mut profile = ColorProfile::new_from_slice(icc).map_err(|error| format!("{error}"))?;
    // ICC.1, 8.2: where a profile has no table for an intent, its first one stands in. The engine
    // has no such rule and would refuse every profile with one table only.
    if profile.lut_a_to_b_colorimetric.is_none() {
        profile
            .lut_a_to_b_colorimetric
            .clone_from(&profile.lut_a_to_b_perceptual);
    }
    let fits = match profile.color_space {
        // Gray pixels in an RGB space are those with three equal samples.
        DataColorSpace::Rgb => layout != Layout::Cmyk,
        DataColorSpace::Gray => layout.is_gray(),
        DataColorSpace::Cmyk => layout == Layout::Cmyk,
        _ => false,
    };
    if fits {
        Ok(profile)
    } else {
        Err(format!(
            "it describes {:?}, the picture is {layout:?}",
            profile.color_space
        ))
    }
}

/// Whether `icc` can describe pixels of `layout`.
pub(crate) fn describes(icc: &[u8], layout: Layout) -> bool {
    let space = ColorProfile::new_from_slice(icc).map(|profile| profile.color_space);
    match layout {
        Layout::Cmyk => space == Ok(DataColorSpace::Cmyk),
        layout if layout.is_gray() => space == Ok(DataColorSpace::Gray),
        _ => space == Ok(DataColorSpace::Rgb),
    }
}

/// How the samples of one picture become sRGB.
enum Conversion {
    /// They are already.
    None,
    /// Gray by a table.
    Table(Box<[u8; 256]>),
    /// Gray by a table of 65,536.
    DeepTable(Vec<u16>),
    /// As many samples out as in.
    Same(Arc<Transform8BitExecutor>),
    /// As many samples out as in, 16 bits each.
    DeepSame(Arc<Transform16BitExecutor>),
    /// Four inks to three lights.
    Inks(Arc<Transform8BitExecutor>),
}

fn options() -> TransformOptions {
    TransformOptions {
        rendering_intent: RenderingIntent::RelativeColorimetric,
        ..TransformOptions::default()
    }
}

fn conversion(profile: &ColorProfile, layout: Layout) -> Result<Conversion, String> {
    let srgb = ColorProfile::new_srgb();
    let transform = |from, to| {
        profile
            .create_transform_8bit(from, &srgb, to, options())
            .map_err(|error| format!("{error}"))
    };
    let run = |transform: &Transform8BitExecutor, from: &[u8], to: &mut [u8]| {
        transform.transform(from, to).map_err(|e| format!("{e}"))
    };
    if layout.is_gray() {
        let table: [u8; 256] = if profile.color_space == DataColorSpace::Gray {
            let lights = gray_table(profile, 256)?;
            std::array::from_fn(|v| super::picture::narrowed(lights[v]))
        } else {
            let mut lights = [0; 768];
            let ramp: [u8; 768] = std::array::from_fn(|v| (v / 3).to_le_bytes()[0]);
            run(&*transform(Order::Rgb, Order::Rgb)?, &ramp, &mut lights)?;
            // Green carries most of what is seen as light.
            std::array::from_fn(|v| lights[v * 3 + 1])
        };
        let same = (0..=255)
            .zip(table)
            .all(|(v, to): (u8, u8)| v.abs_diff(to) <= 1);
        return Ok(if same {
            Conversion::None
        } else if layout.is_deep() {
            Conversion::DeepTable(gray_table(profile, 65_536)?)
        } else {
            Conversion::Table(Box::new(table))
        });
    }
    if layout == Layout::Cmyk {
        let inks = transform(Order::Rgba, Order::Rgb)?;
        let mut lights = [0; 3 * 16];
        run(&*inks, &[0; 4 * 16], &mut lights)?;
        return Ok(Conversion::Inks(inks));
    }
    let probe = transform(Order::Rgb, Order::Rgb)?;
    let mut steps = Vec::with_capacity(18 * 18 * 18 * 3);
    for r in (0..=255).step_by(15) {
        for g in (0..=255).step_by(15) {
            steps.extend((0..=255).step_by(15).flat_map(|b| [r, g, b]));
        }
    }
    let mut lights = vec![0; steps.len()];
    run(&*probe, &steps, &mut lights)?;
    // By what it does, not by its name: there are many sRGB profiles, and some liars.
    if steps.iter().zip(&lights).all(|(a, b)| a.abs_diff(*b) <= 1) {
        return Ok(Conversion::None);
    }
    let order = match layout {
        Layout::Rgba | Layout::Rgba16 => Order::Rgba,
        _ => Order::Rgb,
    };
    if layout.is_deep() {
        let transform = profile
            .create_transform_16bit(order, &srgb, order, options())
            .map_err(|error| format!("{error}"))?;
        let mut pixels = vec![0; 16 * order.channels()];
        transform
            .transform(&pixels.clone(), &mut pixels)
            .map_err(|error| format!("{error}"))?;
        return Ok(Conversion::DeepSame(transform));
    }
    Ok(Conversion::Same(if order == Order::Rgba {
        transform(order, order)?
    } else {
        probe
    }))
}

/// What each of `count` evenly spaced gray samples becomes in sRGB, 16 bits each.
fn gray_table(profile: &ColorProfile, count: usize) -> Result<Vec<u16>, String> {
    let last = count - 1;
    let samples = 0..count;
    if profile.color_space == DataColorSpace::Gray {
        // By the curve itself: the engine's own way has too few steps for dark tones, and none for
        // curves of lightness.
        #[expect(clippy::cast_precision_loss, reason = "at most 65,535")]
        let lights = samples.map(|v| profiles::light(profile, v as f32 / last as f32));
        let lights = lights.map(|light| light.map(srgb_sample));
        let table = lights.collect::<Option<Vec<_>>>();
        return table.ok_or_else(|| "it has no curve for gray".to_owned());
    }
    let scaled = |v: usize| u16::try_from(v * 65_535 / last).unwrap_or(u16::MAX);
    let ramp: Vec<u16> = samples.flat_map(|v| [scaled(v); 3]).collect();
    let mut lights = vec![0; ramp.len()];
    profile
        .create_transform_16bit(Order::Rgb, &ColorProfile::new_srgb(), Order::Rgb, options())
        .and_then(|transform| transform.transform(&ramp, &mut lights))
        .map_err(|error| format!("{error}"))?;
    Ok(lights.into_iter().skip(1).step_by(3).collect())
}

/// Light of 0 to 1 to a sample of 16 bits (IEC 61966-2-1).
fn srgb_sample(light: f64) -> u16 {
    let light = light.clamp(0.0, 1.0);
    let sample = if light <= 0.003_130_8 {
        light * 12.92
    } else {
        1.055 * light.powf(1.0 / 2.4) - 0.055
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 1, scaled"
    )]
    let sample = (sample * 65_535.0).round() as u16;
    sample
}

fn convert(mut picture: Picture, conversion: &Conversion, threads: usize) -> Picture {
    match conversion {
        Conversion::None => picture,
        Conversion::Table(table) => {
            for pixel in picture.data.chunks_exact_mut(picture.layout.channels()) {
                pixel[0] = table[usize::from(pixel[0])];
            }
            picture
        }
        Conversion::DeepTable(table) => {
            let pixel = picture.layout.bytes_per_pixel();
            for pixel in picture.data.chunks_exact_mut(pixel) {
                if let Some(gray) = pixel.first_chunk_mut::<2>() {
                    *gray = table[usize::from(u16::from_ne_bytes(*gray))].to_ne_bytes();
                }
            }
            picture
        }
        Conversion::Same(transform) => {
            convert_pieces(&mut picture, threads, || {
                let mut before = Vec::new();
                move |pixels: &mut [u8]| {
                    before.clear();
                    before.extend_from_slice(pixels);
                    run(&**transform, &before, pixels);
                }
            });
            picture
        }
        Conversion::DeepSame(transform) => {
            convert_pieces(&mut picture, threads, || {
                let (mut before, mut after) = (Vec::new(), Vec::new());
                move |pixels: &mut [u8]| {
                    let samples = pixels.as_chunks_mut::<2>().0;
                    before.clear();
                    before.extend(samples.iter().map(|bytes| u16::from_ne_bytes(*bytes)));
                    after.resize(before.len(), 0);
                    transform
                        .transform(&before, &mut after)
                        .expect("a transform that was tried takes whole pixels");
                    for (to, from) in samples.iter_mut().zip(&after) {
                        *to = from.to_ne_bytes();
                    }
                }
            });
            picture
        }
        Conversion::Inks(transform) => inks_to_rgb(picture, |from, to| run(&**transform, from, to)),
    }
}

/// Runs a transform that has run before, on slices of the right lengths.
fn run(transform: &Transform8BitExecutor, from: &[u8], to: &mut [u8]) {
    transform
        .transform(from, to)
        .expect("a transform that was tried takes whole pixels");
}

/// Converts in place, each thread a run of whole pieces by a converter of its own.
fn convert_pieces<C: FnMut(&mut [u8])>(
    picture: &mut Picture,
    threads: usize,
    converter: impl Fn() -> C + Sync,
) {
    let piece = PIECE * picture.layout.bytes_per_pixel();
    let share = picture.data.len().div_ceil(piece).div_ceil(threads.max(1)) * piece;
    let bands = Mutex::new(picture.data.chunks_mut(share.max(1)));
    let work = || {
        loop {
            let band = bands.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(band) = band else { break };
            let mut convert = converter();
            for pixels in band.chunks_mut(piece) {
                convert(pixels);
            }
        }
    };
    thread::scope(|scope| {
        // Where the system has no thread for it, the others do its part.
        let helpers = (1..threads).map(|_| thread::Builder::new().spawn_scoped(scope, work));
        let helpers: Vec<_> = helpers.filter_map(Result::ok).collect();
        work();
        for helper in helpers {
            if let Err(panic) = helper.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Converts in place: three bytes are written for four that have been read.
fn inks_to_rgb(mut picture: Picture, convert: impl Fn(&[u8], &mut [u8])) -> Picture {
    let pixels = picture.data.len() / 4;
    let mut before = vec![0; PIECE.min(pixels) * 4];
    for start in (0..pixels).step_by(PIECE) {
        let count = PIECE.min(pixels - start);
        let before = &mut before[..count * 4];
        before.copy_from_slice(&picture.data[start * 4..][..count * 4]);
        convert(before, &mut picture.data[start * 3..][..count * 3]);
    }
    picture.data.truncate(pixels * 3);
    picture.data.shrink_to_fit();
    picture.layout = Layout::Rgb;
    picture
}

fn multiplied(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b);
    u8::try_from((product + 127) / 255).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient(layout: Layout, width: u32, height: u32) -> Picture {
        let len = width as usize * height as usize * layout.bytes_per_pixel();
        Picture {
            width,
            height,
            layout,
            data: (0..len).map(|v| (v * 7).to_le_bytes()[0]).collect(),
        }
    }

    fn p3() -> Vec<u8> {
        ColorProfile::new_display_p3().encode().unwrap()
    }

    #[test]
    fn an_srgb_profile_changes_nothing_whatever_its_name() {
        let mut profile = ColorProfile::new_srgb();
        profile.description = Some(ProfileText::PlainString("Nothing to see".to_owned()));
        let icc = profile.encode().unwrap();
        let picture = gradient(Layout::Rgb, 50, 50);
        let colored = treat(ColorRule::Srgb, picture.clone(), Some(icc), 1);
        assert_eq!(colored.picture, picture);
        assert_eq!((colored.profile, colored.warnings), (None, Vec::new()));
    }

    #[test]
    fn display_p3_becomes_srgb_and_alpha_stays() {
        let picture = Picture {
            width: 2,
            height: 1,
            layout: Layout::Rgba,
            data: vec![200, 100, 50, 77, 255, 255, 255, 0],
        };
        let colored = treat(ColorRule::Srgb, picture, Some(p3()), 1);
        let data = colored.picture.data;
        assert!(data[0] > 205 && data[1] < 100 && data[2] < 50, "{data:?}");
        assert_eq!((data[3], &data[4..]), (77, &[255, 255, 255, 0][..]));
    }

    #[test]
    fn the_number_of_threads_changes_no_sample() {
        for layout in [Layout::Rgb, Layout::Rgba, Layout::Rgb16, Layout::Rgba16] {
            let picture = gradient(layout, 317, 211);
            let convert = |threads| treat(ColorRule::Srgb, picture.clone(), Some(p3()), threads);
            let alone = convert(1).picture;
            assert_ne!(alone, picture);
            for threads in [2, 3, 7, 64] {
                assert_eq!(convert(threads).picture, alone, "{threads}");
            }
        }
    }

    #[test]
    fn a_broken_profile_is_told_and_srgb_assumed() {
        let picture = gradient(Layout::Rgb, 3, 3);
        for rule in [ColorRule::Srgb, ColorRule::Keep] {
            let colored = treat(rule, picture.clone(), Some(b"nonsense".to_vec()), 1);
            assert_eq!(colored.picture, picture);
            assert_eq!(colored.profile, None);
            assert_eq!(colored.warnings[0].code, WarningCode::ProfileBroken);
        }
    }

    #[test]
    fn keeping_leaves_numbers_alone_and_hands_the_profile_on() {
        let picture = gradient(Layout::Rgb, 3, 3);
        let colored = treat(ColorRule::Keep, picture.clone(), Some(p3()), 1);
        assert_eq!((colored.picture, colored.profile), (picture, Some(p3())));
    }

    #[test]
    fn gray_stays_gray_by_its_profile() {
        let linear = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        let picture = gradient(Layout::Gray, 16, 16);
        let colored = treat(ColorRule::Srgb, picture.clone(), Some(linear), 1);
        assert_eq!(colored.warnings, []);
        assert_eq!(colored.picture.layout, Layout::Gray);
        let lighter = colored.picture.data.iter().zip(&picture.data);
        assert!(lighter.clone().all(|(to, from)| to >= from), "{lighter:?}");
    }

    #[test]
    fn gray_is_converted_by_its_curve_down_to_the_darkest_tones() {
        let gamma = ColorProfile::new_gray_with_gamma(1.8).encode().unwrap();
        let ramp: Vec<u8> = (0..=255).collect();
        let picture = Picture {
            width: 256,
            height: 1,
            layout: Layout::Gray,
            data: ramp,
        };
        let colored = treat(ColorRule::Srgb, picture, Some(gamma), 1);
        for (from, to) in colored.picture.data.iter().enumerate() {
            let light = (f64::from(u32::try_from(from).unwrap()) / 255.0).powf(1.8);
            let expected = f64::from(srgb_sample(light)) / 257.0;
            assert!((f64::from(*to) - expected).abs() <= 0.6, "{from}: {to}");
        }
    }

    #[test]
    fn deep_pictures_get_the_colors_of_shallow_ones() {
        let gamma = ColorProfile::new_gray_with_gamma(1.0).encode().unwrap();
        for (layout, icc) in [
            (Layout::Rgb, p3()),
            (Layout::Rgba, p3()),
            (Layout::Gray, gamma),
            (Layout::GrayAlpha, p3()),
        ] {
            let shallow = gradient(layout, 61, 47);
            let mut deep = shallow.clone();
            deep.layout = layout.deep();
            deep.data = shallow
                .data
                .iter()
                .flat_map(|v| super::super::picture::deepened(*v).to_ne_bytes())
                .collect();
            let shallow = treat(ColorRule::Srgb, shallow, Some(icc.clone()), 1).picture;
            let deep = treat(ColorRule::Srgb, deep, Some(icc), 1).picture;
            assert_eq!(deep.layout, layout.deep());
            let narrow = deep.narrowed().unwrap();
            let far = narrow.data.iter().zip(&shallow.data);
            let far = far.map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far <= Some(2), "{layout:?}: {far:?}");
        }
    }

    #[test]
    fn a_profile_that_is_too_large_to_carry_is_used_and_left_behind() {
        let mut icc = p3();
        icc.resize(LARGEST_CARRIED + 1, 0);
        let length = u32::try_from(icc.len()).unwrap();
        icc[..4].copy_from_slice(&length.to_be_bytes());
        let picture = gradient(Layout::Rgb, 5, 5);
        let colored = treat(ColorRule::Keep, picture.clone(), Some(icc), 1);
        assert_ne!(colored.picture, picture);
        assert_eq!(colored.profile, None);
        assert_eq!(colored.warnings[0].code, WarningCode::MetadataDropped);
    }

    #[test]
    fn inks_without_a_profile_are_multiplied() {
        let picture = Picture {
            width: 3,
            height: 1,
            layout: Layout::Cmyk,
            data: vec![0, 0, 0, 0, 255, 0, 0, 0, 0, 0, 0, 255],
        };
        let colored = treat(ColorRule::Keep, picture, None, 1);
        assert_eq!(colored.picture.layout, Layout::Rgb);
        assert_eq!(colored.picture.data, [255, 255, 255, 0, 255, 255, 0, 0, 0]);
    }
}
