//! Folders as nobody would lay them out: names that meet, differ by case, are too long or no text at all;
//! what can't be read; and very many of them. Each is told once, and nothing is written but the output.
//!
//! `PIXMILL_LONG=1` converts hundreds of trees, and one folder of 100,000 files.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use pixmill::Recipe;
use pixmill::plan::{Action, Candidate, Item};
use pixmill::ports::Listed;
use pixmill::process::{Foreign, ProcessOptions, Processor};
use pixmill_local::{FolderStore, Kind, walk};
use pixmill_testkit::pictures::{Drawing, photo};
use serde_json::Value;

use super::{code, files, pixmill, stderr, stdout, temporary, times, without_privileges};

/// One pixel, and no two files alike.
fn pixel(number: usize) -> Vec<u8> {
    let number = u32::try_from(number).expect("few files").to_be_bytes();
    [b"P6 1 1 255\n", &number[1..]].concat()
}

/// Numbers that look random and are the same on every run (Marsaglia's xorshift with 64 bits).
struct Dice(u64);

impl Dice {
    fn of(seed: usize) -> Self {
        let seed = u64::try_from(seed).expect("a small seed");
        Self((seed + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let sides = u64::try_from(sides.max(1)).expect("few sides");
        usize::try_from(self.0 % sides).expect("less than the sides")
    }

    fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.roll(choices.len())]
    }
}

/// Names that meet under one template or another, with and without regard to case.
const NAMES: [&str; 26] = [
    "a",
    "A",
    "a.jpg",
    "A.jpg",
    "a.JPG",
    "a.png",
    "a.jpg.jpg",
    "a-small.png",
    "small.png",
    "small",
    "Small",
    "manifest.json",
    "manifest",
    "failed",
    "s.png",
    "\u{e9}.png",
    "e\u{301}.png",
    "\u{c9}.png",
    "stra\u{df}e.png",
    "STRASSE.png",
    "\u{3b1}\u{3c3}.png",
    "\u{391}\u{3a3}.png",
    "\u{3b1}\u{3c2}.png",
    "..x",
    "k.png",
    "\u{212a}.png",
];

const KEYS: [&str; 9] = [
    "{path}/{variant}.{ext}",
    "{dir}{stem}.{ext}",
    "{stem}/{variant}.{ext}",
    "{dir}{stem}-{variant}.{ext}",
    "{variant}/{stem}.{ext}",
    "{stem}",
    "{path}.{ext}",
    "{dir}{variant}.{ext}",
    "{dir}{variant}",
];

fn recipe_text(key: &str) -> String {
    format!(
        "version = 1
[output]
key = {}
manifest = \"{{path}}/manifest.json\"
failed = \"failed/{{path}}.json\"
[[variant]]
name = \"small\"
format = \"png\"
",
        Value::from(key)
    )
}

/// A folder with up to twelve files from [`NAMES`], up to three folders deep.
fn grow(root: &Path, dice: &mut Dice) {
    for number in 0..2 + dice.roll(11) {
        let mut path = root.to_owned();
        for _ in 0..dice.roll(3) {
            path.push(dice.one_of(&NAMES));
        }
        path.push(dice.one_of(&NAMES));
        // A file may be where a folder should be, or the other way round.
        if fs::create_dir_all(path.parent().expect("a parent")).is_ok() && !path.exists() {
            fs::write(path, pixel(number)).expect("a file");
        }
    }
}

fn folded(key: &str, fold_case: bool) -> String {
    if fold_case {
        // In full, and by letter: a Greek word's last letter must not depend on what follows it.
        let upper = key.chars().flat_map(char::to_uppercase);
        upper.flat_map(char::to_lowercase).collect()
    } else {
        key.to_owned()
    }
}

fn ancestors(key: &str) -> impl Iterator<Item = &str> {
    key.match_indices('/').map(|(slash, _)| &key[..slash])
}

/// Whether one of the two would write what the other one writes, or needs as a folder.
fn meet(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    let through = |these: &BTreeSet<String>, those: &BTreeSet<String>| {
        let mut paths = these.iter().flat_map(|key| ancestors(key));
        paths.any(|path| those.contains(path))
    };
    !one.is_disjoint(other) || through(one, other) || through(other, one)
}

