//! All jobs, one after the other: programs take turns, then their files are looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::arguments::Arguments;
use crate::figures::{Usage, medians, paired};
use crate::job::{Bar, Input, Job, Kind, Make, Memory, Way};
use crate::quality::{self, Found};
use crate::{machine, page, peers, pictures, scaling};

/// Does what was asked for. Fails in words; never for a figure.
pub(crate) fn all(arguments: &Arguments) -> Result<(), String> {
    for why in &arguments.missing {
        eprintln!("{why}");
    }
    let mut jobs = Vec::new();
    let photos = pictures_of(arguments, Input::All)?;
    for job in &arguments.jobs {
        eprintln!("{} ...", job.title);
        let measured = match &job.kind {
            Kind::Contest { .. } => contest(arguments, job)?,
            Kind::Scaling => scaling::scaling(arguments, &photos)?,
            Kind::Prediction => scaling::prediction(arguments, &photos)?,
        };
        let entry = json!({"name": job.name, "title": job.title, "measured": measured});
        println!("{}", page::terminal(&entry));
        jobs.push(entry);
    }
    let all = json!({
        "machine": machine::described(),
        "versions": peers::versions(arguments),
        "runs": arguments.runs,
        "missing": arguments.missing,
        "jobs": jobs,
    });
    let write = |path: &Path, text: String| {
        fs::write(path, text)
            .map_err(|error| format!("{} can't be written: {error}", path.display()))
    };
    if let Some(path) = &arguments.json {
        write(path, format!("{all:#}\n"))?;
    }
    if let Some(path) = &arguments.page {
        write(path, page::page(&all))?;
        println!("Written: {}", path.display());
    }
    Ok(())
}

/// An empty folder.
pub(crate) fn emptied(folder: &Path) -> Result<PathBuf, String> {
    scaling::remove(folder)?;
    fs::create_dir_all(folder)
        .map_err(|error| format!("{} can't be made: {error}", folder.display()))?;
    Ok(folder.to_owned())
}

