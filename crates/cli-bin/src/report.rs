//! `--report`: a contact sheet, one HTML page of every source with what became of it.
//!
//! The page is `report.html` around one block of JSON, which its script shows. Nothing but the
//! measured times differs between two runs that find and do the same.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use pixmill::Recipe;
use pixmill::image::{Format, Part, shown};
use pixmill::manifest::{Manifest, VariantRecord};
use pixmill::outcome::Outcome;
use pixmill::recipe::{OrientationRule, Variant};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::place::Place;

const PAGE: &str = include_str!("report.html");
const STYLE: &str = include_str!("report.css");
const SCRIPT: &str = include_str!("report.js");

/// How every contact sheet begins: nothing else is ever replaced by one.
const MARK: &str = "<!doctype html>\n<!-- A contact sheet, made by Pixmill -->\n";

/// What stays as it is in a path's URL.
const IN_URLS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// One input and what became of it.
pub(crate) struct Entry<'a> {
    /// What people call it: its path, as a rule.
    pub(crate) name: &'a str,
    /// Its size in bytes, where it was looked at.
    pub(crate) bytes: Option<u64>,
    pub(crate) outcome: &'a Outcome,
    /// Of what is in place: of a picture that is done or unchanged.
    pub(crate) manifest: Option<&'a Manifest>,
    /// How long it took; none where nothing was done.
    pub(crate) milliseconds: Option<u64>,
}

/// How the page finds renditions.
enum Links {
    /// In this folder, without links.
    To(PathBuf),
    /// Behind this text, in URLs.
    Behind(String),
    /// Not at all: no page can read a bucket.
    Nowhere,
}

/// The contact sheet of a run.
pub(crate) struct Sheet {
    file: PathBuf,
    /// Where the page will lie, without links: its URLs begin here.
    folder: PathBuf,
    output: Links,
    recipe: Recipe,
    /// Absolute folders of sources, without links, by the way they were spelled.
    folders: BTreeMap<PathBuf, Option<PathBuf>>,
    /// By name and then in the order in which they came.
    sources: BTreeMap<(String, usize), Value>,
}

/// Refuses a file that can't become a contact sheet: one that is there and is none.
pub(crate) fn check(file: &Path) -> anyhow::Result<()> {
    if file.as_os_str() == "-" {
        bail!("the contact sheet refers to files by where it lies; name a file for --report");
    }
    if file.file_name().is_none() || file.is_dir() {
        bail!(
            "{} is a folder; name a file for --report, such as {}",
            file.display(),
            file.join("index.html").display()
        );
    }
    if file.exists() && !is_sheet(file) {
        bail!(
            "{} is there already and is no contact sheet, so it is not replaced; move it away, or choose another name for --report",
            file.display()
        );
    }
    Ok(())
}

/// Whether a contact sheet of ours lies there.
pub(crate) fn is_sheet(file: &Path) -> bool {
    let mut start = Vec::new();
    let length = MARK.len() as u64;
    file.is_file()
        && std::fs::File::open(file)
            .and_then(|file| file.take(length).read_to_end(&mut start))
            .is_ok()
        && start == MARK.as_bytes()
}

impl Sheet {
    /// A sheet that will be written to `file`, of a run that writes to `output`; `base` stands before the
    /// keys of a bucket's renditions.
    pub(crate) fn new(
        file: &Path,
        output: &Place,
        base: &str,
        recipe: &Recipe,
    ) -> anyhow::Result<Self> {
        check(file)?;
        let real = |path: &Path| {
            let path = std::path::absolute(path)?;
            Ok::<_, std::io::Error>(resolved(&path))
        };
        let folder = file.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        Ok(Self {
            file: file.to_owned(),
            folder: real(folder).with_context(|| format!("{} has no place", file.display()))?,
            output: match output {
                Place::Folder(folder) => {
                    let real = real(folder);
                    Links::To(real.with_context(|| format!("{output} has no place"))?)
                }
                Place::Bucket(_) if base.is_empty() => Links::Nowhere,
                Place::Bucket(_) => Links::Behind(base.to_owned()),
            },
            recipe: recipe.clone(),
            folders: BTreeMap::new(),
            sources: BTreeMap::new(),
        })
    }