/// The plan for a tree whose output is another folder, or the tree itself.
fn planned(
    root: &Path,
    out: &Path,
    key: &str,
    fold_case: bool,
    force: bool,
) -> (Recipe, Vec<Item>) {
    let recipe = Recipe::from_toml(&recipe_text(key)).expect("a recipe");
    let sources = Arc::new(FolderStore::open(root).expect("a folder"));
    let candidates = walk(root, Some(out))
        .expect("a folder")
        .filter_map(|entry| {
            let Kind::File { size, etag } = entry.kind else {
                return None;
            };
            Some(Candidate {
                name: entry.key.clone(),
                key_in_output: (root == out).then(|| entry.key.clone()),
                listed: Listed {
                    key: entry.key,
                    size,
                    etag,
                },
                sources: sources.clone(),
                named: false,
            })
        });
    let output = Arc::new(FolderStore::open_lazily(out).expect("a place"));
    let options = ProcessOptions {
        foreign: Foreign::Refuse,
        force,
        ..ProcessOptions::default()
    };
    let processor = Processor::new(output.clone(), output, recipe.clone()).with_options(options);
    let plan = processor.plan(candidates.collect(), fold_case);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let plan = runtime.expect("a runtime").block_on(plan);
    (recipe, plan.expect("a plan").items)
}

#[test]
fn no_two_sources_of_a_thousand_trees_are_planned_into_one_place_nor_any_onto_an_input() {
    let (mut writing, mut colliding, mut refused) = (0, 0, 0);
    for seed in 0..1000 {
        let mut dice = Dice::of(seed);
        let folder = temporary();
        let root = folder.path().join("in");
        grow(&root, &mut dice);
        let out = match dice.roll(3) {
            0 => root.clone(),
            _ => folder.path().join("out"),
        };
        let (key, fold_case) = (dice.one_of(&KEYS), dice.roll(2) == 0);
        let force = dice.roll(2) == 0;
        let (recipe, items) = planned(&root, &out, key, fold_case, force);
        let keys: Vec<BTreeSet<String>> = items
            .iter()
            .map(|item| {
                let source = &item.candidate.listed.key;
                let mut keys = recipe.early_keys(source).expect("no size in it");
                keys.push(recipe.output.manifest_key(source));
                keys.push(recipe.output.failed_key(source));
                keys.iter().map(|key| folded(key, fold_case)).collect()
            })
            .collect();
        let told = |at: usize| format!("tree {seed}, {key}: {:?}", items[at].candidate.name);
        for (at, item) in items.iter().enumerate() {
            let partners =
                || (0..items.len()).filter(|other| *other != at && meet(&keys[at], &keys[*other]));
            match &item.action {
                Action::Create => {
                    writing += 1;
                    let folders: Vec<_> = keys[at].iter().flat_map(|key| ancestors(key)).collect();
                    assert!(
                        !folders.iter().any(|a| keys[at].contains(*a)),
                        "{} meets itself",
                        told(at)
                    );
                    for other in partners() {
                        assert!(
                            !items[other].action.renders(),
                            "{} and {}",
                            told(at),
                            told(other)
                        );
                    }
                    for input in items
                        .iter()
                        .filter_map(|i| i.candidate.key_in_output.as_ref())
                    {
                        let input = folded(input, fold_case);
                        let hit =
                            |key: &String| *key == input || ancestors(key).any(|a| a == input);
                        assert!(
                            !keys[at].iter().any(hit),
                            "{} goes onto {input:?}",
                            told(at)
                        );
                    }
                }
                Action::Collision(_) => {
                    colliding += 1;
                    let with_itself = keys[at]
                        .iter()
                        .flat_map(|key| ancestors(key))
                        .any(|a| keys[at].contains(a));
                    assert!(
                        with_itself || partners().next().is_some(),
                        "{} meets nobody",
                        told(at)
                    );
                }
                Action::Refused(error) => {
                    refused += 1;
                    assert_eq!(root, out, "{}: {error}", told(at));
                }
                other => panic!("{}: {}", told(at), other.word()),
            }
        }
    }
    // Each kind was really there.
    println!("{writing} would be written, {colliding} collide, {refused} would go onto an input");
    assert!(writing > 2000 && colliding > 500 && refused > 200);
}

