//! What is linked: crates as cargo resolves them for one program, and the C libraries that two of them bring.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

/// One crate or C library.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression; empty where the package says nothing.
    pub(crate) licence: String,
    /// SHA-256 of the package as it was fetched, in hexadecimal; none for what is not fetched by itself.
    pub(crate) sha256: Option<String>,
    pub(crate) origin: Origin,
    /// Files with the terms and whose they are.
    pub(crate) terms: Vec<PathBuf>,
    /// The references of what it needs, sorted.
    pub(crate) needs: Vec<String>,
}

/// Where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This repository.
    Ours,
    /// The public registry.
    Registry,
    /// The source of a C library within a crate.
    InCrate,
}

impl Component {
    /// Its package URL, which also serves to refer to it.
    pub(crate) fn reference(&self) -> String {
        let kind = match self.origin {
            Origin::InCrate => "generic",
            Origin::Ours | Origin::Registry => "cargo",
        };
        format!("pkg:{kind}/{}@{}", self.name, self.version)
    }
}

/// A C library: its name, the crate that brings its source, its terms, and the files that state them.
const C_LIBRARIES: [(&str, &str, &str, &[&str]); 2] = [
    (
        "libjpeg-turbo",
        "turbojpeg-sys",
        // LICENSE.md: the libjpeg API library, the TurboJPEG API library, the SIMD source.
        "IJG AND BSD-3-Clause AND Zlib",
        &["libjpeg-turbo/LICENSE.md", "libjpeg-turbo/README.ijg"],
    ),
    (
        "libwebp",
        "libwebp-sys",
        "BSD-3-Clause",
        &["vendor/COPYING", "vendor/PATENTS"],
    ),
];

/// Everything that is linked into the programs of `package` for the platform `triple`, sorted; itself first.
pub(crate) fn linked(package: &str, triple: &str) -> Result<Vec<Component>, String> {
    let tree = cargo(&[
        "tree",
        "--package",
        package,
        // Features of this package alone, where the metadata has those of the whole workspace.
        "--edges=normal,no-proc-macro",
        "--target",
        triple,
        "--prefix=none",
        "--format={p}",
        "--locked",
    ])?;
    let metadata = cargo(&[
        "metadata",
        "--format-version=1",
        "--all-features",
        "--locked",
    ])?;
    let metadata = serde_json::from_str(&metadata).map_err(|error| error.to_string())?;
    let lock = fs::read_to_string("Cargo.lock")
        .map_err(|error| format!("Cargo.lock: {error}: call this from the root"))?;
    components(package, &tree, &metadata, &checksums(&lock)?)
}

type Checksums = BTreeMap<(String, String), String>;

fn components(
    package: &str,
    tree: &str,
    metadata: &Json,
    checksums: &Checksums,
) -> Result<Vec<Component>, String> {
    let wanted: BTreeSet<(&str, &str)> = tree.lines().filter_map(name_and_version).collect();
    let packages: BTreeMap<&str, &Json> = list(&metadata["packages"])
        .filter(|about| wanted.contains(&(text(about, "name"), text(about, "version"))))
        .map(|about| (text(about, "id"), about))
        .collect();
    if packages.len() != wanted.len() {
        return Err("cargo tree and cargo metadata speak of different packages".to_owned());
    }
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in list(&metadata["resolve"]["nodes"]) {
        let normal = |dependency: &&Json| {
            let mut kinds = list(&dependency["dep_kinds"]);
            kinds.any(|kind| kind["kind"].is_null())
        };
        let ids = list(&node["deps"]).filter(normal);
        let ids = ids.map(|dependency| text(dependency, "pkg"));
        needs.insert(
            text(node, "id"),
            ids.filter(|id| packages.contains_key(id)).collect(),
        );
    }
    let mut components = Vec::new();
    for (id, about) in &packages {
        let mut component = of_crate(about, checksums)?;
        let below = needs.get(id).into_iter().flatten();
        let below = below.map(|id| of_crate(packages[id], checksums).map(|it| it.reference()));
        component.needs = below.collect::<Result<_, _>>()?;
        for library in c_libraries_in(about)? {
            component.needs.push(library.reference());
            components.push(library);
        }
        component.needs.sort();
        components.push(component);
    }
    components.sort_by_cached_key(|it| (it.name != package, it.name.clone(), it.version.clone()));
    Ok(components)
}

