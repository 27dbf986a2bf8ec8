//! What was measured, for people: on the terminal, and as a page.

use std::fmt::Write as _;

use serde_json::Value;

use crate::cost;
use crate::cost::Processor::{Arm64, X86_64};
use crate::figures::over;

const MEBIBYTE: f64 = 1_048_576.0;

/// Rows of words, as a table of Markdown; the first row is its head. Columns but the first are figures.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(3)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (column, width) in widths.iter().enumerate() {
            let cell = row.get(column).map_or("", String::as_str);
            let _ = if column == 0 {
                write!(text, "| {cell:<width$} ")
            } else {
                write!(text, "| {cell:>width$} ")
            };
        }
        text.push_str("|\n");
        if at == 0 {
            for (column, width) in widths.iter().enumerate() {
                let end = if column == 0 { "-" } else { ":" };
                let _ = write!(text, "| {}{end} ", "-".repeat(width - 1));
            }
            text.push_str("|\n");
        }
    }
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// One job's tables.
pub(crate) fn terminal(job: &Value) -> String {
    format!("\n{}\n\n{}", text(&job["title"]), tables(job))
}

fn tables(job: &Value) -> String {
    let measured = &job["measured"];
    if measured["ways"].is_array() {
        contest(measured)
    } else if measured["sizes"].is_array() {
        scaling(measured)
    } else {
        prediction(measured)
    }
}

fn contest(measured: &Value) -> String {
    let mut said = String::new();
    let _ = writeln!(
        said,
        "{} pictures, {:.1} megapixels.\n",
        measured["pictures"],
        number(&measured["megapixels"])
    );
    let mut rows = vec![row([
        "",
        "processor, s",
        "wall, s",
        "peak, MiB",
        "files, MB",
    ])];
    for way in list(&measured["ways"]) {
        let bytes = way["bytes"].as_object();
        let bytes: f64 = bytes
            .into_iter()
            .flatten()
            .map(|(_, bytes)| number(bytes))
            .sum();
        rows.push(vec![
            text(&way["way"]).to_owned(),
            format!("{:.2}", number(&way["processor_s"])),
            format!("{:.2}", number(&way["wall_s"])),
            format!("{:.0}", number(&way["peak_bytes"]) / MEBIBYTE),
            format!("{:.1}", bytes / 1e6),
        ]);
    }
    said.push_str(&table(&rows));

    let mut rows = vec![row(["ratio", "processor", "wall", "peak memory"])];
    for ratio in list(&measured["ratios"]) {
        let figure = |name: &str| format!("{:.2}", number(&ratio[name]));
        rows.push(vec![
            format!("{} to {}", text(&ratio["ours"]), text(&ratio["against"])),
            figure("processor"),
            figure("wall"),
            figure("peak"),
        ]);
    }
    if rows.len() > 1 {
        let _ = write!(said, "\n{}", table(&rows));
    }

    let mut rows = vec![row(["wanted", "processor", "wall", "peak memory"])];
    for bar in list(&measured["bars"]) {
        let unit = text(&bar["memory_unit"]);
        rows.push(vec![
            format!("{} to {}", text(&bar["ours"]), text(&bar["against"])),
            verdict(&bar["processor"], ""),
            verdict(&bar["wall"], ""),
            verdict(&bar["memory"], if unit == "MiB" { " MiB" } else { "" }),
        ]);
    }
    if rows.len() > 1 {
        let _ = write!(said, "\n{}", table(&rows));
    }
    said.push_str(&files(measured));
    let faults: Vec<_> = list(&measured["ways"])
        .iter()
        .flat_map(|way| list(&way["faults"]))
        .map(text)
        .collect();
    for fault in faults {
        let _ = writeln!(said, "\nNot the same work: {fault}.");
    }
    said
}

/// A figure, its bar, and whether it is met.
fn verdict(pair: &Value, unit: &str) -> String {
    let (value, bar) = (number(&pair[0]), number(&pair[1]));
    let digits = if unit.is_empty() { 2 } else { 0 };
    let over = over(value, bar) * 100.0;
    if over <= 0.0 {
        format!("{value:.digits$}{unit} (at most {bar:.digits$}: met)")
    } else {
        format!("{value:.digits$}{unit} (at most {bar:.digits$}: missed by {over:.0} %)")
    }
}

fn files(measured: &Value) -> String {
    let Some(files) = measured["quality"].as_object() else {
        return String::new();
    };
    let mut rows = vec![row([
        "file",
        "by",
        "MB",
        "SSIMULACRA2",
        "pixmill's at worst",
    ])];
    for (file, ways) in files {
        for (way, about) in ways.as_object().into_iter().flatten() {
            let signed = |value: &Value| value.as_f64().map(|value| format!("{value:+.2}"));
            let score = about["ssimulacra2"]
                .as_f64()
                .map(|score| format!("{score:.2}"));
            rows.push(vec![
                file.clone(),
                way.clone(),
                format!("{:.2}", number(&about["bytes"]) / 1e6),
                score.unwrap_or_default(),
                signed(&about["pixmill_at_worst"]).unwrap_or_default(),
            ]);
        }
    }
    format!("\n{}", table(&rows))
}

