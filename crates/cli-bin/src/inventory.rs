//! Lists of a bucket's objects that somebody else made: S3 Inventory reports, and the manifests of S3 Batch
//! Operations, which are also written here.
//!
//! A report is what was there when it was made, up to days ago. So it names sources, and never proves that one
//! is gone.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use pixmill::ports::Etag;
use pixmill_lambda::event::form_decoded;
use serde::Deserialize;

use crate::place::Address;

/// How far above the report's manifest.json its data files are looked for: S3 puts them into `data` beside the
/// folder that is named after the date.
const LEVELS: usize = 3;

/// What stays as it is in a manifest of S3 Batch Operations. A space is written as `%20`, which whoever reads forms
/// and whoever reads URLs take for the same; so is a plus sign as `%2B`.
const IN_MANIFEST: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// One object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) bucket: String,
    /// Decoded.
    pub(crate) key: String,
    /// In bytes, where the list says it.
    pub(crate) size: Option<u64>,
    /// As S3 writes it elsewhere, with quotes; where the list says it.
    pub(crate) etag: Option<Etag>,
}

/// `manifest.json` of an inventory report.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file_format: String,
    file_schema: String,
    files: Vec<DataFile>,
}

#[derive(Deserialize)]
struct DataFile {
    key: String,
    size: u64,
}

/// Which column holds what.
#[derive(Debug, Default, PartialEq, Eq)]
struct Columns {
    bucket: usize,
    key: usize,
    size: Option<usize>,
    etag: Option<usize>,
    is_latest: Option<usize>,
    is_delete_marker: Option<usize>,
    /// How many there are; none where a row may have two or three.
    count: Option<usize>,
}

/// Every object that the file lists, in its order: an inventory's `manifest.json` with the data files that it names
/// beside it, or a manifest of S3 Batch Operations. Old versions and deleted objects are left out.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Row>> {
    let mut start = Vec::new();
    let opened = File::open(file).and_then(|file| file.take(4).read_to_end(&mut start));
    opened.with_context(|| format!("the inventory {} can't be read", file.display()))?;
    let mut rows = Vec::new();
    if file
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let text = std::fs::read(file)?;
        let report: Report = serde_json::from_slice(&text).with_context(|| {
            format!("{} is no manifest.json of an S3 Inventory", file.display())
        })?;
        if report.file_format != "CSV" {
            bail!(
                "{} is an inventory in {}; only CSV is read: choose CSV as the inventory's output format",
                file.display(),
                report.file_format
            );
        }
        let columns = Columns::of(&report.file_schema)
            .with_context(|| format!("in the fileSchema of {}", file.display()))?;
        for data in &report.files {
            read_rows(&found_beside(file, data)?, &columns, &mut rows)?;
        }
    } else {
        for (magic, name) in [(b"PAR1".as_slice(), "Parquet"), (b"ORC", "ORC")] {
            if start.starts_with(magic) {
                bail!(
                    "{} is in {name}; only CSV is read: choose CSV as the inventory's output format",
                    file.display()
                );
            }
        }
        let columns = Columns {
            key: 1,
            ..Columns::default()
        };
        read_rows(file, &columns, &mut rows)?;
    }
    Ok(rows)
}

impl Columns {
    /// Reads `Bucket, Key, VersionId, IsLatest, …`.
    fn of(schema: &str) -> anyhow::Result<Self> {
        let names: Vec<&str> = schema.split(',').map(str::trim).collect();
        let at = |wanted: &str| names.iter().position(|name| *name == wanted);
        let (Some(bucket), Some(key)) = (at("Bucket"), at("Key")) else {
            bail!("there is no Bucket or no Key in {schema:?}");
        };
        Ok(Self {
            bucket,
            key,
            size: at("Size"),
            etag: at("ETag"),
            is_latest: at("IsLatest"),
            is_delete_marker: at("IsDeleteMarker"),
            count: Some(names.len()),
        })
    }
}

/// The data file, which S3 names by its key in the inventory's bucket: below the manifest's folder or one that it
/// lies in, under as much of the key's end as was kept in downloading.
fn found_beside(manifest: &Path, data: &DataFile) -> anyhow::Result<PathBuf> {
    let here = std::path::absolute(manifest)?;
    let parts: Vec<&str> = data.key.split('/').collect();
    if parts.iter().any(|part| matches!(*part, "" | "." | "..")) {
        bail!(
            "{} names a file that can't be: {:?}",
            manifest.display(),
            data.key
        );
    }
    for folder in here.ancestors().skip(1).take(LEVELS) {
        for from in 0..parts.len() {
            let file = parts[from..]
                .iter()
                .fold(folder.to_owned(), |path, part| path.join(part));
            let Ok(about) = file.metadata() else { continue };
            if about.len() == data.size {
                return Ok(file);
            }
            bail!(
                "{} has {} bytes and {} says {}; download it again",
                file.display(),
                about.len(),
                manifest.display(),
                data.size
            );
        }
    }
    bail!(
        "{} names the data file {:?}, which is not there; download it too and put it beside the manifest",
        manifest.display(),
        data.key
    )
}

