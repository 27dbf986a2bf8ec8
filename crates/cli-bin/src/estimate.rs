//! What a run will take, before it: a short measurement on this machine, and what the headers of the planned pictures say.
//!
//! The engine's own prediction knows how the cost of a picture depends on its size, its format, the scale it is decoded at
//! and its frames. What it does not know is this machine and these pictures. So a few of them are rendered, and the prediction
//! is corrected by what that took, for decoding by format and for each variant.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};
use pixmill::Recipe;
use pixmill::error::Stage;
use pixmill::image::Info;
use pixmill::plan::Item;
use pixmill::recipe::{OutputFormat, Variant};
use pixmill::render::{
    RenderOptions, RenditionResult, Renditions, outline, predict, probe, render, render_variants,
};
use serde::Serialize;

use crate::prices::{Bill, Demand, Prices};

/// How long is measured for each format that the recipe makes.
const FOR_EACH_FORMAT: Duration = Duration::from_secs(1);

/// The most pictures that are measured. The first ones say most.
const MOST_SAMPLES: usize = 12;

/// Calls to S3 for a new picture, beside one put for each rendition: the manifest is put; the manifest, the failure record
/// and the source are read, the source is looked at once more, and so is the failure record.
const PUTS_BESIDE: f64 = 1.0;
const GETS: f64 = 5.0;

/// What rendering one picture took, measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    info: Info,
    source_bytes: u64,
    /// Seconds of processor time for all variants together.
    whole: f64,
    /// Seconds of it for decoding.
    decoding: f64,
    /// Each variant, where this picture has it.
    variants: Vec<Option<MeasuredVariant>>,
}

#[derive(Clone, Copy, Debug)]
struct MeasuredVariant {
    /// Seconds of processor time for drawing and encoding it.
    seconds: f64,
    bytes: u64,
}

/// How the prediction is to be corrected, on this machine and for pictures like these.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Calibration {
    /// For decoding, by the source's format.
    decoding: BTreeMap<String, f64>,
    /// For sources of formats that were not measured.
    other_decoding: f64,
    /// For each variant of the recipe.
    variants: Vec<f64>,
    /// Bits for each pixel of a rendition, for each variant.
    bits: Vec<f64>,
    /// For all of it: what is shared between variants was measured with each of them.
    whole: f64,
    /// By how much single pictures were off, as a share: the mean of the deviations.
    spread: f64,
    pub(crate) samples: usize,
    /// Milliseconds for each megapixel, by what was done: decoding a format, or making a variant.
    rates: BTreeMap<String, f64>,
}

/// What one picture, or many, will take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Prediction {
    pictures: f64,
    /// Of processor time.
    pub(crate) seconds: f64,
    /// What Lambda bills, at a core of its own.
    gb_seconds: f64,
    renditions: f64,
    bytes: f64,
}

impl std::ops::AddAssign for Prediction {
    fn add_assign(&mut self, other: Self) {
        self.pictures += other.pictures;
        self.seconds += other.seconds;
        self.gb_seconds += other.gb_seconds;
        self.renditions += other.renditions;
        self.bytes += other.bytes;
    }
}

/// An estimate of a run, with what it rests on.
pub(crate) struct Estimate {
    pub(crate) run: Prediction,
    calibration: Calibration,
    /// How long was measured.
    measuring: f64,
    /// Nothing is to be made, or nothing could be read: then a drawn picture was measured, and is the run.
    drawn: bool,
    prices: Prices,
}

/// Seconds that the engine foretells for decoding, and for each variant.
struct Foretold {
    preparing: f64,
    variants: Vec<f64>,
}

fn foretold(info: &Info, bytes: u64, recipe: &Recipe) -> Foretold {
    let mut one = recipe.clone();
    let variants = recipe.variants.iter().map(|variant| {
        one.variants = vec![variant.clone()];
        let alone = predict(info, bytes, &one, 1);
        alone
            .processor_time
            .saturating_sub(alone.preparing_time)
            .as_secs_f64()
    });
    let variants = variants.collect();
    Foretold {
        preparing: predict(info, bytes, recipe, 1).preparing_time.as_secs_f64(),
        variants,
    }
}

fn shown_pixels(info: &Info) -> u64 {
    u64::from(info.width) * u64::from(info.height)
}