fn scaling(measured: &Value) -> String {
    let mut said = format!(
        "Two pictures at once on two cores finish {:.2} times as fast as one at a time on one core (wanted: 1.85).\n\n",
        number(&measured["speedup_on_two_cores"])
    );
    let mut rows = vec![row([
        "megapixels",
        "processor, ms per megapixel",
        "peak, MiB",
    ])];
    let sizes = list(&measured["sizes"]);
    for size in sizes {
        rows.push(vec![
            format!("{:.0}", number(&size["megapixels"])),
            format!("{:.1}", number(&size["processor_ms_per_megapixel"])),
            format!("{:.0}", number(&size["peak_bytes"]) / MEBIBYTE),
        ]);
    }
    said.push_str(&table(&rows));
    let costs = || {
        sizes
            .iter()
            .map(|size| number(&size["processor_ms_per_megapixel"]))
    };
    let (least, most) = (
        costs().fold(f64::MAX, f64::min),
        costs().fold(0.0, f64::max),
    );
    let _ = writeln!(
        said,
        "\nThe dearest megapixel costs {:.0} % more than the cheapest (wanted: at most 25).\n",
        over(most, least) * 100.0
    );
    let mut rows = vec![row(["files in one run", "peak, MiB"])];
    for batch in list(&measured["batches"]) {
        let peak = number(&batch["peak_bytes"]) / MEBIBYTE;
        rows.push(vec![batch["files"].to_string(), format!("{peak:.0}")]);
    }
    said.push_str(&table(&rows));
    said
}

fn prediction(measured: &Value) -> String {
    let mut rows = vec![row([
        "picture, megapixels",
        "foretold, MiB",
        "peak, MiB",
        "foretold to peak",
    ])];
    let pictures = list(&measured["pictures"]);
    for picture in pictures {
        rows.push(vec![
            format!("{:.1}", number(&picture["megapixels"])),
            format!("{:.0}", number(&picture["foretold_bytes"]) / MEBIBYTE),
            format!("{:.0}", number(&picture["taken_bytes"]) / MEBIBYTE),
            format!("{:.2}", number(&picture["ratio"])),
        ]);
    }
    let outside = |picture: &&Value| !(1.0..=2.0).contains(&number(&picture["ratio"]));
    let outside = pictures.iter().filter(outside).count();
    format!(
        "{}\nWanted: 1 to 2. {outside} of {} are outside. {:.0} MiB of each peak are the process's own, which nothing foretells.\n",
        table(&rows),
        pictures.len(),
        number(&measured["own_bytes"]) / MEBIBYTE
    )
}

/// The cost of a million photos on Lambda, from the job with every photo and five variants.
fn costs(all: &Value) -> Option<String> {
    let five = list(&all["jobs"])
        .iter()
        .find(|job| job["name"] == "five")?;
    let measured = &five["measured"];
    let pictures = number(&measured["pictures"]);
    let mut rows = vec![row(["", "processor, s a photo", "x86-64, $", "arm64, $"])];
    for way in list(&measured["ways"]) {
        let seconds = number(&way["processor_s"]) / pictures;
        rows.push(vec![
            text(&way["way"]).to_owned(),
            format!("{seconds:.3}"),
            format!("{:.2}", cost::of_a_million(seconds, X86_64)),
            format!("{:.2}", cost::of_a_million(seconds, Arm64)),
        ]);
    }
    Some(format!(
        "\
## A million photos on Lambda

Five variants of each, {:.1} megapixels on average, at {} MB of memory, where a function has one whole core: processor time as
measured above is then the time that is billed. Transfers, storage and cold starts are not in it. arm64 is taken to
need as much processor time, which was not measured. Prices: {}.

{}",
        number(&measured["megapixels"]) / pictures,
        cost::memory_mb(),
        cost::source(),
        table(&rows)
    ))
}

const HOW: &str = "\
## How it was measured

Each program is a process of its own, started anew for every run; they take turns (A B C A B C), so that what the
machine does beside this falls on everybody. Processor time is user and system time of the process and its
children, peak memory its largest resident set. The table of each job has medians; ratios are medians of the
ratios within each round.

All make the same files: JPEG at quality 85 and 60 (4:2:0, optimised Huffman tables), WebP at quality 85 (method 4,
at fast effort 2), PNG without a loss, and a thumbnail within 200 x 200 pixels as JPEG at quality 80. Pictures keep all
their pixels and their color profile, and are turned as their EXIF says.

- **pixmill** is the command, release build, over the folder: reading, hashing, planning, placeholders, manifests and
  writing are in its figures. Its recipes are in `bench/recipes`.
- **sharp** is used as its documentation shows: one instance for a file, a clone of it for each variant, all at once,
  as many files at once as there are cores. Decoding once to raw pixels and cloning from those was tried: about as
  much processor time, twice the memory, and the profile is lost. node's start-up (some 0.14 s) is in its figures.
- **pyvips** decodes once into memory, then saves each variant; **Pillow** too. Both work on as many files at once as
  there are cores, on threads. For thumbnails alone, all of them let the decoder scale.
