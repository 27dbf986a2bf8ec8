//! The house rules that a machine can check: what may depend on what, which licences come in, and
//! what the tree may hold. ARCHITECTURE.md gives the reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value as Json;
use toml::{Table, Value};

/// Arrows point from a later layer to an earlier one, never sideways or back.
const LAYERS: &[&[&str]] = &[
    &["pixmill-codecs"],
    &["pixmill"],
    &["pixmill-aws", "pixmill-local"],
    &["pixmill-lambda"],
    // Above the function, because the command runs the function's handler over a saved event.
    &["pixmill-cli"],
];

/// Never part of what is shipped, so nothing that is shipped may need them.
const BESIDE_THE_HOUSE: &[&str] = &[
    "pixmill-bench",
    "pixmill-properties",
    "pixmill-sbom",
    "pixmill-sweep",
    "pixmill-testkit",
    "pixmill-tests",
    "xtask",
];

/// Nobody outside this repository can need them, so neither are their dependencies brought in.
const NEVER_SHIPPED: &[&str] = &[
    "pixmill-bench",
    "pixmill-properties",
    "pixmill-sbom",
    "pixmill-sweep",
    "pixmill-tests",
];

/// It wraps C.
const MAY_USE_UNSAFE: &str = "pixmill-codecs";

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent()
        .expect("this package lies in the workspace's root")
        .to_path_buf()
});

/// The workspace as cargo resolves it for this machine, with every feature; from the lock file and from
/// what the build has already fetched.
///
/// Read as plain JSON: the crate that gives it types turns on features of `serde_json`, and then the
/// tests would need their own build of everything from there to core.
static WORKSPACE: LazyLock<Json> = LazyLock::new(|| {
    let described = cargo(&[
        "metadata",
        "--format-version=1",
        "--all-features",
        "--filter-platform=host-tuple",
        "--locked",
        "--offline",
    ]);
    serde_json::from_str(&described).expect("cargo metadata prints JSON")
});

// ---- What may depend on what

#[test]
fn core_with_default_features_brings_no_runtime_no_network_no_aws_and_no_logging() {
    // `cargo tree` and not the metadata: there, features are the union over the whole workspace.
    let tree = cargo(&[
        "tree",
        "--package=pixmill",
        "--edges=normal",
        "--prefix=none",
        "--format={p}",
        "--locked",
        "--offline",
    ]);
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(
        names.contains("pixmill") && names.contains("serde"),
        "the tree reads otherwise than expected:\n{tree}"
    );

    let unwanted: Vec<_> = names
        .iter()
        .filter(|name| {
            let family = name.split(['-', '_']).next().unwrap_or_default();
            ["tokio", "hyper", "aws", "tracing", "reqwest", "log"].contains(&family)
        })
        .collect();
    assert!(unwanted.is_empty(), "core must not need {unwanted:?}");
}

#[test]
fn arrows_point_inward() {
    let layer_of = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let mut wrong = Vec::new();
    for package in members() {
        let name = text(package, "name");
        if BESIDE_THE_HOUSE.contains(&name) {
            continue;
        }
        let Some(layer) = layer_of(name) else {
            wrong.push(format!("{name} has no place in LAYERS"));
            continue;
        };
        for needed in members_needed_by(package) {
            if layer_of(needed).is_none_or(|inner| inner >= layer) {
                wrong.push(format!("{name} must not depend on {needed}"));
            }
        }
    }
    assert_none("", &wrong);
}

/// Dependencies of tests don't count: core's tests may use the testkit, which uses core.
fn members_needed_by(package: &Json) -> impl Iterator<Item = &str> {
    list(package, "dependencies")
        .iter()
        .filter(|dependency| dependency["kind"] != "dev" && dependency["path"].is_string())
        .map(|dependency| text(dependency, "name"))
}

#[test]
fn xtask_needs_no_other_crate_so_that_the_first_command_starts_in_a_second() {
    let xtask = members().find(|package| package["name"] == "xtask");
    assert!(list(xtask.expect("xtask is a member"), "dependencies").is_empty());
}