/// Pixels of each variant's rendition, all frames together; none where this source can't have it.
fn pixels(info: &Info, recipe: &Recipe) -> Vec<Option<f64>> {
    let sizes = outline(info, recipe).into_iter().zip(&recipe.variants);
    let pixels = sizes.map(|(size, variant)| {
        let (width, height) = size.ok()?;
        Some(f64::from(width) * f64::from(height) * f64::from(frames(info, variant)))
    });
    pixels.collect()
}

fn frames(info: &Info, variant: &Variant) -> u32 {
    if variant.keeps_animation() {
        info.frames.max(1)
    } else {
        1
    }
}

/// `one / other`, or 1 where there is nothing to compare.
fn ratio(one: f64, other: f64) -> f64 {
    if one > 0.0 && other > 0.0 {
        one / other
    } else {
        1.0
    }
}

/// Works out the corrections from measurements. Pure.
pub(crate) fn calibrate(recipe: &Recipe, samples: &[Measured]) -> Calibration {
    let mut decoding: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut variants = vec![(0.0, 0.0); recipe.variants.len()];
    let mut bits = vec![(0.0, 0.0); recipe.variants.len()];
    let mut rates: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let add = |sum: &mut (f64, f64), one: f64, other: f64| {
        sum.0 += one;
        sum.1 += other;
    };
    for sample in samples {
        let told = foretold(&sample.info, sample.source_bytes, recipe);
        let format = sample.info.format.to_string();
        let megapixels = to_float(shown_pixels(&sample.info)) / 1e6;
        let words = format!("decoding {format}");
        add(
            decoding.entry(format).or_default(),
            sample.decoding,
            told.preparing,
        );
        add(
            rates.entry(words).or_default(),
            sample.decoding * 1e3,
            megapixels,
        );
        let pixels = pixels(&sample.info, recipe);
        for (at, made) in sample.variants.iter().enumerate() {
            let (Some(made), Some(pixels)) = (made, pixels[at]) else {
                continue;
            };
            add(&mut variants[at], made.seconds, told.variants[at]);
            add(&mut bits[at], to_float(made.bytes) * 8.0, pixels);
            let words = recipe.variants[at].name.clone();
            add(
                rates.entry(words).or_default(),
                made.seconds * 1e3,
                pixels / 1e6,
            );
        }
    }
    let all = decoding
        .values()
        .fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let of = |(one, other): (f64, f64)| ratio(one, other);
    let mut calibration = Calibration {
        decoding: decoding
            .into_iter()
            .map(|(format, sum)| (format, of(sum)))
            .collect(),
        other_decoding: of(all),
        variants: variants.into_iter().map(of).collect(),
        // A variant that no sample has: as many bits as a good photo takes.
        bits: bits.into_iter().map(of).collect(),
        whole: 1.0,
        spread: 0.0,
        samples: samples.len(),
        rates: rates
            .into_iter()
            .map(|(words, sum)| (words, of(sum)))
            .collect(),
    };
    let predicted = |calibration: &Calibration, sample: &Measured| {
        predicted_seconds(calibration, &sample.info, sample.source_bytes, recipe)
    };
    let measured: f64 = samples.iter().map(|sample| sample.whole).sum();
    let sum: f64 = samples
        .iter()
        .map(|sample| predicted(&calibration, sample))
        .sum();
    calibration.whole = ratio(measured, sum);
    let off = samples
        .iter()
        .map(|sample| (ratio(sample.whole, predicted(&calibration, sample)) - 1.0).abs());
    calibration.spread = off.sum::<f64>() / to_float(samples.len().max(1) as u64);
    calibration
}

fn predicted_seconds(calibration: &Calibration, info: &Info, bytes: u64, recipe: &Recipe) -> f64 {
    let told = foretold(info, bytes, recipe);
    let decoding = calibration.decoding.get(&info.format.to_string());
    let decoding = decoding.unwrap_or(&calibration.other_decoding);
    let variants = told.variants.iter().zip(&calibration.variants);
    let variants: f64 = variants.map(|(told, factor)| told * factor).sum();
    (told.preparing * decoding + variants) * calibration.whole
}

/// What one picture will take. Pure.
pub(crate) fn predict_one(
    calibration: &Calibration,
    prices: &Prices,
    recipe: &Recipe,
    info: &Info,
    source_bytes: u64,
) -> Prediction {
    let seconds = predicted_seconds(calibration, info, source_bytes, recipe);
    let pixels = pixels(info, recipe);
    let made = pixels.iter().zip(&calibration.bits);
    let made = made.filter_map(|(pixels, bits)| Some(pixels.as_ref()? * bits / 8.0));
    let made: Vec<f64> = made.collect();
    Prediction {
        pictures: 1.0,
        seconds,
        gb_seconds: prices.gb_seconds(seconds),
        renditions: to_float(made.len() as u64),
        bytes: made.iter().sum(),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "what counts and sizes lose, nobody can see"
)]
fn to_float(number: u64) -> f64 {
    number as f64
}

