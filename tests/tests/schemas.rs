//! The JSON Schemas in `schema/` are those of the code, and real files keep to them.
//!
//! After a wanted change: `PIXMILL_BLESS=1 cargo test -p pixmill-tests --test schemas`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use pixmill::job::Job;
use pixmill::manifest::{FailureRecord, Manifest};
use pixmill::memory::MemoryStore;
use pixmill::{Processor, Recipe};
use schemars::{JsonSchema, schema_for};
use serde_json::Value;

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the workspace's root").to_path_buf()
}

fn schema<T: JsonSchema>() -> Value {
    schema_for!(T).to_value()
}

#[track_caller]
fn assert_committed(name: &str, schema: &Value) {
    let file = root().join("schema").join(name);
    let mut text = serde_json::to_string_pretty(schema).expect("a schema is JSON");
    text.push('\n');
    if std::env::var_os("PIXMILL_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&file, &text).expect("the schema can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == text,
        "schema/{name} is not the schema of the code; if the change is wanted, run this test with PIXMILL_BLESS=1"
    );
}

#[test]
fn the_committed_schema_of_the_recipe_is_that_of_the_code() {
    assert_committed("recipe.schema.json", &schema::<Recipe>());
}

#[test]
fn the_committed_schema_of_the_manifest_is_that_of_the_code() {
    assert_committed("manifest.schema.json", &schema::<Manifest>());
}

#[test]
fn the_committed_schema_of_the_failure_record_is_that_of_the_code() {
    assert_committed("failure.schema.json", &schema::<FailureRecord>());
}

#[test]
fn the_default_recipe_keeps_to_its_schema() {
    let schema = schema::<Recipe>();
    let text = fs::read_to_string(root().join("recipe.toml")).expect("the default recipe");
    let as_written: Value = toml::from_str(&text).expect("it is TOML");
    assert_valid(&schema, &as_written);
    let as_read = serde_json::to_value(Recipe::default_recipe()).expect("a recipe is JSON");
    assert_valid(&schema, &as_read);
}

#[test]
fn what_the_schema_of_the_recipe_refuses_is_refused() {
    let schema = schema::<Recipe>();
    let good = serde_json::to_value(Recipe::default_recipe()).expect("a recipe is JSON");
    let changes: [fn(&mut Value); 7] = [
        |r| r["variant"][0]["qualty"] = 80.into(),
        |r| r["variant"][0]["quality"] = 101.into(),
        |r| r["variant"][0]["format"] = "heic".into(),
        |r| r["source"]["background"] = "white".into(),
        |r| r["limits"]["input_bytes"] = true.into(),
        |r| r["version"] = "1".into(),
        |r| {
            r.as_object_mut().map(|recipe| recipe.remove("variant"));
        },
    ];
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(!wrong_with(&schema, &bad).is_empty(), "{bad}");
        assert!(serde_json::from_value::<Recipe>(bad).is_err());
    }
}

#[test]
fn the_records_of_real_sources_keep_to_their_schemas() {
    let (sources, output) = (MemoryStore::new(), MemoryStore::new());
    let samples = root().join("samples");
    for name in ["cat.jpg", "mill.gif"] {
        let bytes = fs::read(samples.join(name)).expect("a sample");
        sources.insert(name, bytes);
    }
    sources.insert("letter.jpg", "Dear Sir or Madam, no picture today.");
    let recipe = Recipe::default_recipe();
    let processor = Processor::new(Arc::new(sources), Arc::new(output.clone()), recipe);
    for name in ["cat.jpg", "mill.gif", "letter.jpg"] {
        // Stores in memory never wait.
        let outcome = processor.process(&Job::new(name)).now_or_never();
        assert!(outcome.is_some(), "{name}");
    }
    let read = |key: &str| -> Value {
        let blob = output
            .read(key)
            .unwrap_or_else(|| panic!("no {key} in {:?}", output.keys()));
        serde_json::from_slice(&blob.bytes).expect("records are JSON")
    };
    assert_valid(&schema::<Manifest>(), &read("cat.jpg/manifest.json"));
    assert_valid(&schema::<Manifest>(), &read("mill.gif/manifest.json"));
    assert_valid(&schema::<FailureRecord>(), &read("failed/letter.jpg.json"));
}