// ---- Manifests

#[test]
fn every_crate_takes_the_workspace_lints_and_only_codecs_loosens_unsafe() {
    let lints = &workspace_manifest()["workspace"]["lints"]["rust"];
    assert_eq!(lints["unsafe_code"].as_str(), Some("forbid"));

    let mut wrong = Vec::new();
    for (name, manifest) in member_manifests() {
        let takes_them = at(&manifest, &["lints", "workspace"]).and_then(Value::as_bool);
        if name != MAY_USE_UNSAFE && takes_them != Some(true) {
            wrong.push(format!("{name} lacks `[lints] workspace = true`"));
        }
    }
    assert_none("", &wrong);
}

#[test]
fn every_block_that_is_not_checked_by_the_compiler_must_say_why_it_is_sound() {
    let codecs = read_toml(Path::new("crates/codecs/Cargo.toml"));
    let level = |table: &str, lint: &str| at(&codecs, &["lints", table, lint])?.as_str();
    assert_eq!(level("clippy", "undocumented_unsafe_blocks"), Some("deny"));
    assert_eq!(level("rust", "unsafe_op_in_unsafe_fn"), Some("deny"));
}

#[test]
fn every_third_party_version_is_pinned_once_in_the_workspace_table() {
    let mut wrong = Vec::new();
    for (name, manifest) in member_manifests() {
        for (dependency, how) in dependencies_in(&manifest) {
            if how.get("workspace").and_then(Value::as_bool) != Some(true) {
                wrong.push(format!("{name} says its own version of {dependency}"));
            }
        }
    }
    assert_none("Put it in [workspace.dependencies]:", &wrong);
}

#[test]
fn no_profile_aborts_on_panic_because_decoders_panic_on_hostile_input() {
    let mut wrong = Vec::new();
    for file in tracked_files() {
        if !file.ends_with("Cargo.toml") && !file.ends_with(".cargo/config.toml") {
            continue;
        }
        let manifest = read_toml(&file);
        let profiles = manifest.get("profile").and_then(Value::as_table);
        for (name, profile) in profiles.into_iter().flatten() {
            if profile.get("panic").and_then(Value::as_str) == Some("abort") {
                wrong.push(format!("[profile.{name}] in {}", file.display()));
            }
        }
    }
    assert_none("", &wrong);
}

/// In every table that lists dependencies, also those for one platform.
fn dependencies_in(manifest: &Table) -> Vec<(String, Value)> {
    const TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let platforms = manifest.get("target").and_then(Value::as_table);
    let mut places = vec![manifest];
    places.extend(
        platforms
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table),
    );
    places
        .into_iter()
        .flat_map(|place| TABLES.iter().filter_map(|table| place.get(*table)))
        .filter_map(Value::as_table)
        .flat_map(|table| table.iter().map(|(name, how)| (name.clone(), how.clone())))
        .collect()
}

// ---- What comes in from outside: deny.toml says what may

#[test]
fn every_licence_that_comes_in_is_allowed_by_deny_toml() {
    let deny = read_toml(Path::new("deny.toml"));
    let allowed: Vec<spdx::Licensee> = strings(at(&deny, &["licenses", "allow"]))
        .iter()
        .map(|licence| spdx::Licensee::parse(licence).expect("deny.toml allows SPDX licences"))
        .collect();

    let mut wrong = Vec::new();
    for package in what_comes_in() {
        let terms = package["license"].as_str().unwrap_or_default();
        let fine = spdx::Expression::parse_mode(terms, spdx::ParseMode::LAX).is_ok_and(|terms| {
            terms.evaluate(|asked| allowed.iter().any(|licence| licence.satisfies(asked)))
        });
        if !fine {
            let (name, version) = (text(package, "name"), text(package, "version"));
            wrong.push(format!("{name} {version}: '{terms}'"));
        }
    }
    assert_none("Not among the licences that deny.toml allows:", &wrong);
}

