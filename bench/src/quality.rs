//! Whether everybody did the same work: files, sizes, bytes, and how like the source they look.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use fast_ssim2::{PixelDescriptor, PixelSlice, Ssimulacra2Config, Ssimulacra2Reference};
use image::RgbImage;

use crate::job::Way;
use crate::pictures;

/// What the files of one way are like, by file name (`low.jpg`).
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// Bytes, all pictures together.
    pub(crate) bytes: BTreeMap<&'static str, u64>,
    /// SSIMULACRA2 of each picture, in the pictures' order; PNGs have none.
    pub(crate) scores: BTreeMap<&'static str, Vec<f64>>,
    /// What is not as it should be, in sentences.
    pub(crate) faults: Vec<String>,
}

/// Looks at the `files` that each way made of `names`. `references` has each picture upright as
/// `NAME/png.png`; without it, or where it is none, quality is not looked at.
pub(crate) fn look(
    names: &[String],
    files: &'static [&'static str],
    outputs: &[(Way, PathBuf)],
    references: Option<&Path>,
) -> BTreeMap<Way, Found> {
    let next = AtomicUsize::new(0);
    let all = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(at) else { return };
                    let found = of_one(name, files, outputs, references);
                    let mut all = all
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    all.insert(at, found);
                }
            });
        }
    });
    let all = all
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut sums: BTreeMap<Way, Found> = BTreeMap::new();
    for (way, found) in all.into_values().flatten() {
        let sum = sums.entry(way).or_default();
        for (file, bytes) in found.bytes {
            *sum.bytes.entry(file).or_default() += bytes;
        }
        for (file, scores) in found.scores {
            sum.scores.entry(file).or_default().extend(scores);
        }
        sum.faults.extend(found.faults);
    }
    sums
}

fn of_one(
    name: &str,
    files: &'static [&'static str],
    outputs: &[(Way, PathBuf)],
    references: Option<&Path>,
) -> Vec<(Way, Found)> {
    let reference = references.map(|folder| {
        let picture = pictures::decoded(&folder.join(name).join("png.png"))?;
        let measured = reference(&middle(&picture))?;
        Ok::<_, String>((picture, measured))
    });
    // Several ways often give the same file.
    let mut known: Vec<(Vec<u8>, Result<Seen, String>)> = Vec::new();
    let mut sizes: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut all = Vec::new();
    for (way, folder) in outputs {
        let mut found = Found::default();
        for file in files {
            let path = folder.join(name).join(file);
            let said = match std::fs::metadata(&path) {
                Ok(about) => {
                    found.bytes.insert(file, about.len());
                    pictures::size(&path)
                }
                Err(error) => Err(error.to_string()),
            };
            let size = match said {
                Ok(size) => size,
                Err(error) => {
                    found
                        .faults
                        .push(format!("{name}/{file} of {}: {error}", way.name()));
                    continue;
                }
            };
            let first = *sizes.entry(file).or_insert(size);
            if size != first {
                let (width, height) = size;
                found.faults.push(format!(
                    "{name}/{file} of {} is {width} x {height} and not {} x {}",
                    way.name(),
                    first.0,
                    first.1
                ));
                continue;
            }
            let seen = match &reference {
                None => continue,
                Some(Err(error)) => Err(error.clone()),
                Some(Ok((picture, measured))) => {
                    let bytes = std::fs::read(&path).unwrap_or_default();
                    let same = known.iter().find(|(other, _)| *other == bytes);
                    if let Some((_, seen)) = same {
                        seen.clone()
                    } else {
                        let seen = compared(&path, file, picture, measured);
                        known.push((bytes, seen.clone()));
                        seen
                    }
                }
            };
            match seen {
                Ok(Seen::Score(score)) => {
                    found.scores.entry(file).or_default().push(score);
                }
                Ok(Seen::Equal) => {}
                Ok(Seen::Differs(samples)) => found.faults.push(format!(
                    "{name}/{file} of {} differs from the source in {samples} samples",
                    way.name()
                )),
                Err(error) => found.faults.push(error),
            }
        }
        all.push((*way, found));
    }
    all
}

