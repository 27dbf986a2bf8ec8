//! Color profiles made here: of what a PNG says in other chunks than `iCCP`, and of a profile whose
//! picture is stored with other samples than it describes. The same bytes on every day: a profile
//! has a date, which is fixed.

#[cfg(feature = "png")]
use moxcms::{
    CicpColorPrimaries, CicpProfile, ColorPrimaries, MatrixCoefficients, TransferCharacteristics,
    XyY, curve_from_gamma,
};
use moxcms::{ColorProfile, DataColorSpace, LocalizableString, ProfileText, ToneReprCurve};

use super::picture::Layout;

/// Steps of the curves that are written as tables.
const STEPS: u16 = 4096;

/// The profile that the code points of a `cICP` chunk stand for (ITU-T H.273); none within where they
/// stand for sRGB. Fails, in words, for brightness that no profile here can show (PQ and HLG) and for
/// numbers without a meaning.
#[cfg(feature = "png")]
pub(crate) fn of_code_points(
    primaries: u8,
    transfer: u8,
    full_range: bool,
) -> Result<Option<Vec<u8>>, String> {
    let color_primaries =
        CicpColorPrimaries::try_from(primaries).map_err(|error| error.to_string())?;
    let transfer_characteristics =
        TransferCharacteristics::try_from(transfer).map_err(|error| error.to_string())?;
    if !full_range {
        return Err("its samples have a narrow range".to_owned());
    }
    if matches!(
        transfer_characteristics,
        TransferCharacteristics::Smpte2084 | TransferCharacteristics::Hlg
    ) {
        return Err("it is of high dynamic range".to_owned());
    }
    if color_primaries == CicpColorPrimaries::Bt709
        && transfer_characteristics == TransferCharacteristics::Srgb
    {
        return Ok(None);
    }
    let mut profile = ColorProfile::new_srgb();
    profile.red_trc = None;
    profile.update_rgb_colorimetry_from_cicp(CicpProfile {
        color_primaries,
        transfer_characteristics,
        matrix_coefficients: MatrixCoefficients::Identity,
        full_range,
    });
    if profile.red_trc.is_none() {
        return Err(format!(
            "code points {primaries} and {transfer} have no meaning"
        ));
    }
    let name = match (primaries, transfer) {
        (12, 13) => "Display P3".to_owned(),
        _ => format!("code points {primaries}/{transfer}"),
    };
    encoded(profile, &name).map(Some)
}

/// The profile of a PNG's `gAMA` and `cHRM` chunks: `gamma` is the exponent from light to sample, the
/// others are the CIE x and y of white, red, green and blue. None within where they stand for sRGB,
/// as PNG says for the readers of `sRGB` (11.3.2.5). Fails, in words, where they make no sense.
#[cfg(feature = "png")]
pub(crate) fn of_gamma(
    gamma: f32,
    white: (f32, f32),
    primaries: [(f32, f32); 3],
) -> Result<Option<Vec<u8>>, String> {
    const SRGB: [(f32, f32); 4] = [(0.3127, 0.329), (0.64, 0.33), (0.3, 0.6), (0.15, 0.06)];
    let [red, green, blue] = primaries;
    let near =
        |a: (f32, f32), b: (f32, f32)| (a.0 - b.0).abs() < 0.001 && (a.1 - b.1).abs() < 0.001;
    let is_srgb = [white, red, green, blue]
        .into_iter()
        .zip(SRGB)
        .all(|(a, b)| near(a, b));
    if is_srgb && (gamma - 0.45455).abs() < 0.001 {
        return Ok(None);
    }
    let doubled = |(x1, y1): (f32, f32), (x2, y2): (f32, f32), (x3, y3): (f32, f32)| {
        (x2 - x1) * (y3 - y1) - (x3 - x1) * (y2 - y1)
    };
    let is_positive = |(x, y): (f32, f32)| x >= 0.0 && y > 0.0;
    if !(0.05..=5.0).contains(&gamma)
        || ![white, red, green, blue].into_iter().all(is_positive)
        || doubled(red, green, blue).abs() < 0.001
    {
        return Err("its gamma or its primaries make no sense".to_owned());
    }
    let mut profile = ColorProfile::new_srgb();
    let at = |(x, y)| moxcms::Chromaticity { x, y };
    profile.update_rgb_colorimetry(
        XyY {
            x: f64::from(white.0),
            y: f64::from(white.1),
            yb: 1.0,
        },
        ColorPrimaries {
            red: at(red),
            green: at(green),
            blue: at(blue),
        },
    );
    let curve = curve_from_gamma(1.0 / gamma);
    profile.red_trc = Some(curve.clone());
    profile.green_trc = Some(curve.clone());
    profile.blue_trc = Some(curve);
    encoded(profile, &format!("gamma {gamma}")).map(Some)
}