#[test]
fn no_licence_is_allowed_that_asks_more_of_an_embedder_than_a_notice() {
    let deny = read_toml(Path::new("deny.toml"));
    for licence in strings(at(&deny, &["licenses", "allow"])) {
        let id = spdx::license_id(licence.split(' ').next().unwrap_or_default());
        assert!(
            id.is_some_and(|id| !id.is_copyleft() && !id.is_gnu()),
            "{licence}"
        );
    }
}

#[test]
fn no_crate_comes_in_twice_unless_deny_toml_says_why() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in what_comes_in() {
        let versions = versions.entry(text(package, "name")).or_default();
        versions.insert(text(package, "version"));
    }
    versions.retain(|_, versions| versions.len() > 1);

    let deny = read_toml(Path::new("deny.toml"));
    let skipped = at(&deny, &["bans", "skip"])
        .and_then(Value::as_array)
        .expect("[bans] skip is a list");
    let mut wrong = Vec::new();
    for entry in skipped {
        let said = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let (name, range) = said("crate")
            .split_once(":^")
            .expect("[bans] skip names crates as in \"syn:^2\"");
        if said("reason").is_empty() {
            wrong.push(format!("{name} {range} is skipped without a reason"));
        }
        let versions = versions.entry(name).or_default();
        let before = versions.len();
        versions.retain(|version| !version.starts_with(&format!("{range}.")));
        if versions.len() == before {
            wrong.push(format!("{name} {range} is skipped and need not be"));
        }
    }
    for (name, versions) in versions {
        if versions.len() > 1 {
            wrong.push(format!("{name} comes in as {versions:?}"));
        }
    }
    assert_none("Agree on one version, or say why not in deny.toml:", &wrong);
}

/// Every third-party crate that is built into something or runs while it is built; what only tests
/// need is left out.
fn what_comes_in() -> Vec<&'static Json> {
    let nodes: BTreeMap<&str, &Json> = list(&WORKSPACE["resolve"], "nodes")
        .iter()
        .map(|node| (text(node, "id"), node))
        .collect();
    let mut seen: BTreeSet<&str> = members()
        .filter(|package| !NEVER_SHIPPED.contains(&text(package, "name")))
        .map(|package| text(package, "id"))
        .collect();
    let mut ahead: Vec<&str> = seen.iter().copied().collect();
    while let Some(id) = ahead.pop() {
        for dependency in list(nodes[id], "deps") {
            let kinds = list(dependency, "dep_kinds");
            let package = text(dependency, "pkg");
            if kinds.iter().any(|kind| kind["kind"] != "dev") && seen.insert(package) {
                ahead.push(package);
            }
        }
    }
    list(&WORKSPACE, "packages")
        .iter()
        .filter(|package| seen.contains(text(package, "id")) && package["source"].is_string())
        .collect()
}

// ---- What the tree may hold

#[test]
fn unsafe_code_is_found_in_codecs_only() {
    let word = ["un", "safe"].concat();
    let starts = ["{", "fn ", "impl", "trait ", "extern "].map(|next| format!("{word} {next}"));
    let attribute = format!("#[{word}(");

    let mut wrong = Vec::new();
    for file in tracked_files() {
        let in_codecs = file.starts_with("crates/codecs");
        if in_codecs || file.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(ROOT.join(&file)).expect("source files are text");
        for (number, line) in (1..).zip(text.lines()) {
            let code = line.split("//").next().unwrap_or_default();
            if code.contains(&attribute) || starts.iter().any(|start| code.contains(start)) {
                wrong.push(format!("{}:{number}", file.display()));
            }
        }
    }
    assert_none("", &wrong);
}

#[test]
fn no_file_is_larger_than_a_clone_should_bear() {
    const MOST: u64 = 1_500_000;
    let wrong: Vec<String> = tracked_files()
        .into_iter()
        .filter(|file| fs::metadata(ROOT.join(file)).is_ok_and(|about| about.len() > MOST))
        .map(|file| file.display().to_string())
        .collect();
    assert_none("Larger than 1.5 MB:", &wrong);
}

