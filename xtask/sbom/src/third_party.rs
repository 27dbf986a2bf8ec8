//! The notices: who wrote what is linked, under which terms, with the terms' texts, each once.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::linked::{Component, Origin};

const HEAD: &str = "\
# What others wrote

The program `bootstrap` holds the crates and C libraries below, and Rust's standard library (MIT OR Apache-2.0). The texts of their
terms follow, each once, below the names of those that came with it.
";

/// As Markdown. Fails when a text can't be read, or when what we didn't write comes without terms.
pub(crate) fn notices(linked: &[Component]) -> Result<String, String> {
    let mut page = format!("{HEAD}\n| what | version | terms |\n| --- | --- | --- |\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bare = Vec::new();
    for it in linked.iter().filter(|it| it.origin != Origin::Ours) {
        if it.licence.is_empty() {
            return Err(format!("{} {} states no terms", it.name, it.version));
        }
        let _ = writeln!(page, "| {} | {} | {} |", it.name, it.version, it.licence);
        let name = format!("{} {}", it.name, it.version);
        for file in &it.terms {
            let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
            let names = texts.entry(text.trim_end().to_owned()).or_default();
            if !names.contains(&name) {
                names.push(name.clone());
            }
        }
        if it.terms.is_empty() {
            bare.push(name);
        }
    }
    if !bare.is_empty() {
        let bare = bare.join(", ");
        let _ = writeln!(page, "\nWithout a text in their packages: {bare}.");
    }
    let mut texts: Vec<_> = texts
        .into_iter()
        .map(|(text, names)| (names, text))
        .collect();
    texts.sort();
    for (names, text) in texts {
        // Indented: it is shown as it is, whatever is in it.
        let text: Vec<String> = text.lines().map(|line| format!("    {line}")).collect();
        let _ = write!(page, "\n## {}\n\n{}\n", names.join(", "), text.join("\n"));
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::notices;
    use crate::linked::{Component, Origin};

    fn component(name: &str, licence: &str, origin: Origin) -> Component {
        Component {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: licence.to_owned(),
            sha256: None,
            origin,
            terms: vec![concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml").into()],
            needs: Vec::new(),
        }
    }

    #[test]
    fn one_text_stands_once_below_all_that_came_with_it() {
        let linked = ["a", "b"].map(|name| component(name, "MIT", Origin::Registry));
        let page = notices(&linked).expect("a page");
        assert_eq!(page.matches("\n## a 1.0.0, b 1.0.0\n").count(), 1, "{page}");
        assert_eq!(page.matches("name = \"pixmill-sbom\"").count(), 1);
        assert!(page.contains("| b | 1.0.0 | MIT |"));
    }

    #[test]
    fn what_states_no_terms_is_an_error_unless_it_is_ours() {
        assert!(notices(&[component("a", "", Origin::Registry)]).is_err());
        assert!(notices(&[component("a", "", Origin::Ours)]).is_ok());
    }
}
