//! The bill of materials in `CycloneDX` 1.5 (ECMA-424 is its successor), as JSON. Without a serial number and a time, which
//! the format leaves open: they would differ from run to run.

use serde_json::{Value as Json, json};

use crate::linked::Component;

/// The bill of `linked`, whose first is what it is all linked into.
pub(crate) fn bill(linked: &[Component]) -> String {
    let mut components = linked.iter().map(component);
    // What Lambda starts, not what others link.
    let whole = components.next().map(|mut whole| {
        whole["type"] = json!("application");
        whole
    });
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": whole },
        "components": components.collect::<Vec<_>>(),
        "dependencies": linked.iter().map(dependency).collect::<Vec<_>>(),
    });
    format!("{bill:#}\n")
}

fn component(it: &Component) -> Json {
    let mut json = json!({
        "type": "library",
        "bom-ref": it.reference(),
        "name": it.name,
        "version": it.version,
        "purl": it.reference(),
    });
    if !it.licence.is_empty() {
        json["licenses"] = json!([{ "expression": it.licence }]);
    }
    if let Some(sha256) = &it.sha256 {
        json["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    json
}

fn dependency(it: &Component) -> Json {
    json!({ "ref": it.reference(), "dependsOn": it.needs })
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::bill;
    use crate::linked::{Component, Origin};

    #[test]
    fn every_component_has_a_reference_its_terms_and_its_sum() {
        let component = |name: &str, origin, needs: &[&str]| Component {
            name: name.to_owned(),
            version: "1.2.3".to_owned(),
            licence: "MIT".to_owned(),
            sha256: (origin == Origin::Registry).then(|| "ab".to_owned()),
            origin,
            terms: Vec::new(),
            needs: needs.iter().map(ToString::to_string).collect(),
        };
        let linked = [
            component("ours", Origin::Ours, &["pkg:cargo/theirs@1.2.3"]),
            component("libc-like", Origin::InCrate, &[]),
            component("theirs", Origin::Registry, &["pkg:generic/libc-like@1.2.3"]),
        ];
        let text = bill(&linked);
        assert_eq!(text, bill(&linked));
        let json: Json = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["metadata"]["component"]["name"], "ours");
        assert_eq!(json["metadata"]["component"]["type"], "application");
        assert_eq!(json["components"][0]["type"], "library");
        assert_eq!(json["components"][0]["purl"], "pkg:generic/libc-like@1.2.3");
        assert_eq!(json["components"][1]["hashes"][0]["content"], "ab");
        assert_eq!(json["components"][1]["licenses"][0]["expression"], "MIT");
        assert_eq!(
            json["dependencies"][0]["dependsOn"][0],
            "pkg:cargo/theirs@1.2.3"
        );
        assert!(json.get("serialNumber").is_none());
    }
}