#[test]
fn no_file_mentions_a_path_of_the_machine_that_it_was_written_on() {
    // In pieces, so that this file passes.
    let paths = ["work", "root"].map(|folder| format!("/{folder}/"));
    let mut wrong = Vec::new();
    for file in tracked_files() {
        let bytes = fs::read(ROOT.join(&file)).expect("tracked files can be read");
        let text = String::from_utf8_lossy(&bytes);
        for path in paths.iter().filter(|path| text.contains(path.as_str())) {
            wrong.push(format!("{} mentions {path}", file.display()));
        }
    }
    assert_none("", &wrong);
}

#[test]
fn no_module_or_folder_has_a_name_that_says_nothing() {
    const NAMES: &[&str] = &[
        "util", "utils", "helper", "helpers", "common", "misc", "manager", "service",
    ];
    let mut wrong = BTreeSet::new();
    for file in tracked_files() {
        let stem = file.with_extension("");
        for name in stem.iter().filter_map(|name| name.to_str()) {
            if NAMES.contains(&name) {
                wrong.insert(format!("'{name}' in {}", file.display()));
            }
        }
    }
    assert_none("", wrong.iter());
}

// ---- Reading the tree

/// Relative to the root. From git; in a tree that came without it, whatever is there except what
/// .gitignore names.
fn tracked_files() -> Vec<PathBuf> {
    let git = Command::new("git")
        // The tree may belong to someone else, as in a container.
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .current_dir(&*ROOT)
        .output();
    let listed = match git {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout)
            .expect("file names are Unicode")
            .split_terminator('\0')
            .map(PathBuf::from)
            .collect(),
        _ => files_below(&ROOT),
    };
    // What has been deleted and not yet committed is still listed.
    let files: Vec<PathBuf> = listed
        .into_iter()
        .filter(|file| ROOT.join(file).is_file())
        .collect();
    assert!(files.contains(&PathBuf::from("Cargo.toml")));
    files
}

fn files_below(root: &Path) -> Vec<PathBuf> {
    let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
    let ignored: Vec<PathBuf> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .map(|name| root.join(name))
        .collect();
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)
            .expect("folders can be listed")
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() && !ignored.contains(&path) && entry.file_name() != ".git" {
                folders.push(path);
            } else if let Ok(file) = path.strip_prefix(root) {
                files.push(file.to_path_buf());
            }
        }
    }
    files
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(&*ROOT)
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo speaks UTF-8")
}

fn workspace_manifest() -> Table {
    read_toml(Path::new("Cargo.toml"))
}

fn member_manifests() -> Vec<(&'static str, Table)> {
    members()
        .map(|package| {
            let manifest = Path::new(text(package, "manifest_path"));
            (text(package, "name"), read_toml(manifest))
        })
        .collect()
}

fn members() -> impl Iterator<Item = &'static Json> {
    let ids = list(&WORKSPACE, "workspace_members");
    list(&WORKSPACE, "packages")
        .iter()
        .filter(|package| ids.contains(&package["id"]))
}

fn text<'a>(object: &'a Json, key: &str) -> &'a str {
    object[key].as_str().expect("cargo metadata has this text")
}

fn list<'a>(object: &'a Json, key: &str) -> &'a [Json] {
    object[key]
        .as_array()
        .expect("cargo metadata has this list")
}

fn read_toml(file: &Path) -> Table {
    let text = fs::read_to_string(ROOT.join(file)).expect("the file can be read");
    text.parse().expect("the file is TOML")
}

fn at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).expect("a list of texts");
    list.iter()
        .filter_map(Value::as_str)
        .map(String::from)
        .collect()
}

#[track_caller]
fn assert_none(what: &str, wrong: impl IntoIterator<Item = impl AsRef<str>>) {
    let wrong: Vec<String> = wrong
        .into_iter()
        .map(|line| format!("  {}", line.as_ref()))
        .collect();
    assert!(wrong.is_empty(), "{what}\n{}", wrong.join("\n"));
}