/// `count` small pictures of `size`; from the thousandth on they repeat.
pub(crate) fn write_small(folder: &Path, count: u32, size: (u32, u32)) -> Result<(), String> {
    for number in 0..count {
        let path = folder.join(format!("{number:05}.jpg"));
        let original = folder.join(format!("{:05}.jpg", number % 1000));
        if path == original {
            pictures::write_jpeg(&path, &pictures::drawn(number, size))?;
        } else {
            fs::copy(&original, &path).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

/// A folder with the pictures of `input` and nothing else; made the first time.
fn pictures_of(arguments: &Arguments, input: Input) -> Result<PathBuf, String> {
    let name = match input {
        Input::All => "all",
        Input::Jpegs => "jpegs",
        Input::TwelveMegapixels => "one",
        Input::Small => "small",
        Input::Large => "large",
    };
    let folder = emptied(&arguments.scratch.join("pictures").join(name))?;
    let copy = |path: &Path| {
        let to = folder.join(path.file_name().unwrap_or_default());
        fs::copy(path, &to)
            .map(drop)
            .map_err(|error| format!("{} can't be copied: {error}", path.display()))
    };
    let mut found = Vec::new();
    for path in pictures::in_folder(&arguments.pictures)? {
        if pictures::is_plain(&path)? {
            let (width, height) = pictures::size(&path)?;
            found.push((u64::from(width) * u64::from(height), path));
        }
    }
    match input {
        Input::All => found.iter().try_for_each(|(_, path)| copy(path))?,
        Input::Jpegs => found
            .iter()
            .filter(|(_, path)| !pictures::is(path, "png"))
            .try_for_each(|(_, path)| copy(path))?,
        Input::TwelveMegapixels => {
            let nearest = found
                .iter()
                .min_by_key(|(pixels, _)| pixels.abs_diff(12_000_000));
            nearest.map_or(Ok(()), |(_, path)| copy(path))?;
        }
        Input::Small => write_small(&folder, 1_000, (320, 240))?,
        Input::Large => {
            let largest = found.iter().max_by_key(|(pixels, _)| *pixels);
            let (_, path) = largest.ok_or("there is no picture")?;
            let picture = pictures::tiled(&pictures::decoded(path)?, (8160, 6120));
            pictures::write_jpeg(&folder.join("large.jpg"), &picture)?;
        }
    }
    Ok(folder)
}

fn contest(arguments: &Arguments, job: &Job) -> Result<Value, String> {
    let Kind::Contest {
        input,
        make,
        ways,
        one_core,
        bars,
    } = &job.kind
    else {
        return Ok(Value::Null);
    };
    let folder = pictures_of(arguments, *input)?;
    let paths = pictures::in_folder(&folder)?;
    let mut pixels = 0.0;
    let mut bytes = 0;
    for path in &paths {
        let (width, height) = pictures::size(path)?;
        pixels += f64::from(width) * f64::from(height);
        bytes += fs::metadata(path).map_or(0, |about| about.len());
    }

    let outputs = emptied(&arguments.scratch.join("outputs"))?;
    let log = arguments.scratch.join("log");
    let ways: Vec<Way> = ways
        .iter()
        .copied()
        .filter(|way| peers::is_there(arguments, *way))
        .collect();
    let mut runs: BTreeMap<Way, Vec<Usage>> = BTreeMap::new();
    // A B C A B C, so that what the machine does beside this falls on everybody.
    for round in 1..=arguments.runs {
        for way in &ways {
            let output = emptied(&outputs.join(way.folder()))?;
            let call = peers::call(arguments, *way, *make, (&folder, &output), *one_core);
            let call = call.ok_or("a program that was there is gone")?;
            let usage = call.run(*one_core, &log)?;
            eprintln!(
                "  round {round}: {:<22} {:>7.2} s of processor, {:>7.2} s, {:>5.0} MiB",
                way.name(),
                usage.processor,
                usage.wall,
                usage.peak / 1_048_576.0
            );
            runs.entry(*way).or_default().push(usage);
        }
    }

    // A thousand small pictures and one huge one add nothing that the photos don't tell.
    let looked_at = arguments.quality && matches!(input, Input::All | Input::Jpegs);
    let references = if looked_at {
        eprintln!("  looking at what was made ...");
        Some(references(arguments, &folder)?)
    } else {
        None
    };
    let names: Vec<String> = paths
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let folders: Vec<_> = ways
        .iter()
        .map(|way| (*way, outputs.join(way.folder())))
        .collect();
    let found = quality::look(&names, make.files(), &folders, references.as_deref());
    let measured = json!({
        "pictures": names.len(),
        "megapixels": pixels / 1e6,
        "source_bytes": bytes,
        "one_core": one_core,
        "ways": ways.iter().map(|way| of_way(*way, &runs[way], &found[way])).collect::<Vec<_>>(),
        "ratios": ratios(&ways, &runs),
        "bars": bars.iter().filter_map(|bar| held(bar, &runs)).collect::<Vec<_>>(),
        "quality": compared(*make, &ways, &found),
    });
    emptied(&outputs)?;
    Ok(measured)
}

/// Every picture upright as a PNG, by Pixmill; whether it is the same as everybody else's shows where
/// PNGs are among the variants.
fn references(arguments: &Arguments, folder: &Path) -> Result<PathBuf, String> {
    let output = emptied(&arguments.scratch.join("references"))?;
    let recipe = arguments.home.join("recipes/reference.toml");
    let log = arguments.scratch.join("log");
    peers::pixmill(arguments, (folder, &output), &recipe, &[]).run(false, &log)?;
    Ok(output)
}

fn of_way(way: Way, runs: &[Usage], found: &Found) -> Value {
    let [processor, wall, peak] = medians(runs);
    let runs: Vec<_> = runs.iter().map(|run| run.three()).collect();
    json!({
        "way": way.name(),
        "processor_s": processor,
        "wall_s": wall,
        "peak_bytes": peak,
        "runs": runs,
        "bytes": found.bytes,
        "faults": found.faults,
    })
}

/// Ours to each peer's.
fn ratios(ways: &[Way], runs: &BTreeMap<Way, Vec<Usage>>) -> Vec<Value> {
    let mut all = Vec::new();
    for ours in ways.iter().filter(|way| way.is_ours()) {
        for theirs in ways.iter().filter(|way| !way.is_ours()) {
            let [processor, wall, peak] = paired(&runs[ours], &runs[theirs]);
            all.push(json!({
                "ours": ours.name(),
                "against": theirs.name(),
                "processor": processor,
                "wall": wall,
                "peak": peak,
            }));
        }
    }
    all
}

/// What is wanted beside what was measured; none where one side was not.
fn held(bar: &Bar, runs: &BTreeMap<Way, Vec<Usage>>) -> Option<Value> {
    let (ours, theirs) = (runs.get(&bar.ours)?, runs.get(&bar.against)?);
    let [processor, wall, peak] = paired(ours, theirs);
    let (memory, memory_bar, unit) = match bar.memory {
        Memory::Share(share) => (peak, share, "of theirs"),
        Memory::Mebibytes(most) => (medians(ours)[2] / 1_048_576.0, most, "MiB"),
    };
    Some(json!({
        "ours": bar.ours.name(),
        "against": bar.against.name(),
        "processor": [processor, bar.processor],
        "wall": [wall, bar.wall],
        "memory": [memory, memory_bar],
        "memory_unit": unit,
    }))
}

/// For each file: bytes of every way, the mean of its scores, and how our worst picture compares.
fn compared(make: Make, ways: &[Way], found: &BTreeMap<Way, Found>) -> Value {
    let mut files = Map::new();
    for file in make.files() {
        let mut rows = Map::new();
        for way in ways {
            let of = &found[way];
            let scores = of.scores.get(file).filter(|scores| !scores.is_empty());
            #[expect(clippy::cast_precision_loss, reason = "a handful of pictures")]
            let mean = scores.map(|scores| scores.iter().sum::<f64>() / scores.len() as f64);
            // How much less like the source ours is than theirs, where that is most.
            let ours = found
                .get(&Way::Pixmill)
                .and_then(|ours| ours.scores.get(file));
            let worst = ours.zip(scores).and_then(|(ours, theirs)| {
                ours.iter()
                    .zip(theirs)
                    .map(|(a, b)| a - b)
                    .min_by(f64::total_cmp)
            });
            let row = json!({
                "bytes": of.bytes.get(file),
                "ssimulacra2": mean,
                "pixmill_at_worst": worst.filter(|_| !way.is_ours()),
            });
            rows.insert(way.name().to_owned(), row);
        }
        files.insert((*file).to_owned(), Value::Object(rows));
    }
    Value::Object(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(processor: f64, mebibytes: f64) -> Vec<Usage> {
        vec![
            Usage {
                processor,
                wall: processor,
                peak: mebibytes * 1_048_576.0,
            };
            3
        ]
    }

    #[test]
    fn a_bar_is_held_against_the_ratio_and_one_without_its_peer_is_left_out() {
        let bar = Bar {
            ours: Way::Pixmill,
            against: Way::Sharp,
            processor: 0.5,
            wall: 0.5,
            memory: Memory::Mebibytes(140.0),
        };
        let mut all = BTreeMap::from([(Way::Pixmill, runs(1.0, 100.0))]);
        assert_eq!(held(&bar, &all), None);
        all.insert(Way::Sharp, runs(4.0, 400.0));
        let held = held(&bar, &all).unwrap();
        assert_eq!(held["processor"], json!([0.25, 0.5]));
        assert_eq!(held["memory"], json!([100.0, 140.0]));
    }
}