fn read_rows(file: &Path, columns: &Columns, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let words = || format!("{} can't be read", file.display());
    let mut bytes = BufReader::new(File::open(file).with_context(words)?);
    let is_packed = bytes
        .fill_buf()
        .with_context(words)?
        .starts_with(&[0x1f, 0x8b]);
    let bytes: Box<dyn Read> = if is_packed {
        Box::new(MultiGzDecoder::new(bytes))
    } else {
        Box::new(bytes)
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).with_context(words)? {
        let line = record.position().map_or(0, csv::Position::line);
        let row = row(&record, columns);
        let row = row.with_context(|| format!("{}, line {line}", file.display()))?;
        rows.extend(row);
    }
    Ok(())
}

/// A row as an object; none for what is no object as it is now.
fn row(record: &csv::StringRecord, columns: &Columns) -> anyhow::Result<Option<Row>> {
    match columns.count {
        Some(count) if record.len() != count => {
            bail!(
                "there are {} columns, and the manifest names {count}",
                record.len()
            )
        }
        None if record.len() > 3 => bail!(
            "there are {} columns, and a manifest of S3 Batch Operations has two or three (bucket, key, version); of an \
             S3 Inventory name the manifest.json, which says what its columns are",
            record.len()
        ),
        None if record.len() < 2 => bail!("a row has a bucket and a key"),
        _ => {}
    }
    let says = |column: Option<usize>, word: &str| {
        let value = column.and_then(|column| record.get(column));
        value.is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    if says(columns.is_latest, "false") || says(columns.is_delete_marker, "true") {
        return Ok(None);
    }
    let known = |column: Option<usize>| {
        let value = column.and_then(|column| record.get(column));
        value.filter(|value| !value.is_empty())
    };
    let key = form_decoded(&record[columns.key]);
    let key = key.map_err(|why| {
        anyhow::anyhow!(
            "the key {:?} is not URL-encoded: {why}",
            &record[columns.key]
        )
    })?;
    if record[columns.bucket].is_empty() || key.is_empty() {
        bail!("the bucket or the key is empty");
    }
    Ok(Some(Row {
        bucket: record[columns.bucket].to_owned(),
        key,
        size: known(columns.size).and_then(|size| size.parse().ok()),
        etag: known(columns.etag).map(|etag| Etag::new(format!("\"{}\"", etag.trim_matches('"')))),
    }))
}

/// A manifest of S3 Batch Operations: `bucket,key` for each object, in the order of the keys. All must lie in one
/// bucket, as a job's objects do.
pub(crate) fn batch_manifest(objects: &[Address]) -> anyhow::Result<String> {
    let buckets: BTreeSet<&str> = objects.iter().map(|o| o.bucket.as_str()).collect();
    if buckets.len() > 1 {
        bail!(
            "a job of S3 Batch Operations takes the objects of one bucket, and these lie in {}; plan one bucket at a time",
            buckets.into_iter().collect::<Vec<_>>().join(" and ")
        );
    }
    let mut sorted: Vec<&Address> = objects.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    sorted.dedup();
    let lines = sorted.into_iter().map(|Address { bucket, key }| {
        format!("{bucket},{}\n", percent_encode(key.as_bytes(), IN_MANIFEST))
    });
    Ok(lines.collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use pixmill_lambda::event::{Entry, read as read_event};
    use pixmill_testkit::names::awkward;
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    fn folder() -> TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(text.as_bytes()).expect("memory");
        packed.finish().expect("memory")
    }

    /// A report as S3 lays it out, with one packed data file; the path of its manifest.json.
    fn report(folder: &Path, format: &str, schema: &str, rows: &str) -> PathBuf {
        let (data, dated) = (
            folder.join("daily/data"),
            folder.join("daily/2026-11-01T01-00Z"),
        );
        for folder in [&data, &dated] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let bytes = packed(rows);
        std::fs::write(data.join("x.csv.gz"), &bytes).expect("a file");
        let manifest = json!({
            "sourceBucket": "uploads", "version": "2016-11-30", "fileFormat": format, "fileSchema": schema,
            "files": [{ "key": "lists/uploads/daily/data/x.csv.gz", "size": bytes.len() }],
        });
        let file = dated.join("manifest.json");
        std::fs::write(&file, manifest.to_string()).expect("a file");
        file
    }

    fn failure(file: &Path) -> String {
        format!("{:#}", read(file).expect_err("it is refused"))
    }

    #[test]
    fn a_report_is_read_by_the_columns_that_its_manifest_names() {
        let folder = folder();
        let schema =
            "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag";
        let rows = "\"uploads\",\"a%2Bb+c%20d.jpg\",\"v2\",\"true\",\"false\",\"17\",\"2026-10-31T00:00:00.000Z\",\"0cc1\"\n\
                    \"uploads\",\"a%2Bb+c%20d.jpg\",\"v1\",\"false\",\"false\",\"16\",\"2026-10-30T00:00:00.000Z\",\"0cc0\"\n\
                    \"uploads\",\"gone.jpg\",\"v3\",\"true\",\"true\",\"\",\"2026-10-31T00:00:00.000Z\",\"\"\n";
        let file = report(folder.path(), "CSV", schema, rows);
        let expected = Row {
            bucket: "uploads".to_owned(),
            key: "a+b c d.jpg".to_owned(),
            size: Some(17),
            etag: Some(Etag::new("\"0cc1\"")),
        };
        assert_eq!(read(&file).expect("a report"), [expected]);
    }

    #[test]
    fn a_data_file_that_is_missing_or_cut_short_is_named() {
        let folder = folder();
        let file = report(folder.path(), "CSV", "Bucket, Key", "uploads,a.jpg\n");
        let data = folder.path().join("daily/data/x.csv.gz");
        let bytes = std::fs::read(&data).expect("a file");
        std::fs::write(&data, &bytes[1..]).expect("a file");
        assert!(
            failure(&file).contains("download it again"),
            "{}",
            failure(&file)
        );
        std::fs::remove_file(&data).expect("a file");
        assert!(failure(&file).contains("x.csv.gz"), "{}", failure(&file));
    }

    #[test]
    fn other_formats_are_refused_with_the_one_to_choose() {
        let folder = folder();
        let file = report(folder.path(), "Parquet", "message s3.inventory {}", "");
        assert!(failure(&file).contains("choose CSV"), "{}", failure(&file));
        let data = folder.path().join("x.orc");
        std::fs::write(&data, "ORC and more").expect("a file");
        assert!(failure(&data).contains("choose CSV"), "{}", failure(&data));
        let rows = folder.path().join("rows.csv");
        std::fs::write(&rows, "uploads,a.jpg,v,true,false,17\n").expect("a file");
        assert!(
            failure(&rows).contains("manifest.json"),
            "{}",
            failure(&rows)
        );
    }

    #[test]
    fn a_key_that_is_not_encoded_is_refused_with_its_line() {
        let folder = folder();
        let file = folder.path().join("rows.csv");
        std::fs::write(&file, "uploads,a.jpg\nuploads,100%.jpg\n").expect("a file");
        assert!(failure(&file).contains("line 2"), "{}", failure(&file));
    }

    #[test]
    fn what_is_emitted_reaches_the_function_and_this_command_as_the_same_keys() {
        let folder = folder();
        let mut keys = awkward();
        let objects = |keys: &[String]| -> Vec<Address> {
            let address = |key: &String| Address {
                bucket: "uploads".to_owned(),
                key: key.clone(),
            };
            keys.iter().map(address).collect()
        };
        let manifest = batch_manifest(&objects(&keys)).expect("one bucket");
        keys.reverse();
        assert_eq!(
            batch_manifest(&objects(&keys)).expect("one bucket"),
            manifest
        );
        keys.sort();
        keys.dedup();
        let lines: Vec<&str> = manifest.split_terminator('\n').collect();
        assert_eq!(lines.len(), keys.len());
        for (line, key) in lines.iter().zip(&keys) {
            let (bucket, encoded) = line.split_once(',').expect("two columns");
            assert_eq!(bucket, "uploads");
            let task = json!({ "taskId": "t", "s3Key": encoded, "s3VersionId": null, "s3BucketArn": "arn:aws:s3:::uploads" });
            let payload = json!({ "invocationSchemaVersion": "1.0", "invocationId": "i", "job": { "id": "j" }, "tasks": [task] });
            let delivery = read_event(&payload);
            match &delivery.messages[0].entries[0] {
                Ok(Entry::Object(event)) => assert_eq!(event.key, *key),
                other => panic!("{key:?}: {other:?}"),
            }
        }
        let file = folder.path().join("manifest.csv");
        std::fs::write(&file, &manifest).expect("a file");
        let read: Vec<String> = read(&file)
            .expect("rows")
            .into_iter()
            .map(|row| row.key)
            .collect();
        assert_eq!(read, keys);
    }

    #[test]
    fn two_buckets_make_no_manifest() {
        let objects = ["one", "two"].map(|bucket| Address {
            bucket: bucket.to_owned(),
            key: "a.jpg".to_owned(),
        });
        let words = batch_manifest(&objects)
            .expect_err("two buckets")
            .to_string();
        assert!(words.contains("one and two"), "{words}");
    }
}