/// What a file is like beside its source.
#[derive(Clone)]
enum Seen {
    Score(f64),
    /// Every sample is the source's.
    Equal,
    Differs(usize),
}

fn compared(
    path: &Path,
    file: &str,
    source: &RgbImage,
    measured: &Ssimulacra2Reference,
) -> Result<Seen, String> {
    let picture = pictures::decoded(path)?;
    if file == "png.png" {
        let pairs = picture.as_raw().iter().zip(source.as_raw());
        let differing = pairs.filter(|(a, b)| a != b).count();
        return Ok(if differing == 0 {
            Seen::Equal
        } else {
            Seen::Differs(differing)
        });
    }
    let score = if picture.dimensions() == source.dimensions() {
        score(measured, &middle(&picture))
    } else {
        reference(&resized(source, picture.dimensions())?).and_then(|small| score(&small, &picture))
    };
    score.map(Seen::Score)
}

/// The longest side of what is scored, in pixels: of larger pictures the middle, because scoring costs
/// more than all that is measured.
const SCORED: u32 = 1024;

/// The middle of a picture, from an even pixel on, since colors are stored by twos.
fn middle(picture: &RgbImage) -> RgbImage {
    let part = |side: u32| {
        let kept = side.min(SCORED);
        (((side - kept) / 2) & !1, kept)
    };
    let ((x, width), (y, height)) = (part(picture.width()), part(picture.height()));
    image::imageops::crop_imm(picture, x, y, width, height).to_image()
}

fn slice(picture: &RgbImage) -> Result<PixelSlice<'_>, String> {
    let (width, height) = picture.dimensions();
    let stride = width as usize * 3;
    PixelSlice::new(
        picture.as_raw(),
        width,
        height,
        stride,
        PixelDescriptor::RGB8_SRGB,
    )
    .map_err(|error| error.to_string())
}

fn reference(picture: &RgbImage) -> Result<Ssimulacra2Reference, String> {
    Ssimulacra2Reference::new(&slice(picture)?).map_err(|error| error.to_string())
}

fn score(reference: &Ssimulacra2Reference, picture: &RgbImage) -> Result<f64, String> {
    let config = Ssimulacra2Config::strips(512);
    let score = reference.compare_with_config(&slice(picture)?, &config);
    score.map_err(|error| error.to_string())
}

/// By Lanczos with three lobes, as every program here does it.
fn resized(picture: &RgbImage, (width, height): (u32, u32)) -> Result<RgbImage, String> {
    let (own_width, own_height) = picture.dimensions();
    let from = ImageRef::new(own_width, own_height, picture.as_raw(), PixelType::U8x3)
        .map_err(|error| error.to_string())?;
    let mut to = Image::new(width, height, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new()
        .resize(&from, &mut to, &options)
        .map_err(|error| error.to_string())?;
    RgbImage::from_raw(width, height, to.into_vec()).ok_or_else(|| "too short".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_large_picture_is_scored_and_the_whole_of_a_small_one() {
        let small = pictures::drawn(1, (40, 30));
        assert_eq!(middle(&small), small);
        let large = pictures::drawn(1, (1030, 30));
        let part = middle(&large);
        assert_eq!(part.dimensions(), (1024, 30));
        assert_eq!(part.get_pixel(0, 0), large.get_pixel(2, 0));
    }

    #[test]
    fn a_picture_is_like_itself_and_less_like_a_coarser_one() {
        let picture = pictures::drawn(5, (96, 80));
        let measured = reference(&picture).unwrap();
        assert!((score(&measured, &picture).unwrap() - 100.0).abs() < 1e-6);
        let coarse = image::imageops::blur(&picture, 2.0);
        assert!(score(&measured, &coarse).unwrap() < 90.0);
    }
}