/// What lies below a folder, links as what they say, without what is in `except`.
fn everything(root: &Path, except: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
            let bytes = if path == except {
                continue;
            } else if kind.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).expect("a link");
                target.into_os_string().into_vec()
            } else if kind.is_file() {
                fs::read(&path).expect("a file")
            } else {
                b"something else".to_vec()
            };
            found.insert(path, bytes);
        }
    }
    found
}

/// The lines of `convert --json`: what became of every path, as it is shown, and how often it was told; and the
/// exit code.
struct Told {
    outcomes: BTreeMap<String, Vec<String>>,
    code: i32,
}

fn told(command: &mut Command) -> Told {
    let output = command.output().expect("the command starts");
    let text = stdout(&output);
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let summary = lines.pop();
    let summary = summary.unwrap_or_else(|| panic!("no summary: {}", stderr(&output)));
    assert_eq!(summary["inputs"], lines.len(), "{summary}");
    let mut outcomes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in &lines {
        let word = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        outcomes
            .entry(word("path"))
            .or_default()
            .push(word("outcome"));
    }
    Told {
        outcomes,
        code: code(&output),
    }
}

fn converting(input: &Path, out: &Path, recipe: &Path) -> Command {
    let mut command = pixmill();
    command.arg("convert").arg(input).arg("-o").arg(out);
    command.args(["--json", "--quiet", "--recipe"]).arg(recipe);
    command
}

/// Every path that must be told, as it is shown: what is no folder, and folders of a hidden name in one.
fn expected_paths(root: &Path) -> BTreeMap<String, usize> {
    let is_hidden = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with('.'))
    };
    let mut paths = BTreeMap::new();
    for path in everything(root, Path::new("")).keys() {
        let mut above = path.ancestors().skip(1).take_while(|above| *above != root);
        if (is_hidden(path) || !path.is_dir()) && !above.any(is_hidden) {
            *paths.entry(path.display().to_string()).or_default() += 1;
        }
    }
    paths
}

fn assert_told_once(told: &Told, root: &Path) {
    let found: BTreeMap<String, usize> = told
        .outcomes
        .iter()
        .map(|(path, outcomes)| (path.clone(), outcomes.len()))
        .collect();
    assert_eq!(found, expected_paths(root), "{}", root.display());
}

/// Every file of the output belongs to a complete manifest of a source that was done, or records a failure.
fn assert_nothing_stray(out: &Path, done: usize) {
    if !out.exists() {
        return assert_eq!(done, 0);
    }
    let mut there = files(out);
    there.retain(|key, _| !key.starts_with(".pixmill/"));
    let manifests: BTreeMap<String, Value> = there
        .iter()
        .filter_map(|(key, bytes)| Some((key.clone(), serde_json::from_slice(bytes).ok()?)))
        .filter(|(_, record): &(_, Value)| record["state"] == "complete")
        .collect();
    assert_eq!(manifests.len(), done, "{}", out.display());
    for (key, manifest) in manifests {
        there.remove(&key);
        for variant in manifest["variants"].as_array().expect("variants") {
            let rendition = variant["rendition"]["key"].as_str().expect("a key");
            assert!(there.remove(rendition).is_some(), "{rendition} is missing");
        }
    }
    there.retain(|key, _| !key.starts_with("failed/"));
    let nobodys = there
        .iter()
        .map(|(key, bytes)| (key, String::from_utf8_lossy(bytes)));
    assert!(
        there.is_empty(),
        "nobody's: {:#?}",
        nobodys.collect::<Vec<_>>()
    );
}