// ---- As much of JSON Schema as these schemas use

#[track_caller]
fn assert_valid(schema: &Value, value: &Value) {
    let wrong = wrong_with(schema, value);
    assert!(wrong.is_empty(), "{}\n{value:#}", wrong.join("\n"));
}

/// Every way in which `value` breaks `schema`, each with its place.
fn wrong_with(schema: &Value, value: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    check(schema, schema, value, "", &mut wrong);
    wrong
}

#[expect(clippy::too_many_lines, reason = "one arm per word of the language")]
fn check(root: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if schema == &Value::Bool(true) {
        return;
    }
    let schema = schema.as_object().expect("a schema is an object");
    for (word, rule) in schema {
        match word.as_str() {
            // Words that forbid nothing; the last is looked at with `properties`.
            "$schema"
            | "$defs"
            | "title"
            | "description"
            | "default"
            | "format"
            | "additionalProperties" => {}
            "$ref" => {
                let path = rule.as_str().and_then(|path| path.strip_prefix('#'));
                let target = path.and_then(|path| root.pointer(path));
                check(
                    root,
                    target.expect("it points into the schema"),
                    value,
                    at,
                    wrong,
                );
            }
            "type" => {
                let allowed = rule
                    .as_array()
                    .map_or(std::slice::from_ref(rule), |all| all);
                if !allowed.iter().any(|name| is_a(name, value)) {
                    wrong.push(format!("{at}: not of type {rule}"));
                }
            }
            "const" => {
                if value != rule {
                    wrong.push(format!("{at}: not {rule}"));
                }
            }
            "enum" => {
                if !list(rule).contains(value) {
                    wrong.push(format!("{at}: not in {rule}"));
                }
            }
            "minimum" => {
                if value.is_number() && value.as_f64() < rule.as_f64() {
                    wrong.push(format!("{at}: below {rule}"));
                }
            }
            "maximum" => {
                if value.as_f64() > rule.as_f64() {
                    wrong.push(format!("{at}: above {rule}"));
                }
            }
            "required" => {
                for name in list(rule).iter().filter_map(Value::as_str) {
                    if value.is_object() && value.get(name).is_none() {
                        wrong.push(format!("{at}: no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, part) in value.as_object().into_iter().flatten() {
                    let at = format!("{at}/{name}");
                    match rule
                        .get(name)
                        .or_else(|| schema.get("additionalProperties"))
                    {
                        Some(Value::Bool(false)) => wrong.push(format!("{at}: not known")),
                        Some(rule) => check(root, rule, part, &at, wrong),
                        None => {}
                    }
                }
            }
            "items" => {
                for (number, part) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, part, &format!("{at}/{number}"), wrong);
                }
            }
            "anyOf" | "oneOf" => {
                let fits = |rule: &&Value| {
                    let mut wrong = Vec::new();
                    check(root, rule, value, at, &mut wrong);
                    wrong.is_empty()
                };
                let count = list(rule).iter().filter(fits).count();
                if count == 0 || (word == "oneOf" && count > 1) {
                    wrong.push(format!("{at}: fits {count} of {word}"));
                }
            }
            "pattern" => {
                // The one pattern there is: a color's.
                assert!(
                    rule.as_str()
                        .is_some_and(|pattern| pattern.starts_with("^#("))
                );
                let color = value.as_str().and_then(|text| text.strip_prefix('#'));
                let good = color.is_some_and(|digits| {
                    [3, 6, 8].contains(&digits.len())
                        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
                });
                if !good {
                    wrong.push(format!("{at}: not {rule}"));
                }
            }
            word => panic!("this test does not know the word {word:?} of JSON Schema"),
        }
    }
}

fn is_a(name: &Value, value: &Value) -> bool {
    match name.as_str().expect("types have names") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        name => panic!("there is no type {name:?} in JSON Schema"),
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}