/// Processor time of this thread so far, in seconds.
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(0.0, |time| Duration::from(time).as_secs_f64())
}

/// Processor time of this process so far, in seconds: the system's for it included.
pub(crate) fn process_seconds() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    let seconds = |time: nix::sys::time::TimeVal| {
        let micros = u32::try_from(time.tv_usec()).unwrap_or(0);
        to_float(u64::try_from(time.tv_sec()).unwrap_or(0)) + f64::from(micros) / 1e6
    };
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Renders on this thread, and says what it took.
fn timed(
    bytes: &[u8],
    recipe: &Recipe,
    variants: &[&Variant],
) -> Result<(Renditions, f64), pixmill::Error> {
    let before = thread_seconds();
    let made = render_variants(bytes, recipe, variants, &RenderOptions::default())?;
    Ok((made, thread_seconds() - before))
}

/// The share of the time that went to decoding.
fn decoding_share(made: &Renditions) -> f64 {
    let time = |wanted: Option<Stage>| {
        let stages = made.stages.iter();
        let stages = stages.filter(|(stage, _)| wanted.is_none_or(|wanted| *stage == wanted));
        stages.map(|(_, time)| time.as_secs_f64()).sum::<f64>()
    };
    let all = time(None);
    if all > 0.0 {
        time(Some(Stage::Decode)) / all
    } else {
        0.0
    }
}

/// Measures one picture: all variants together, then each by itself.
fn measure(bytes: &[u8], recipe: &Recipe) -> Result<Measured, pixmill::Error> {
    let all: Vec<&Variant> = recipe.variants.iter().collect();
    let (made, whole) = timed(bytes, recipe, &all)?;
    let mut measured = Measured {
        info: made.info.clone(),
        source_bytes: bytes.len() as u64,
        whole,
        decoding: whole * decoding_share(&made),
        variants: Vec::new(),
    };
    for (variant, made) in recipe.variants.iter().zip(&made.renditions) {
        let RenditionResult::Made(file) = &made.result else {
            measured.variants.push(None);
            continue;
        };
        let (alone, seconds) = timed(bytes, recipe, &[variant])?;
        measured.variants.push(Some(MeasuredVariant {
            seconds: seconds * (1.0 - decoding_share(&alone)),
            bytes: file.bytes.len() as u64,
        }));
    }
    Ok(measured)
}

/// Which of the items are measured, in this order: from all over the range of sizes, of every format first.
fn chosen<'a>(items: &[&'a Item]) -> Vec<&'a Item> {
    let info = |item: &Item| item.info.as_ref().map_or(0, shown_pixels);
    let mut by_format: BTreeMap<String, Vec<&'a Item>> = BTreeMap::new();
    for item in items {
        let format = item.info.as_ref().map(|info| info.format.to_string());
        by_format
            .entry(format.unwrap_or_default())
            .or_default()
            .push(item);
    }
    let mut formats: Vec<Vec<&'a Item>> = by_format.into_values().collect();
    // The commonest format has the first word.
    formats.sort_by_key(|items| std::cmp::Reverse(items.len()));
    for items in &mut formats {
        items.sort_by_key(|item| (info(item), item.candidate.name.clone()));
    }
    // The middle, then the quarters, then the eighths.
    let places = [(1, 2), (1, 4), (3, 4), (1, 8), (7, 8), (3, 8), (5, 8)];
    let mut chosen: Vec<&'a Item> = Vec::new();
    for (part, of) in places {
        for items in &formats {
            let item = items[items.len() * part / of];
            if !chosen.iter().any(|other| std::ptr::eq(*other, item)) {
                chosen.push(item);
            }
        }
    }
    chosen.truncate(MOST_SAMPLES);
    chosen
}

