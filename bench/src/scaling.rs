//! How Pixmill's own cost grows: with cores, with a picture's size, with the number of files; and whether
//! the memory that it foretells is what it takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::figures::{Usage, median, medians, paired};
use crate::peers::pixmill;
use crate::pictures;
use crate::run::{emptied, write_small};

/// Megapixels of the pictures whose cost is compared.
const SIZES: [(f64, (u32, u32)); 5] = [
    (1.0, (1152, 868)),
    (4.0, (2304, 1736)),
    (12.0, (4032, 2976)),
    (25.0, (5760, 4340)),
    (50.0, (8064, 6198)),
];

/// Scaling, as JSON.
pub(crate) fn scaling(arguments: &Arguments, folder: &Path) -> Result<Value, String> {
    let scratch = emptied(&arguments.scratch.join("scaling"))?;
    let output = scratch.join("out");
    let log = scratch.join("log");
    let recipe = arguments.home.join("recipes/five.toml");
    let run = |input: &Path, recipe: &Path, one_core: bool| -> Result<Usage, String> {
        emptied(&output)?;
        let more: &[&str] = if one_core {
            &["--jobs", "1"]
        } else {
            &["--jobs", "2"]
        };
        pixmill(arguments, (input, &output), recipe, more).run(one_core, &log)
    };

    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        one.push(run(folder, &recipe, true)?);
        two.push(run(folder, &recipe, false)?);
    }
    let speedup = paired(&one, &two)[1];

    let photo = largest(folder)?;
    let photo = pictures::decoded(&photo)?;
    let (width, height) = (photo.width().min(1152), photo.height().min(868));
    let tile = image::imageops::crop_imm(
        &photo,
        (photo.width() - width) / 2,
        (photo.height() - height) / 2,
        width,
        height,
    );
    let tile = tile.to_image();
    drop(photo);
    let mut sizes = Vec::new();
    for (megapixels, size) in SIZES {
        let path = scratch.join(format!("{megapixels}.jpg"));
        pictures::write_jpeg(&path, &pictures::tiled(&tile, size))?;
        let runs: Result<Vec<_>, _> = (0..arguments.runs)
            .map(|_| run(&path, &recipe, true))
            .collect();
        let [processor, _, peak] = medians(&runs?);
        let pixels = f64::from(size.0) * f64::from(size.1) / 1e6;
        sizes.push(json!({
            "megapixels": pixels,
            "processor_ms_per_megapixel": processor * 1000.0 / pixels,
            "peak_bytes": peak,
        }));
    }

    let thumbnail = arguments.home.join("recipes/thumbnail.toml");
    let mut batches = Vec::new();
    for count in [1_000, 10_000] {
        let many = emptied(&scratch.join("many"))?;
        write_small(&many, count, (64, 48))?;
        let usage = run(&many, &thumbnail, false)?;
        batches.push(json!({"files": count, "peak_bytes": usage.peak, "wall": usage.wall}));
    }
    emptied(&scratch)?;
    Ok(json!({ "speedup_on_two_cores": speedup, "sizes": sizes, "batches": batches }))
}

fn largest(folder: &Path) -> Result<PathBuf, String> {
    let all = pictures::in_folder(folder)?;
    let area =
        |path: &PathBuf| pictures::size(path).map_or(0, |(w, h)| u64::from(w) * u64::from(h));
    all.into_iter()
        .max_by_key(area)
        .ok_or_else(|| "there is no picture".to_owned())
}

/// Memory foretold and taken, for every picture of `folder`, as JSON.
pub(crate) fn prediction(arguments: &Arguments, folder: &Path) -> Result<Value, String> {
    let scratch = emptied(&arguments.scratch.join("prediction"))?;
    let (output, log) = (scratch.join("out"), scratch.join("log"));
    let recipe = arguments.home.join("recipes/five.toml");
    let peak = |input: &Path| -> Result<f64, String> {
        let mut peaks = Vec::new();
        for _ in 0..arguments.runs.min(3) {
            emptied(&output)?;
            let call = pixmill(arguments, (input, &output), &recipe, &["--jobs", "1"]);
            peaks.push(call.run(false, &log)?.peak);
        }
        Ok(median(peaks))
    };
    // What the process takes for itself, with a picture of next to nothing.
    let tiny = scratch.join("tiny.jpg");
    pictures::write_jpeg(&tiny, &pictures::drawn(1, (16, 16)))?;
    let own = peak(&tiny)?;
    let mut rows = Vec::new();
    for path in pictures::in_folder(folder)? {
        emptied(&output)?;
        let foretold = foretold(arguments, &path, &output, &recipe)?;
        let taken = peak(&path)?;
        let (width, height) = pictures::size(&path)?;
        rows.push(json!({
            "picture": path.file_name().unwrap_or_default().to_string_lossy(),
            "megapixels": f64::from(width) * f64::from(height) / 1e6,
            "foretold_bytes": foretold,
            "taken_bytes": taken,
            "ratio": foretold / taken,
        }));
    }
    emptied(&scratch)?;
    Ok(json!({ "own_bytes": own, "pictures": rows }))
}

fn foretold(
    arguments: &Arguments,
    picture: &Path,
    output: &Path,
    recipe: &Path,
) -> Result<f64, String> {
    let said = Command::new(&arguments.pixmill)
        .arg("plan")
        .arg(picture)
        .arg("--output")
        .arg(output)
        .arg("--recipe")
        .arg(recipe)
        .args(["--jobs", "1", "--json"])
        .output()
        .map_err(|error| format!("pixmill could not be started: {error}"))?;
    let text = String::from_utf8_lossy(&said.stdout);
    of_plan(&text).ok_or_else(|| format!("no memory is planned for {}", picture.display()))
}

/// The memory of the one picture that a plan tells of.
fn of_plan(lines: &str) -> Option<f64> {
    let line: Value = serde_json::from_str(lines.lines().next()?).ok()?;
    line.get("memory_bytes")?.as_f64()
}

pub(crate) fn remove(folder: &Path) -> Result<(), String> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} can't be removed: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_plan_is_read_from_its_first_line() {
        let lines = "{\"source\":\"a\",\"memory_bytes\":1234}\n{\"summary\":{}}\n";
        assert_eq!(of_plan(lines), Some(1234.0));
        assert_eq!(of_plan("{\"summary\":{}}"), None);
        assert_eq!(of_plan(""), None);
    }

    #[test]
    fn the_sizes_are_what_they_are_called() {
        for (megapixels, (width, height)) in SIZES {
            let own = f64::from(width) * f64::from(height) / 1e6;
            assert!((own / megapixels - 1.0).abs() < 0.01, "{megapixels}: {own}");
        }
    }
}