#[test]
fn whatever_a_tree_is_like_each_file_is_told_once_and_nothing_is_written_beside_the_output() {
    for seed in 0..times(40, 1000) {
        let mut dice = Dice::of(usize::try_from(seed).expect("a small seed") + 5000);
        let folder = temporary();
        let (root, out) = (folder.path().join("in"), folder.path().join("out"));
        grow(&root, &mut dice);
        let recipe = folder.path().join("recipe.toml");
        fs::write(&recipe, recipe_text(dice.one_of(&KEYS))).expect("a recipe");
        let before = everything(folder.path(), &out);
        let first = told(&mut converting(&root, &out, &recipe));
        assert_told_once(&first, &root);
        let count = |told: &Told, word: &str| {
            let all = told.outcomes.values().flatten();
            all.filter(|outcome| *outcome == word).count()
        };
        assert_eq!(
            first.code,
            i32::from(count(&first, "rejected") > 0),
            "tree {seed}"
        );
        assert_nothing_stray(&out, count(&first, "done"));
        // Where everything collides, nothing is written.
        fs::create_dir_all(&out).expect("a folder");
        let made = files(&out);
        let second = told(&mut converting(&root, &out, &recipe));
        assert_eq!(
            count(&second, "unchanged"),
            count(&first, "done"),
            "tree {seed}"
        );
        assert!(
            files(&out) == made,
            "tree {seed}: the second run changed something"
        );
        assert!(
            everything(folder.path(), &out) == before,
            "tree {seed}: not the output alone"
        );
    }
}

/// Five hundred names of every kind that a Linux folder takes; the first few are known troublemakers.
fn hostile_names() -> BTreeSet<OsString> {
    let digest = "0123456789abcdef".repeat(2);
    let known = [
        "-rf",
        "--help",
        " ",
        "a ",
        " a",
        "...",
        "..x",
        "x..",
        "~",
        "*",
        "?",
        "%",
        "%2F",
        "%2e%2e",
        "a%0Ab",
        "a\nb",
        "a\r\nb",
        "\u{1b}[31m.png",
        "\u{202e}gnp.exe",
        "\u{feff}.png",
        "\u{200b}",
        "con",
        "nul.png",
        "C:",
        "a\\b",
        "..\\..\\x",
        "\"",
        "'",
        "`id`",
        "$(id)",
        "{path}",
        "{variant}",
        "manifest.json",
        "failed",
        "😀.png",
        "\u{7f}",
    ];
    let mut names: BTreeSet<OsString> = known.iter().map(OsString::from).collect();
    names.insert(format!("a~{digest}.png").into());
    names.insert(format!("~{digest}").into());
    names.insert("x".repeat(255).into());
    names.insert(("x".repeat(251) + ".png").into());
    names.insert("é".repeat(127).into());
    names.insert("\u{1}".repeat(255).into());
    names.insert("%41".repeat(85).into());
    let pieces: [&[u8]; 16] = [
        b"a",
        b".",
        b"..",
        b"%",
        b"%2F",
        b"\xff",
        b"\xc3",
        "\u{e9}".as_bytes(),
        b"\n",
        b"\\",
        b"~",
        b" ",
        b"\"",
        "\u{2028}".as_bytes(),
        b".png",
        b"0123456789abcdef",
    ];
    let mut dice = Dice::of(7);
    while names.len() < 500 {
        let mut name = Vec::new();
        for _ in 0..=dice.roll(24) {
            name.extend(dice.one_of(&pieces));
        }
        name.truncate(255);
        if !matches!(name.as_slice(), b"." | b"..") {
            names.insert(OsString::from_vec(name));
        }
    }
    names
}

#[test]
fn five_hundred_hostile_names_are_told_once_each_and_stay_below_the_output() {
    let folder = temporary();
    let input = folder.path().join("in");
    fs::create_dir(&input).expect("a folder");
    let names = hostile_names();
    let (mut pictures, mut hidden) = (0, 0);
    for (number, name) in names.iter().enumerate() {
        fs::write(input.join(name), pixel(number)).expect("a file");
        if name.as_bytes().starts_with(b".") && name.to_str().is_some() {
            hidden += 1;
        } else if name.to_str().is_some() {
            pictures += 1;
        }
    }
    assert_eq!(names.len(), 500);
    for (number, key) in [
        "{path}/{variant}.{ext}",
        "{path}.{ext}",
        "x/{variant}/{path}",
    ]
    .iter()
    .enumerate()
    {
        let out = folder.path().join(format!("out-{number}"));
        let recipe = folder.path().join("recipe.toml");
        fs::write(&recipe, recipe_text(key)).expect("a recipe");
        let before = everything(folder.path(), &out);
        let told = told(&mut converting(&input, &out, &recipe));
        assert_told_once(&told, &input);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for outcome in told.outcomes.values().flatten() {
            *counts.entry(outcome).or_default() += 1;
        }
        let rejected = names.len() - pictures - hidden;
        let expected = BTreeMap::from([
            ("done", pictures),
            ("rejected", rejected),
            ("skipped", hidden),
        ]);
        assert_eq!((counts, told.code), (expected, 1), "{key}");
        assert_nothing_stray(&out, pictures);
        assert!(
            everything(folder.path(), &out) == before,
            "{key}: not the output alone"
        );
        fs::remove_dir_all(&out).expect("an output");
    }
}