/// Of a line of `cargo tree`: `serde v1.0.229 (*)`.
fn name_and_version(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split(' ');
    Some((words.next()?, words.next()?.strip_prefix('v')?))
}

fn of_crate(about: &Json, checksums: &Checksums) -> Result<Component, String> {
    let (name, version) = (text(about, "name"), text(about, "version"));
    let said = about["license"].as_str().unwrap_or_default();
    let licence = spdx::Expression::canonicalize(said)
        .map_err(|error| format!("{name} {version}: '{said}': {error}"))?
        .unwrap_or_else(|| said.to_owned());
    let folder = Path::new(text(about, "manifest_path")).parent();
    let origin = if about["source"].is_null() {
        Origin::Ours
    } else {
        Origin::Registry
    };
    let terms = match (origin, folder) {
        (Origin::Registry, Some(folder)) => terms_in(folder)?,
        _ => Vec::new(),
    };
    let key = (name.to_owned(), version.to_owned());
    Ok(Component {
        licence,
        origin,
        terms,
        sha256: checksums.get(&key).cloned(),
        name: key.0,
        version: key.1,
        needs: Vec::new(),
    })
}

fn c_libraries_in(about: &Json) -> Result<Vec<Component>, String> {
    let folder = Path::new(text(about, "manifest_path")).parent();
    let folder = folder.ok_or("a package lies in a folder")?;
    let here = C_LIBRARIES
        .iter()
        .filter(|(_, brought_by, ..)| text(about, "name") == *brought_by);
    here.map(|(name, brought_by, licence, files)| {
        let versions = pixmill_codecs::versions();
        let version = versions.into_iter().find(|(library, _)| library == name);
        let (_, version) = version.ok_or_else(|| format!("{name} is not linked here"))?;
        let terms: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        match terms.iter().find(|file| !file.is_file()) {
            Some(gone) => Err(format!("{brought_by} has no {}", gone.display())),
            None => Ok(Component {
                name: (*name).to_owned(),
                version,
                licence: (*licence).to_owned(),
                sha256: None,
                origin: Origin::InCrate,
                terms,
                needs: Vec::new(),
            }),
        }
    })
    .collect()
}

/// Files beside a crate's manifest that are called as such files are.
fn terms_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    const NAMES: [&str; 6] = [
        "LICENSE",
        "LICENCE",
        "COPYING",
        "COPYRIGHT",
        "NOTICE",
        "PATENTS",
    ];
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let name = name.to_uppercase();
        file.is_file() && NAMES.iter().any(|start| name.starts_with(start))
    });
    files.sort();
    Ok(files)
}

fn checksums(lock: &str) -> Result<Checksums, String> {
    let lock: toml::Table = lock
        .parse()
        .map_err(|error| format!("Cargo.lock: {error}"))?;
    let packages = lock.get("package").and_then(toml::Value::as_array);
    let said = |package: &toml::Value, key: &str| {
        let text = package.get(key).and_then(toml::Value::as_str);
        text.map(str::to_owned)
    };
    let with_sums = packages.into_iter().flatten().filter_map(|package| {
        let key = (said(package, "name")?, said(package, "version")?);
        Some((key, said(package, "checksum")?))
    });
    Ok(with_sums.collect())
}

fn cargo(arguments: &[&str]) -> Result<String, String> {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| format!("cargo could not be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn list(value: &Json) -> impl Iterator<Item = &Json> {
    value.as_array().into_iter().flatten()
}

fn text<'a>(object: &'a Json, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{checksums, name_and_version};

    #[test]
    fn a_line_of_the_tree_is_a_name_and_a_version() {
        assert_eq!(
            name_and_version("serde v1.0.2 (*)"),
            Some(("serde", "1.0.2"))
        );
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn sums_are_found_by_name_and_version() {
        let lock = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ab\"\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let sums = checksums(lock).expect("a lock file");
        assert_eq!(sums.len(), 1);
        assert_eq!(sums[&("a".to_owned(), "1.0.0".to_owned())], "ab");
    }
}