/// A picture of three megapixels with soft and with busy parts, drawn by arithmetic, as a JPEG.
fn drawn() -> Vec<u8> {
    let (width, height) = (2048_u32, 1536_u32);
    let mut ppm = format!("P6\n{width} {height}\n255\n").into_bytes();
    let mut noise = 1_u32;
    for y in 0..height {
        for x in 0..width {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let busy = if (x / 256 + y / 256) % 2 == 0 { 27 } else { 30 };
            let grain = noise >> busy;
            for soft in [x / 10, y / 8, (x + y) / 18] {
                ppm.push(u8::try_from((soft + grain).min(255)).unwrap_or(u8::MAX));
            }
        }
    }
    let recipe = Recipe::single(Variant::new("drawn", OutputFormat::Jpeg));
    let recipe = recipe.expect("one variant contradicts nothing");
    let made = render(&ppm, &recipe).expect("a plain picture is rendered");
    match &made.renditions[0].result {
        RenditionResult::Made(file) => file.bytes.to_vec(),
        _ => ppm,
    }
}

/// Measures a few of the planned pictures, and foretells what all of them will take. Of what can't be read or rendered the run will
/// tell; here it only says nothing.
pub(crate) async fn estimate(items: &[Item], recipe: &Recipe) -> anyhow::Result<Estimate> {
    let began = Instant::now();
    let to_make: Vec<&Item> = items
        .iter()
        .filter(|item| item.action.renders() && item.info.is_some())
        .collect();
    let mut formats: Vec<&str> = recipe
        .variants
        .iter()
        .map(|v| v.format.extension())
        .collect();
    formats.sort_unstable();
    formats.dedup();
    let time = FOR_EACH_FORMAT * u32::try_from(formats.len()).unwrap_or(1);
    let mut samples = Vec::new();
    for item in chosen(&to_make) {
        if began.elapsed() > time && !samples.is_empty() {
            break;
        }
        let (sources, key) = (&item.candidate.sources, &item.candidate.listed.key);
        let Ok(fetched) = sources.get(key, recipe.limits.input_bytes, None).await else {
            continue;
        };
        let recipe = recipe.clone();
        let work = tokio::task::spawn_blocking(move || measure(&fetched.bytes, &recipe));
        samples.extend(work.await?);
    }
    let is_drawn = samples.is_empty();
    let prices = Prices::built_in();
    let mut run = Prediction::default();
    let calibration;
    if is_drawn {
        let owned = recipe.clone();
        let work = tokio::task::spawn_blocking(move || {
            let picture = drawn();
            measure(&picture, &owned).map(|measured| (picture, measured))
        });
        let (picture, measured) = work.await??;
        calibration = calibrate(recipe, &[measured]);
        let info = probe(&picture)?;
        run += predict_one(&calibration, &prices, recipe, &info, picture.len() as u64);
    } else {
        calibration = calibrate(recipe, &samples);
        for item in to_make {
            let info = item.info.as_ref().expect("filtered above");
            let size = item.candidate.listed.size;
            run += predict_one(&calibration, &prices, recipe, info, size);
        }
    }
    Ok(Estimate {
        run,
        calibration,
        measuring: began.elapsed().as_secs_f64(),
        drawn: is_drawn,
        prices,
    })
}

/// The estimate as JSON has it.
#[derive(Serialize)]
struct Told<'a> {
    pictures: f64,
    processor_seconds: f64,
    /// As a share.
    spread: f64,
    renditions: f64,
    rendition_bytes: f64,
    lambda_gb_seconds: f64,
    lambda_mb: f64,
    s3_puts: f64,
    s3_gets: f64,
    dollars: Bill,
    dollars_a_million_pictures: Bill,
    measured_pictures: usize,
    measured_a_drawing: bool,
    measuring_seconds: f64,
    milliseconds_a_megapixel: &'a BTreeMap<String, f64>,
    prices: &'a str,
}

impl Estimate {
    fn demand(&self) -> Demand {
        let run = &self.run;
        Demand {
            gb_seconds: run.gb_seconds,
            invocations: run.pictures,
            puts: run.renditions + run.pictures * PUTS_BESIDE,
            gets: run.pictures * GETS,
            stored_bytes: run.bytes,
        }
    }