/// A profile for the same picture stored as `layout`: `icc` itself where it describes that, else one
/// with the same tones. None if there is none.
pub(crate) fn for_layout(icc: &[u8], layout: Layout) -> Option<Vec<u8>> {
    if super::color::describes(icc, layout) {
        return Some(icc.to_vec());
    }
    let profile = ColorProfile::new_from_slice(icc).ok()?;
    let name = super::color::describe(icc);
    match (profile.color_space, layout.is_gray()) {
        (DataColorSpace::Gray, false) if layout.shallow() != Layout::Cmyk => {
            let curve = table(|value| light(&profile, value))?;
            let mut rgb = ColorProfile::new_srgb();
            rgb.cicp = None;
            rgb.red_trc = Some(curve.clone());
            rgb.green_trc = Some(curve.clone());
            rgb.blue_trc = Some(curve);
            encoded(rgb, &name).ok()
        }
        (DataColorSpace::Rgb, true) if profile.lut_a_to_b_perceptual.is_none() => {
            let mut gray = ColorProfile::new_gray_with_gamma(1.0);
            gray.gray_trc.clone_from(&profile.green_trc);
            encoded(gray, &name).ok()
        }
        _ => None,
    }
}

/// The light, 0 to 1, of a gray sample of 0 to 1; none if the profile has no curve for gray.
pub(crate) fn light(profile: &ColorProfile, sample: f32) -> Option<f64> {
    let curve = profile.gray_trc.as_ref()?;
    let value = f64::from(curve.make_linear_evaluator().ok()?.evaluate_value(sample));
    Some(if profile.pcs == DataColorSpace::Lab {
        // CIE 15: lightness of 0 to 100 to luminance.
        let lightness = value * 100.0;
        if lightness > 8.0 {
            ((lightness + 16.0) / 116.0).powi(3)
        } else {
            lightness * 27.0 / 24_389.0
        }
    } else {
        value
    })
}

fn table(light: impl Fn(f32) -> Option<f64>) -> Option<ToneReprCurve> {
    let steps = (0..STEPS).map(|at| light(f32::from(at) / f32::from(STEPS - 1)));
    let lights = steps.collect::<Option<Vec<f64>>>()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=1 before it is scaled"
    )]
    let entries = lights
        .into_iter()
        .map(|light| (light.clamp(0.0, 1.0) * 65_535.0).round() as u16);
    Some(ToneReprCurve::Lut(entries.collect()))
}

/// The profile's bytes, with a name, and with a date that never changes (ICC.1, 7.2.8).
fn encoded(mut profile: ColorProfile, name: &str) -> Result<Vec<u8>, String> {
    const DATE: [u8; 12] = [0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0];
    let text = LocalizableString::new("en".to_owned(), "US".to_owned(), name.to_owned());
    profile.description = Some(ProfileText::Localizable(vec![text]));
    profile.cicp = None;
    let mut icc = profile.encode().map_err(|error| error.to_string())?;
    if let Some(date) = icc.get_mut(24..36) {
        date.copy_from_slice(&DATE);
    }
    Ok(icc)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::color;

    #[test]
    fn code_points_that_stand_for_srgb_need_no_profile_and_others_get_one_by_name() {
        assert_eq!(of_code_points(1, 13, true), Ok(None));
        let p3 = of_code_points(12, 13, true).unwrap().unwrap();
        assert_eq!(color::describe(&p3), "Display P3");
        for (primaries, transfer, full) in [
            (9, 16, true),
            (9, 18, true),
            (2, 13, true),
            (1, 2, true),
            (12, 13, false),
        ] {
            assert!(
                of_code_points(primaries, transfer, full).is_err(),
                "{primaries}/{transfer}"
            );
        }
    }

    #[test]
    fn what_is_made_here_has_no_date_of_its_own() {
        let icc = of_code_points(12, 13, true).unwrap().unwrap();
        assert_eq!(icc[24..36], [0x07, 0xD0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn gamma_and_primaries_that_make_no_sense_are_refused() {
        let srgb = [(0.64, 0.33), (0.3, 0.6), (0.15, 0.06)];
        let white = (0.3127, 0.329);
        assert_eq!(of_gamma(0.45455, white, srgb), Ok(None));
        assert!(of_gamma(1.0, white, srgb).unwrap().is_some());
        assert!(of_gamma(0.0, white, srgb).is_err());
        assert!(of_gamma(f32::NAN, white, srgb).is_err());
        assert!(of_gamma(0.5, (0.0, 0.0), srgb).is_err());
        assert!(of_gamma(0.5, white, [(0.3, 0.3); 3]).is_err());
    }

    #[test]
    fn a_gray_profile_gets_a_twin_for_files_that_store_rgb_and_the_other_way_round() {
        let gray = ColorProfile::new_gray_with_gamma(1.8).encode().unwrap();
        let twin = for_layout(&gray, Layout::Rgb).unwrap();
        assert!(color::describes(&twin, Layout::Rgb));
        let back = for_layout(&twin, Layout::Gray).unwrap();
        let back = ColorProfile::new_from_slice(&back).unwrap();
        for sample in [0.0_f32, 0.1, 0.5, 0.9, 1.0] {
            let light = light(&back, sample).unwrap();
            assert!(
                (light - f64::from(sample).powf(1.8)).abs() < 0.001,
                "{sample}: {light}"
            );
        }
    }
}