    /// Whether `path` is the sheet's own file, left by an earlier run.
    pub(crate) fn is_own_file(&self, path: &Path) -> bool {
        let same_name = path.file_name() == self.file.file_name();
        same_name
            && path
                .canonicalize()
                .is_ok_and(|path| self.file.canonicalize().is_ok_and(|own| own == path))
    }

    /// Takes in one more input.
    pub(crate) fn add(&mut self, entry: &Entry<'_>) {
        let mut source = Map::new();
        source.insert("name".to_owned(), json!(entry.name));
        source.insert("outcome".to_owned(), json!(entry.outcome.word()));
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                source.insert(name.to_owned(), value);
            }
        };
        add("href", json!(self.href_of_source(entry.name)));
        add("bytes", json!(entry.bytes));
        add("code", json!(entry.outcome.code()));
        if let Some(error) = entry.outcome.error() {
            add("stage", json!(error.stage().name()));
            add("message", json!(error.cause().to_string()));
        }
        if let Outcome::Skipped(reason) = entry.outcome {
            add("message", json!(reason.to_string()));
        }
        add("milliseconds", json!(entry.milliseconds));
        if let Some(manifest) = entry.manifest {
            let known = &manifest.source;
            add("bytes", json!(known.bytes));
            add("format", json!(known.format.to_string()));
            add("width", json!(known.width));
            add("height", json!(known.height));
            if known.frames > 1 {
                add("frames", json!(known.frames));
            }
            if !browsers_show(known.format) {
                add("hidden", json!(true));
            }
            let placeholder = known.placeholder.as_ref();
            add("color", json!(placeholder.and_then(|p| p.color.as_ref())));
            add(
                "focus",
                json!(known.focus_point.map(|point| [point.x(), point.y()])),
            );
            let renditions = self.recipe.variants.iter().enumerate();
            let renditions = renditions.filter_map(|(index, variant)| {
                let record = manifest.variants.iter().find(|v| v.name == variant.name)?;
                Some(self.rendition(index, variant, record, manifest))
            });
            add("renditions", renditions.collect());
            if !manifest.warnings.is_empty() {
                add("warnings", json!(manifest.warnings));
            }
        }
        let place = (entry.name.to_owned(), self.sources.len());
        self.sources.insert(place, Value::Object(source));
    }

    fn rendition(
        &self,
        index: usize,
        variant: &Variant,
        record: &VariantRecord,
        manifest: &Manifest,
    ) -> Value {
        let Some(made) = &record.rendition else {
            return json!({
                "variant": index, "skipped": record.skipped, "deferred": record.deferred,
            });
        };
        let mut rendition = json!({
            "variant": index,
            "href": match &self.output {
                Links::To(folder) => self.href(&folder.join(&made.key)),
                Links::Behind(base) => Some(format!("{base}{}", percent_encode(made.key.as_bytes(), IN_URLS))),
                Links::Nowhere => None,
            },
            "type": made.content_type,
            "width": made.width,
            "height": made.height,
            "bytes": made.bytes,
        });
        if let Some(quality) = made.quality {
            rendition["quality"] = json!(quality);
        }
        match shown(&self.recipe, variant, &manifest.source, made) {
            None => rendition["unplaced"] = json!(true),
            Some(shown) => {
                if shown.source != Part::WHOLE {
                    rendition["part"] = numbers(shown.source);
                }
                if shown.rendition != Part::WHOLE {
                    rendition["on"] = numbers(shown.rendition);
                }
                if let Some((x, y)) = shown.focus {
                    rendition["focus"] = json!([short(x), short(y)]);
                }
            }
        }
        rendition
    }

    /// The URL of the source of this name, where that is a file.
    fn href_of_source(&mut self, name: &str) -> Option<String> {
        let path = Path::new(name);
        let file = path.file_name().filter(|_| path.is_file())?;
        let folder = path.parent()?.to_owned();
        let real = self.folders.entry(folder).or_insert_with_key(|folder| {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            folder.canonicalize().ok()
        });
        let path = real.as_ref()?.join(file);
        self.href(&path)
    }

    /// The way from the page to `path` (absolute, without links) as a URL; none where there is none,
    /// as between two drives.
    fn href(&self, path: &Path) -> Option<String> {
        let (from, to): (Vec<_>, Vec<_>) = (
            self.folder.components().collect(),
            path.components().collect(),
        );
        let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let is_a_way = |part: &Component<'_>| matches!(part, Component::Normal(_));
        if !from[common..].iter().chain(&to[common..]).all(is_a_way) {
            return None;
        }
        let mut url = "../".repeat(from.len() - common);
        let below: Vec<String> = to[common..]
            .iter()
            .map(|part| {
                let bytes = part.as_os_str().as_encoded_bytes();
                percent_encode(bytes, IN_URLS).to_string()
            })
            .collect();
        url += &below.join("/");
        Some(url)
    }

    /// Writes the page: as a whole, and only where nothing or an older sheet lies.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        check(&self.file)?;
        let words = || format!("the contact sheet {} can't be written", self.file.display());
        std::fs::create_dir_all(&self.folder).with_context(words)?;
        pixmill_local::replace_file(&self.file, self.page().as_bytes()).with_context(words)
    }

    fn page(&self) -> String {
        let variants: Vec<Value> = self
            .recipe
            .variants
            .iter()
            .map(|variant| {
                json!({
                    "name": variant.name,
                    "format": variant.format,
                    "quality": variant.encoder_quality(),
                    "width": variant.width,
                    "height": variant.height,
                    "fit": variant.fit,
                    "focus": variant.focus,
                })
            })
            .collect();
        let data = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "unturned": self.recipe.source.orientation == OrientationRule::Ignore,
            "variants": variants,
            "sources": self.sources.values().collect::<Vec<_>>(),
        });
        // No `<` is left that could end the block or begin a comment.
        let data = data.to_string().replace('<', "\\u003c");
        let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
        let images = match &self.output {
            Links::Behind(base) => origin(base).map(|origin| format!(" {origin}")),
            _ => None,
        };
        let page = PAGE
            .replace("{{images}}", &images.unwrap_or_default())
            .replace("{{style-digest}}", &digest(STYLE))
            .replace("{{script-digest}}", &digest(SCRIPT))
            .replace("{{style}}", STYLE)
            .replace("{{script}}", SCRIPT);
        // Last, so that nothing in it is taken for a place to fill.
        let (before, after) = page.split_once("{{data}}").expect("the page has a place");
        format!("{MARK}{before}{data}{after}")
    }
}

/// Formats that every browser shows; of the rest, a rendition stands in.
fn browsers_show(format: Format) -> bool {
    use Format::{Bmp, Gif, Ico, Jpeg, Png, Webp};
    matches!(format, Jpeg | Png | Webp | Gif | Bmp | Ico)
}

/// `https://host:port` of a URL, if it has one that can stand in a policy as it is.
fn origin(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    host.chars()
        .all(is_plain)
        .then(|| &url[..url.len() - rest.len() + host.len()])
}

fn numbers(part: Part) -> Value {
    json!([part.left, part.top, part.width, part.height].map(short))
}

/// To a millionth: finer than a pixel of anything that is shown.
fn short(share: f64) -> f64 {
    (share * 1e6).round() / 1e6
}

/// `path` (absolute) without the links and dots in as much of it as is there.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let Ok(real) = ancestor.canonicalize() {
            let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
            return real.join(rest);
        }
    }
    path.to_owned()
}