    fn demand_of_a_million(&self) -> Demand {
        let demand = self.demand();
        let times = 1e6 / self.run.pictures.max(1.0);
        Demand {
            gb_seconds: demand.gb_seconds * times,
            invocations: demand.invocations * times,
            puts: demand.puts * times,
            gets: demand.gets * times,
            stored_bytes: demand.stored_bytes * times,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        let demand = self.demand();
        let told = Told {
            pictures: self.run.pictures,
            processor_seconds: self.run.seconds,
            spread: self.calibration.spread,
            renditions: self.run.renditions,
            rendition_bytes: self.run.bytes.round(),
            lambda_gb_seconds: demand.gb_seconds,
            lambda_mb: self.prices.lambda.core_mb,
            s3_puts: demand.puts,
            s3_gets: demand.gets,
            dollars: self.prices.bill(&demand),
            dollars_a_million_pictures: self.prices.bill(&self.demand_of_a_million()),
            measured_pictures: self.calibration.samples,
            measured_a_drawing: self.drawn,
            measuring_seconds: self.measuring,
            milliseconds_a_megapixel: &self.calibration.rates,
            prices: &self.prices.source,
        };
        serde_json::to_value(told).expect("figures and words are JSON")
    }

    /// The estimate for a person, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let run = &self.run;
        let (demand, million) = (self.demand(), self.demand_of_a_million());
        let (bill, of_million) = (self.prices.bill(&demand), self.prices.bill(&million));
        let what = if self.drawn {
            "nothing is to be made; for a drawn picture of 3 megapixels:".to_owned()
        } else {
            format!("estimate for {} pictures:", run.pictures)
        };
        let rates = self.calibration.rates.iter();
        let rates = rates.map(|(words, rate)| format!("{words} {rate:.1}"));
        vec![
            what,
            format!(
                "  processor time  {}, give or take {:.0} % a picture",
                seconds(run.seconds),
                self.calibration.spread * 100.0
            ),
            format!(
                "  renditions      {}, about {}, by the bits for each pixel that were measured",
                run.renditions,
                size(run.bytes)
            ),
            format!(
                "  on Lambda       {:.1} GB-seconds at {} MB: {} on x86-64, {} on arm64",
                demand.gb_seconds,
                self.prices.lambda.core_mb,
                dollars(bill.lambda_x86_64),
                dollars(bill.lambda_arm64)
            ),
            format!(
                "  on S3           {} puts, {} gets: {}; storage {} a month",
                demand.puts,
                demand.gets,
                dollars(bill.s3_requests),
                dollars(bill.s3_storage_a_month)
            ),
            format!(
                "  a million such  Lambda {} on x86-64, {} on arm64; S3 requests {}, storage {} a month",
                dollars(of_million.lambda_x86_64),
                dollars(of_million.lambda_arm64),
                dollars(of_million.s3_requests),
                dollars(of_million.s3_storage_a_month)
            ),
            format!(
                "  measured        {} pictures in {}; milliseconds a megapixel: {}",
                self.calibration.samples,
                seconds(self.measuring),
                rates.collect::<Vec<_>>().join(", ")
            ),
            format!("  prices          {}", self.prices.source),
        ]
    }

    /// What was foretold beside what it took, after the run.
    pub(crate) fn beside(&self, actual: f64) -> String {
        let foretold = self.run.seconds;
        format!(
            "processor time: {} foretold, {} taken, {:+.0} %",
            seconds(foretold),
            seconds(actual),
            (ratio(actual, foretold) - 1.0) * 100.0
        )
    }
}