- On one core, every process is bound to one (`sched_setaffinity`); libuv's pool, sharp's and libvips's threads are set to one.

SSIMULACRA2 (100: the same; above 90: no difference is seen) holds the middle of each rendition, 1024 x 1024
pixels, against that of the source; a thumbnail against the source made small by Lanczos. The last column is how our score compares with the peer's where it
compares worst. PNGs are compared pixel by pixel with the source; a difference would be told below the table.
";

/// The page, whole.
pub(crate) fn page(all: &Value) -> String {
    let machine = &all["machine"];
    let versions = &all["versions"];
    let version = |program: &str, part: &str| {
        let said = &versions[program][part];
        said.as_str().unwrap_or("not installed").to_owned()
    };
    let mut page = format!(
        "\
# Benchmarks

<!-- Written by `cargo xtask bench --page`: change bench/src/page.rs instead. -->

{}, {} cores, {:.0} GiB, {} on {}. {} runs of each program in each job.

pixmill {}; sharp {} (libvips {}, libwebp {}, node {}); pyvips {} (libvips {}); Pillow {} (libjpeg-turbo {}, libwebp {}, zlib {}).

",
        text(&machine["processor"]),
        machine["cores"],
        number(&machine["memory_bytes"]) / 1024.0 / MEBIBYTE,
        text(&machine["system"]),
        text(&machine["architecture"]),
        all["runs"],
        text(&versions["pixmill"]),
        version("sharp", "sharp"),
        version("sharp", "vips"),
        version("sharp", "webp"),
        version("sharp", "node"),
        version("pyvips", "pyvips"),
        version("pyvips", "vips"),
        version("pillow", "pillow"),
        version("pillow", "libjpeg_turbo"),
        version("pillow", "webp"),
        version("pillow", "zlib"),
    );
    for why in list(&all["missing"]) {
        let _ = writeln!(page, "{}\n", text(why));
    }
    for job in list(&all["jobs"]) {
        let _ = writeln!(page, "## {}\n\n{}", text(&job["title"]), tables(job));
    }
    if let Some(costs) = costs(all) {
        let _ = writeln!(page, "{costs}");
    }
    page.push_str(HOW);
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Value {
        let way = |name: &str, processor: f64| {
            json!({"way": name, "processor_s": processor, "wall_s": 1.0, "peak_bytes": MEBIBYTE,
                "bytes": {"low.jpg": 1_000_000}, "faults": []})
        };
        json!({
            "machine": {"processor": "A processor", "cores": 2, "memory_bytes": 1_073_741_824_u64,
                "system": "linux", "architecture": "x86_64"},
            "versions": {"pixmill": "0.1.0", "sharp": {"sharp": "0.35.5"}, "pyvips": null, "pillow": null},
            "runs": 3,
            "missing": ["Pillow is not there: no Python."],
            "jobs": [{"name": "five", "title": "Five", "measured": {
                "pictures": 2, "megapixels": 4.0, "ways": [way("pixmill", 2.0), way("sharp", 5.0)],
                "ratios": [{"ours": "pixmill", "against": "sharp", "processor": 0.4, "wall": 0.6, "peak": 1.0}],
                "bars": [{"ours": "pixmill", "against": "sharp", "processor": [0.4, 0.5], "wall": [0.6, 0.5],
                    "memory": [150.0, 140.0], "memory_unit": "MiB"}],
                "quality": {"low.jpg": {"pixmill": {"bytes": 1_000_000, "ssimulacra2": 71.25, "pixmill_at_worst": null},
                    "sharp": {"bytes": 1_010_000, "ssimulacra2": 71.0, "pixmill_at_worst": -0.125}}},
            }}],
        })
    }

    #[test]
    fn the_page_says_what_was_measured_on_what_and_what_is_missing() {
        let page = page(&sample());
        for part in [
            "A processor, 2 cores, 1 GiB, linux on x86_64. 3 runs",
            "sharp 0.35.5",
            "pyvips not installed",
            "Pillow is not there: no Python.",
            "0.40 (at most 0.50: met)",
            "0.60 (at most 0.50: missed by 20 %)",
            "150 MiB (at most 140: missed by 7 %)",
            "-0.12",
            "A million photos on Lambda",
        ] {
            assert!(page.contains(part), "{part} is not in:\n{page}");
        }
    }

    #[test]
    fn tables_are_as_wide_as_their_widest_cell() {
        let rows = [row(["a", "figure"]), row(["longer", "1"])];
        let expected = "| a      | figure |\n| ------ | -----: |\n| longer |      1 |\n";
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn memory_foretold_too_low_or_too_high_is_counted() {
        let picture = |ratio: f64| json!({"megapixels": 1.0, "foretold_bytes": 1.0, "taken_bytes": 1.0, "ratio": ratio});
        let measured =
            json!({"own_bytes": MEBIBYTE, "pictures": [picture(0.9), picture(1.5), picture(2.1)]});
        assert!(prediction(&measured).contains("2 of 3 are outside"));
    }
}