#[test]
fn five_hundred_hostile_templates_are_refused_or_stay_below_the_output() {
    let pieces = [
        "..",
        ".",
        "/",
        "//",
        "\\",
        "~",
        "{path}",
        "{dir}",
        "{stem}",
        "{variant}",
        "{ext}",
        "{hash}",
        "{width}",
        "{",
        "}",
        "{}",
        "{nope}",
        "a",
        "manifest.json",
        "failed",
        "\n",
        "\u{0}",
        "%2e",
        "C:",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    let mut dice = Dice::of(11);
    let names: Vec<String> = hostile_names()
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    let folder = temporary();
    let input = folder.path().join("in");
    grow(&input, &mut Dice::of(3));
    let (mut accepted, mut converted) = (0, 0);
    for number in 0..500 {
        let key: String = (0..=dice.roll(9)).map(|_| dice.one_of(&pieces)).collect();
        let text = recipe_text(&key);
        let Ok(recipe) = Recipe::from_toml(&text) else {
            continue;
        };
        accepted += 1;
        let variant = &recipe.variants[0];
        for name in &names {
            for source in [
                name.clone(),
                format!("../../{name}"),
                format!("/{name}"),
                format!("{name}/.."),
            ] {
                let made = recipe.key(variant, &source, (3, 2), &"0123456789abcdef".repeat(4));
                let parts = Path::new(&made).components();
                let names = parts.filter(|part| matches!(part, std::path::Component::Normal(_)));
                assert_eq!(
                    names.count(),
                    made.split('/').count(),
                    "{key:?} makes {made:?} of {source:?}"
                );
            }
        }
        if accepted % times(10, 1) != 0 {
            continue;
        }
        converted += 1;
        let (out, recipe) = (
            folder.path().join(format!("out-{number}")),
            folder.path().join("recipe.toml"),
        );
        fs::write(&recipe, text).expect("a recipe");
        let before = everything(folder.path(), &out);
        assert_told_once(&told(&mut converting(&input, &out, &recipe)), &input);
        assert!(
            everything(folder.path(), &out) == before,
            "{key:?}: not the output alone"
        );
        if out.exists() {
            fs::remove_dir_all(&out).expect("an output");
        }
    }
    println!("{accepted} of 500 were accepted, {converted} were run");
    assert!((20..480).contains(&accepted), "{accepted}");
}

#[test]
fn an_output_with_links_out_of_it_is_written_through_the_one_that_was_named_and_no_other() {
    let folder = temporary();
    let at = |name: &str| folder.path().join(name);
    for name in ["in", "real", "elsewhere"] {
        fs::create_dir(at(name)).expect("a folder");
    }
    symlink("real", at("out")).expect("a link");
    for (number, name) in ["a.png", "b.png", "c.png"].iter().enumerate() {
        fs::write(at("in").join(name), pixel(number)).expect("a file");
    }
    // Planted: a folder of renditions and a rendition that lead elsewhere.
    symlink(at("elsewhere"), at("real/a.png")).expect("a link");
    fs::create_dir(at("real/b.png")).expect("a folder");
    fs::write(at("elsewhere/precious"), "theirs").expect("a file");
    symlink(at("elsewhere/precious"), at("real/b.png/small.png")).expect("a link");
    fs::write(at("recipe.toml"), recipe_text(KEYS[0])).expect("a recipe");
    let mut command = converting(&at("in"), &at("out"), &at("recipe.toml"));
    let told = told(&mut command);
    assert_told_once(&told, &at("in"));
    let outcome = |name: &str| told.outcomes[&at("in").join(name).display().to_string()][0].clone();
    assert_ne!(outcome("a.png"), "done");
    assert_eq!((outcome("c.png"), told.code), ("done".to_owned(), 1));
    assert!(at("real/c.png/small.png").is_file());
    let elsewhere = files(&at("elsewhere"));
    assert_eq!(
        elsewhere,
        BTreeMap::from([("precious".to_owned(), b"theirs".to_vec())])
    );
}

#[test]
fn what_may_not_be_read_is_an_error_of_its_own_and_hides_nothing_else() {
    let folder = temporary();
    let at = |name: &str| folder.path().join(name);
    let mode = |name: &str, mode: u32| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(at(name), mode).expect("its owner may");
    };
    fs::create_dir_all(at("in/closed/below")).expect("a folder");
    fs::create_dir_all(at("in/names-only")).expect("a folder");
    for (number, name) in [
        "a.png",
        "closed/b.png",
        "names-only/c.png",
        "secret.png",
        "z.png",
    ]
    .iter()
    .enumerate()
    {
        fs::write(at("in").join(name), pixel(number)).expect("a file");
    }
    fs::create_dir(at("out")).expect("a folder");
    fs::write(at("recipe.toml"), recipe_text(KEYS[0])).expect("a recipe");
    for (name, bits) in [
        ("", 0o755),
        ("out", 0o777),
        ("in/secret.png", 0),
        ("in/closed", 0),
        // Listed, and not entered.
        ("in/names-only", 0o744),
    ] {
        mode(name, bits);
    }
    let mut command = converting(&at("in"), &at("out"), &at("recipe.toml"));
    let found = without_privileges(&mut command).map(told);
    mode("in/closed", 0o755);
    let Some(found) = found else {
        eprintln!("nothing tested: permissions bind nobody here");
        return;
    };
    let expected = [
        ("a.png", "done"),
        ("closed", "failed"),
        ("names-only/c.png", "failed"),
        ("secret.png", "failed"),
        ("z.png", "done"),
    ];
    let expected = expected.map(|(name, outcome)| {
        let path = at("in").join(name).display().to_string();
        (path, vec![outcome.to_owned()])
    });
    assert_eq!((found.outcomes, found.code), (BTreeMap::from(expected), 1));
}