fn seconds(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7200.0 {
        format!("{:.1} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

fn size(bytes: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are no fractions, and above zero"
    )]
    let bytes = bytes.round() as u64;
    ByteSize(bytes).display().iec().to_string()
}

/// Small sums with as many figures as say something.
fn dollars(sum: f64) -> String {
    if sum > 0.0 && sum < 0.01 {
        format!("${sum:.6}")
    } else {
        format!("${sum:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(bytes: &[u8], whole: f64, decoding: f64, each: f64) -> Measured {
        let recipe = Recipe::default_recipe();
        let info = probe(bytes).expect("a picture");
        let one = MeasuredVariant {
            seconds: each,
            bytes: 1000,
        };
        Measured {
            info,
            source_bytes: bytes.len() as u64,
            whole,
            decoding,
            variants: vec![Some(one); recipe.variants.len()],
        }
    }

    const CAT: &[u8] = include_bytes!("../../../samples/cat.jpg");
    const LOGO: &[u8] = include_bytes!("../../../samples/logo.png");

    fn predicted(calibration: &Calibration, bytes: &[u8]) -> Prediction {
        let info = probe(bytes).expect("a picture");
        let recipe = Recipe::default_recipe();
        let prices = Prices::built_in();
        predict_one(calibration, &prices, &recipe, &info, bytes.len() as u64)
    }

    #[test]
    fn what_was_measured_is_foretold_again() {
        let recipe = Recipe::default_recipe();
        let samples = [sample(CAT, 0.5, 0.1, 0.09), sample(LOGO, 0.25, 0.05, 0.05)];
        let one = calibrate(&recipe, &samples[..1]);
        assert!((predicted(&one, CAT).seconds - 0.5).abs() < 1e-9);
        assert!(one.spread < 1e-9, "one picture is off by nothing");
        let both = calibrate(&recipe, &samples);
        let sum = predicted(&both, CAT).seconds + predicted(&both, LOGO).seconds;
        assert!(
            (sum - 0.75).abs() < 1e-9,
            "the sum is that of the samples: {sum}"
        );
        assert!(both.spread > 0.0);
        assert_eq!(both.samples, 2);
    }

    #[test]
    fn a_machine_of_half_the_speed_takes_twice_as_long() {
        let recipe = Recipe::default_recipe();
        let fast = calibrate(&recipe, &[sample(CAT, 0.5, 0.1, 0.09)]);
        let slow = calibrate(&recipe, &[sample(CAT, 1.0, 0.2, 0.18)]);
        let (fast, slow) = (predicted(&fast, LOGO), predicted(&slow, LOGO));
        assert!((slow.seconds / fast.seconds - 2.0).abs() < 1e-9);
        assert!((slow.bytes - fast.bytes).abs() < 1e-9, "and as many bytes");
    }

    #[test]
    fn predictions_add_up() {
        let recipe = Recipe::default_recipe();
        let calibration = calibrate(&recipe, &[sample(CAT, 0.5, 0.1, 0.09)]);
        let (cat, logo) = (predicted(&calibration, CAT), predicted(&calibration, LOGO));
        let mut sum = cat;
        sum += logo;
        assert!((sum.seconds - cat.seconds - logo.seconds).abs() < 1e-12);
        assert!((sum.renditions - 10.0).abs() < 1e-12);
        assert!((sum.pictures - 2.0).abs() < 1e-12);
    }

    #[test]
    fn a_measurement_is_positive_and_has_every_variant() {
        let measured = measure(LOGO, &Recipe::default_recipe()).expect("a picture");
        assert!(measured.whole > 0.0 && measured.decoding > 0.0);
        assert_eq!(measured.variants.len(), 5);
        assert!(measured.variants.iter().all(Option::is_some));
    }

    #[test]
    fn the_drawn_picture_is_a_jpeg_of_three_megapixels_that_a_photo_could_be() {
        let drawn = drawn();
        let info = probe(&drawn).expect("a picture");
        assert_eq!((info.width, info.height), (2048, 1536));
        assert!(
            drawn.len() > 200_000 && drawn.len() < 3_000_000,
            "{}",
            drawn.len()
        );
    }

    #[test]
    fn a_new_picture_takes_as_many_calls_to_s3_as_are_counted() {
        use std::sync::Arc;

        use futures_util::FutureExt;
        use pixmill::job::Job;
        use pixmill::memory::MemoryStore;
        use pixmill::outcome::Outcome;
        use pixmill_testkit::faulty_store::FaultyStore;

        let uploads = MemoryStore::new();
        uploads.insert("logo.png", LOGO.to_vec());
        let sources = FaultyStore::new(uploads);
        let output = FaultyStore::new(MemoryStore::new());
        let stores = (Arc::new(sources.clone()), Arc::new(output.clone()));
        // As the function does it.
        let processor = pixmill::Processor::new(stores.0, stores.1, Recipe::default_recipe());
        let job = Job::new("logo.png");
        let outcome = processor.process(&job).now_or_never();
        let outcome = outcome.expect("stores in memory never wait");
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
        let calls: Vec<_> = sources.calls().into_iter().chain(output.calls()).collect();
        let puts = calls.iter().filter(|call| call.function == "put").count();
        let others = calls.len() - puts;
        assert!(
            (to_float(puts as u64) - 5.0 - PUTS_BESIDE).abs() < 0.5,
            "{calls:#?}"
        );
        assert!((to_float(others as u64) - GETS).abs() < 0.5, "{calls:#?}");
    }

    #[test]
    fn small_sums_keep_the_figures_that_say_something() {
        assert_eq!(dollars(0.000_123_4), "$0.000123");
        assert_eq!(dollars(12.345), "$12.35");
        assert_eq!(dollars(0.0), "$0.00");
        assert_eq!(seconds(59.94), "59.9 s");
        assert_eq!(seconds(180.0), "3.0 min");
    }
}