#[test]
fn a_device_is_no_picture_and_nothing_is_read_from_it() {
    let folder = temporary();
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir(&input).expect("a folder");
    fs::write(input.join("a.png"), pixel(1)).expect("a file");
    symlink("/dev/zero", input.join("link.png")).expect("a link");
    let device = input.join("zero.png");
    // Only root makes one.
    let made = Command::new("mknod")
        .arg(&device)
        .args(["c", "1", "5"])
        .stderr(Stdio::null())
        .status();
    let is_device = |path: &Path| fs::metadata(path).is_ok_and(|m| m.file_type().is_char_device());
    let has_device = made.is_ok_and(|status| status.success()) && is_device(&device);
    let recipe = folder.path().join("recipe.toml");
    fs::write(&recipe, recipe_text(KEYS[0])).expect("a recipe");
    let told = told(&mut converting(&input, &out, &recipe));
    let mut expected = BTreeMap::from([("a.png", "done"), ("link.png", "skipped")]);
    if has_device {
        expected.insert("zero.png", "skipped");
    }
    let expected = expected.into_iter().map(|(name, outcome)| {
        let path = input.join(name).display().to_string();
        (path, vec![outcome.to_owned()])
    });
    assert_eq!((told.outcomes, told.code), (expected.collect(), 0));
    // Named on the command line it is no picture either.
    let named = self::told(&mut converting(Path::new("/dev/zero"), &out, &recipe));
    assert_eq!(named.outcomes["/dev/zero"], ["skipped"]);
}

/// Runs the command and comes back with its lines, its exit code and the most memory that it held, in MiB.
fn measured(command: &mut Command) -> (Vec<String>, i32, u64) {
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the command starts");
    let status = format!("/proc/{}/status", child.id());
    let told = BufReader::new(child.stdout.take().expect("a pipe"));
    let (mut lines, mut most) = (Vec::new(), 0);
    for line in told.lines() {
        // The kernel keeps the most that there was: it is enough to look while something is still to be told.
        if lines.len() < 50 || lines.len() % 50 == 0 {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
            most = most.max(kib.unwrap_or(0));
        }
        lines.push(line.expect("UTF-8"));
    }
    let ended = child.wait().expect("the command ended");
    (lines, ended.code().expect("not killed"), most / 1024)
}

/// What is foretold of each picture is handed out of `--memory`, whatever `--jobs` says.
#[cfg(target_os = "linux")]
#[test]
fn the_largest_pictures_allowed_at_eight_jobs_stay_within_the_memory_that_they_were_given() {
    let folder = temporary();
    let (input, recipe) = (folder.path().join("in"), folder.path().join("recipe.toml"));
    fs::create_dir(&input).expect("a folder");
    let text = "version = 1\n[limits]\npixels = 6_000_000\n[[variant]]\nname = \"whole\"\nformat = \"png\"\n\
                [[variant]]\nname = \"small\"\nformat = \"jpeg\"\nwidth = 300\n";
    fs::write(&recipe, text).expect("a recipe");
    let dearest = Drawing::new(3000, 2000, |x, y| {
        let wave = |step: u32| u8::try_from((x * step + y) % 200).unwrap_or(0);
        [wave(3), wave(1), wave(2), wave(5)]
    });
    let files = [
        ("a.png", dearest.png()),
        ("b.jpg", photo(3000, 2000).jpeg(85)),
    ];
    for number in 0..8 {
        for (name, bytes) in &files {
            fs::write(input.join(format!("{number}{name}")), bytes).expect("a file");
        }
    }
    let run = |memory: &str| {
        let out = folder.path().join(memory);
        let mut command = converting(&input, &out, &recipe);
        let (told, code, mib) = measured(command.args(["--jobs", "8", "--memory", memory]));
        let last = told.last().expect("a summary");
        let summary: Value = serde_json::from_str(last).expect("JSON");
        assert_eq!(
            (summary["summary"]["done"].as_u64(), code),
            (Some(16), 0),
            "{last}"
        );
        mib
    };
    let (held, free) = (run("192MiB"), run("4GiB"));
    println!("16 pictures of 6 megapixels at 8 jobs: {held} MiB of 192, {free} of 4,096");
    assert!(held <= 192, "{held} MiB");
    assert!(free > 192, "{free} MiB: the limit wasn't what held them");
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_of_very_many_files_is_gone_through_to_its_end_in_little_memory() {
    let (texts, pictures) = (times(4_750, 95_000), times(250, 5_000));
    let folder = temporary();
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    for number in 0..texts + pictures {
        let below = input.join(format!("{:03}", number / 500));
        if number % 500 == 0 {
            fs::create_dir_all(&below).expect("a folder");
        }
        // Every twentieth is a picture.
        let (bytes, ending) = if number % 20 == 0 {
            (pixel(usize::try_from(number).expect("few files")), "ppm")
        } else {
            (b"no picture".to_vec(), "txt")
        };
        fs::write(below.join(format!("{number:06}.{ending}")), bytes).expect("a file");
    }
    let recipe = folder.path().join("recipe.toml");
    fs::write(&recipe, recipe_text(KEYS[0])).expect("a recipe");
    let all = u64::from(texts + pictures);
    for (run, done, unchanged) in [("first", pictures, 0), ("second", 0, pictures)] {
        let began = Instant::now();
        let mut command = converting(&input, &out, &recipe);
        let (told, code, mib) = measured(&mut command);
        let last = told.last().expect("a summary");
        let summary: Value = serde_json::from_str(last).expect("JSON");
        let count = |word: &str| summary["summary"][word].as_u64().expect("a count");
        let expected = (u64::from(done), u64::from(unchanged), u64::from(texts));
        assert_eq!(
            (count("done"), count("unchanged"), count("skipped")),
            expected,
            "{last}"
        );
        assert_eq!((code, told.len() as u64), (0, all + 1));
        println!(
            "{run} run over {all} files: {mib} MiB at most, {:.1} s",
            began.elapsed().as_secs_f64()
        );
        // Some kilobytes for a file's name, state and plan.
        assert!(mib < 96 + all * 4 / 1024, "{mib} MiB");
    }
    let there = files(&out);
    let ours = there.keys().filter(|key| !key.starts_with(".pixmill/"));
    assert_eq!(ours.count() as u64, 2 * u64::from(pictures));
}
