//! From a source's key to the keys of its renditions, manifest and failure record.
//!
//! The rules hold for every store, so that a bucket can be copied into a folder and back and a
//! rendition has one name in all guises:
//! - a part (between slashes) has at most 255 bytes, the limit of common file systems; a whole
//!   key at most 896 bytes, so that S3's 1,024 hold it behind a prefix. What is longer is cut and gets a
//!   hash of the whole, behind a `~`; a part that only looks as if that had been done gets one too, so that
//!   nobody can name a source after what another's long name becomes;
//! - parts that a folder cannot hold (`.`, `..`, nothing) and control characters are written as
//!   `%XX`; so that two sources can't meet by it, a `%` that looks like such an escape is one too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest part of a key (between slashes), in bytes: 255 on ext4, XFS, APFS and NTFS.
pub const MAX_PART_BYTES: usize = 255;
/// The longest key that is written, in bytes: S3's limit of 1,024, and room for a prefix that a store
/// puts before it.
pub const MAX_KEY_BYTES: usize = 1024 - MAX_PREFIX_BYTES;
/// The longest prefix that a store of renditions may put before its keys, in bytes.
pub const MAX_PREFIX_BYTES: usize = 128;
/// The longest extension that a cut part keeps, with its dot, in bytes.
const MAX_ENDING_BYTES: usize = 16;
/// How much of a SHA-256 stands for what was cut, in bytes: nobody finds another text with the same.
const HASH_BYTES: usize = 16;

/// A pattern for keys: text with the tokens `{path}`, `{dir}`, `{stem}`, `{ext}`, `{variant}`,
/// `{width}`, `{height}` and `{hash}`.
///
/// For the source `trip/cat.png` and its WebP variant `small`: path `trip/cat.png`, dir `trip/`
/// (with its slash, empty at the root), stem `cat`, ext `webp`, variant `small`; width and height
/// are the rendition's, hash the first 16 hexadecimal digits of the SHA-256 of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Text(String),
    Token(Token),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Token {
    Path,
    Dir,
    Stem,
    Ext,
    Variant,
    Width,
    Height,
    Hash,
}

const TOKENS: [(&str, Token); 8] = [
    ("path", Token::Path),
    ("dir", Token::Dir),
    ("stem", Token::Stem),
    ("ext", Token::Ext),
    ("variant", Token::Variant),
    ("width", Token::Width),
    ("height", Token::Height),
    ("hash", Token::Hash),
];

/// Why a text is no key template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// What a template's tokens stand for, beside the source's key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names<'a> {
    /// The variant's name.
    pub variant: &'a str,
    /// The rendition's extension, without a dot.
    pub ext: &'a str,
    /// The rendition's width in pixels.
    pub width: u32,
    /// The rendition's height in pixels.
    pub height: u32,
    /// SHA-256 of the rendition's bytes in hexadecimal; its first 16 digits are used.
    pub sha256: &'a str,
}

impl KeyTemplate {
    /// The key for `source`.
    pub fn expand(&self, source: &str, names: &Names<'_>) -> String {
        let path = safe_key(source);
        let (dir, name) = match path.rfind('/') {
            Some(slash) => path.split_at(slash + 1),
            None => ("", path.as_str()),
        };
        // Dots at the start hide a file, they do not begin an extension; and `.` and `..` are no names.
        let stem = match name.rsplit_once('.') {
            Some((stem, _)) if !stem.trim_start_matches('.').is_empty() => stem,
            _ => name,
        };
        let mut key = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Token(Token::Path) => key.push_str(&path),
                Part::Token(Token::Dir) => key.push_str(dir),
                Part::Token(Token::Stem) => key.push_str(stem),
                Part::Token(Token::Ext) => key.push_str(names.ext),
                Part::Token(Token::Variant) => key.push_str(names.variant),
                Part::Token(Token::Width) => key.push_str(&names.width.to_string()),
                Part::Token(Token::Height) => key.push_str(&names.height.to_string()),
                Part::Token(Token::Hash) => {
                    key.push_str(names.sha256.get(..16).unwrap_or(names.sha256));
                }
            }
        }
        shorten(&key)
    }

    /// Whether the key is known before anything is rendered (no width, height or hash in it).
    pub fn is_known_early(&self) -> bool {
        !self.has(Token::Width) && !self.has(Token::Height) && !self.has(Token::Hash)
    }

    /// Whether everything made for one source lies under `{path}/`, so that one listing shows it.
    pub fn lies_under_path(&self) -> bool {
        matches!(
            self.parts.as_slice(),
            [Part::Token(Token::Path), Part::Text(text), ..] if text.starts_with('/')
        )
    }

    /// Whether different sources can't get the same key, whatever they are called: the template
    /// holds the whole `{path}`, set off so that a neighbouring token can't be taken for part of it.
    ///
    /// Event-driven use needs this, since it never sees all sources at once. A batch does, and
    /// finds real collisions in its plan.
    pub fn keeps_sources_apart(&self) -> bool {
        let Some(at) = self
            .parts
            .iter()
            .position(|p| *p == Part::Token(Token::Path))
        else {
            return false;
        };
        // Only what holds no slash may stand beside it, or one source's folder could be taken for
        // another's; next to a dot, only what holds no dot either.
        let (before, after) = (&self.parts[..at], &self.parts[at + 1..]);
        let no_slash = |p: &Part| !matches!(p, Part::Token(Token::Path | Token::Dir));
        let no_dot = |p: &Part| no_slash(p) && *p != Part::Token(Token::Stem);
        let fixed = |p: &Part| matches!(p, Part::Text(_) | Part::Token(Token::Ext));
        let before = before.iter().all(|p| matches!(p, Part::Text(_)))
            || (before.iter().all(no_slash)
                && matches!(before.last(), Some(Part::Text(t)) if t.ends_with('/')));
        let after = after.iter().all(fixed)
            || match after.first() {
                Some(Part::Text(t)) if t.starts_with('/') => after.iter().all(no_slash),
                Some(Part::Text(t)) if t.starts_with('.') => after.iter().all(no_dot),
                _ => false,
            };
        before && after
    }

    /// Whether `key` could have come from this template, judged by the fixed text at its ends; of a
    /// key that was cut, by what is left of them.
    pub fn could_have_made(&self, key: &str) -> bool {
        // Its two ends are one.
        if let [Part::Text(text)] = self.parts.as_slice() {
            return key == shorten(text);
        }
        let fixed = |part: Option<&Part>| match part {
            Some(Part::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let (start, end) = (fixed(self.parts.first()), fixed(self.parts.last()));
        if let Some((head, tail)) = uncut_ends(key) {
            let fits_start = head.starts_with(&start) || start.starts_with(head);
            return fits_start && (tail.ends_with(&end) || end.ends_with(tail));
        }
        // A source at the root has no folder; every other token stands for something.
        let is_dir_alone = |part: &Part| matches!(part, Part::Text(_) | Part::Token(Token::Dir));
        let least = usize::from(!self.parts.iter().all(is_dir_alone));
        key.len() >= start.len() + end.len() + least
            && key.starts_with(&start)
            && key.ends_with(&end)
    }

    /// Whether the template tells variants apart by name.
    pub fn names_the_variant(&self) -> bool {
        self.has(Token::Variant)
    }

    /// Whether the template names the rendition's extension.
    pub fn names_the_extension(&self) -> bool {
        self.has(Token::Ext)
    }

    fn has(&self, token: Token) -> bool {
        self.parts.contains(&Part::Token(token))
    }
}

impl FromStr for KeyTemplate {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let refuse = |why: String| Err(TemplateError(format!("key template {text:?}: {why}")));
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            if rest.as_bytes()[open] == b'}' {
                return refuse("there is a } without its {".to_owned());
            }
            let Some(length) = rest[open..].find('}') else {
                return refuse("there is a { without its }".to_owned());
            };
            let name = &rest[open + 1..open + length];
            let Some((_, token)) = TOKENS.iter().find(|(n, _)| *n == name) else {
                let known: Vec<_> = TOKENS.iter().map(|(n, _)| format!("{{{n}}}")).collect();
                return refuse(format!(
                    "there is no token {{{name}}}; there are {}",
                    known.join(", ")
                ));
            };
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            parts.push(Part::Token(*token));
            rest = &rest[open + length + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        let template = Self { parts };
        // Tried on a plain source, whatever is wrong with the text shows.
        let names = Names {
            variant: "v",
            ext: "x",
            width: 1,
            height: 1,
            sha256: "0000000000000000",
        };
        // A dir may be empty, and ends with a slash otherwise.
        for dir in ["", "token/"] {
            let plain: String = template
                .parts
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text,
                    Part::Token(Token::Dir) => dir,
                    Part::Token(_) => "token",
                })
                .collect();
            if plain.is_empty() {
                return refuse("it is empty".to_owned());
            }
            if plain.starts_with('/') {
                return refuse(
                    "a key can't begin with a slash; name a place inside the output".to_owned(),
                );
            }
            if let Some(bad) = plain.split('/').find(|part| !holds_in_a_folder(part)) {
                return refuse(format!(
                    "the part {bad:?} would leave the output or can't be a name; use plain names between slashes"
                ));
            }
        }
        if template.expand("s", &names).len() > MAX_PART_BYTES {
            return refuse(format!("it is longer than {MAX_PART_BYTES} bytes"));
        }
        Ok(template)
    }
}

impl TryFrom<String> for KeyTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        text.parse()
    }
}

impl From<KeyTemplate> for String {
    fn from(template: KeyTemplate) -> Self {
        template.to_string()
    }
}

impl fmt::Display for KeyTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::Token(token) => {
                    let (name, _) = TOKENS
                        .iter()
                        .find(|(_, t)| t == token)
                        .expect("every token is in the table");
                    write!(f, "{{{name}}}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for KeyTemplate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "KeyTemplate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A key with the tokens {path}, {dir}, {stem}, {ext}, {variant}, {width}, {height}, {hash}."
        })
    }
}

fn holds_in_a_folder(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && !part.chars().any(char::is_control)
}

/// `source` with every part made fit for a folder; different sources stay different.
pub fn safe_key(source: &str) -> String {
    let parts: Vec<_> = source.split('/').map(safe_part).collect();
    parts.join("/")
}

fn safe_part(part: &str) -> String {
    match part {
        "" => return "%".to_owned(),
        "%" => return "%25".to_owned(),
        "." => return "%2E".to_owned(),
        ".." => return "%2E%2E".to_owned(),
        _ => {}
    }
    let mut safe = String::with_capacity(part.len());
    for (at, c) in part.char_indices() {
        let looks_like_an_escape = c == '%'
            && part.as_bytes()[at + 1..]
                .get(..2)
                .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if looks_like_an_escape || c.is_control() {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                use fmt::Write as _;
                write!(safe, "%{byte:02X}").expect("a String takes all text");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Cuts parts over 255 bytes and keys over 896; what is cut gets a hash of the whole instead.
fn shorten(key: &str) -> String {
    let parts: Vec<_> = key.split('/').map(shorten_part).collect();
    let key = parts.join("/");
    if key.len() <= MAX_KEY_BYTES {
        return key;
    }
    // The folder part is what siblings share, so they share its hash and stay together.
    let slash = key.rfind('/').expect("a part has at most 255 bytes");
    let (dir, name) = (&key[..slash], &key[slash..]);
    // The hash is a part of its own: glued to `head`'s last part it could pass 255 bytes.
    let hash = short_hash(dir);
    let room = MAX_KEY_BYTES - MAX_PART_BYTES - 2 - hash.len();
    // A cut must not leave `.`, `..` or nothing as the last part.
    let head = prefix(dir, room).trim_end_matches(['/', '.']);
    if head.is_empty() {
        return format!("{hash}{name}");
    }
    format!("{head}/{hash}{name}")
}

/// A part that fits stays as it is, unless it could be taken for one that was cut: cut parts have their hash, so
/// different parts stay different.
fn shorten_part(part: &str) -> String {
    if part.len() <= MAX_PART_BYTES && cut_at(part).is_none() {
        return part.to_owned();
    }
    let ending = ending(part);
    let hash = short_hash(part);
    let room = MAX_PART_BYTES - hash.len() - ending.len();
    format!("{}{hash}{ending}", prefix(part, room))
}

/// What a cut part keeps of its end: an extension, with its dot.
fn ending(part: &str) -> &str {
    match part.rfind('.') {
        Some(dot) if part.len() - dot <= MAX_ENDING_BYTES => &part[dot..],
        _ => "",
    }
}

/// The mark of a cut: what no part has that wasn't cut.
fn short_hash(text: &str) -> String {
    format!("~{}", hex::encode(&Sha256::digest(text)[..HASH_BYTES]))
}

/// Where the mark of a cut stands in a part: at its end, or before its ending.
fn cut_at(part: &str) -> Option<usize> {
    let body = part.len() - ending(part).len();
    let at = body.checked_sub(1 + 2 * HASH_BYTES)?;
    let digits = part.as_bytes()[..body].get(at..)?.strip_prefix(b"~")?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.iter().all(is_digit).then_some(at)
}

/// Of a key that was cut, what stands before the first cut and behind the last one, as it was in the
/// whole key; none of any other key.
fn uncut_ends(key: &str) -> Option<(&str, &str)> {
    let mut ends: Option<(&str, &str)> = None;
    let mut begins = 0;
    for part in key.split('/') {
        if let Some(at) = cut_at(part) {
            // A hash that is a part of its own: the slash before it need not have been there.
            let head = key[..begins + at].trim_end_matches('/');
            let behind = begins + at + 1 + 2 * HASH_BYTES;
            ends = Some((ends.map_or(head, |(head, _)| head), &key[behind..]));
        }
        begins += part.len() + 1;
    }
    ends
}

fn prefix(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expand(template: &str, source: &str) -> String {
        let names = Names {
            variant: "small",
            ext: "webp",
            width: 30,
            height: 20,
            sha256: "0123456789abcdef0123456789abcdef",
        };
        template
            .parse::<KeyTemplate>()
            .expect("a good template")
            .expand(source, &names)
    }

    #[test]
    fn every_token_stands_for_what_it_says() {
        assert_eq!(
            expand("{path}/{variant}.{ext}", "trip/cat.png"),
            "trip/cat.png/small.webp"
        );
        assert_eq!(expand("{dir}{stem}.{ext}", "trip/cat.png"), "trip/cat.webp");
        assert_eq!(expand("{dir}{stem}.{ext}", "cat.png"), "cat.webp");
        assert_eq!(
            expand("x/{stem}-{width}x{height}.{hash}.{ext}", "cat.tar.png"),
            "x/cat.tar-30x20.0123456789abcdef.webp"
        );
        assert_eq!(expand("{dir}{stem}.{ext}", ".hidden"), ".hidden.webp");
    }

    #[test]
    fn a_template_that_could_leave_the_output_is_refused() {
        for bad in [
            "",
            "/{path}",
            "../{path}",
            "{path}/../../x",
            "a//{path}",
            "{path}/",
            "./{path}",
            "{path}/{nope}.x",
            "{path",
            "path}",
            "a\n{path}",
            "{stem}{dir}",
            "{path}/x{dir}/{stem}",
            "{variant}{dir}/{stem}",
        ] {
            assert!(bad.parse::<KeyTemplate>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn awkward_parts_become_names_that_a_folder_can_hold() {
        assert_eq!(safe_key("/a"), "%/a");
        assert_eq!(safe_key("../../etc"), "%2E%2E/%2E%2E/etc");
        assert_eq!(safe_key("a/./b"), "a/%2E/b");
        assert_eq!(safe_key("a\nb"), "a%0Ab");
        assert_eq!(safe_key("100%.jpg"), "100%.jpg");
        assert_eq!(safe_key("a%20b"), "a%2520b");
        assert_eq!(safe_key("é b+c.jpg"), "é b+c.jpg");
    }

    #[test]
    fn only_templates_with_the_whole_path_set_off_keep_sources_apart() {
        for (template, apart) in [
            ("{path}/{variant}.{ext}", true),
            ("{variant}/{path}.{ext}", true),
            ("x/{path}", true),
            ("{path}.{variant}.{ext}", true),
            ("{dir}{stem}.{ext}", false),
            ("{stem}/{variant}.{ext}", false),
            ("{path}{variant}.{ext}", false),
            ("{path}/{dir}x", false),
            ("{path}.{stem}", false),
            ("{variant}{path}", false),
        ] {
            let parsed: KeyTemplate = template.parse().expect("a good template");
            assert_eq!(parsed.keeps_sources_apart(), apart, "{template}");
        }
    }

    // Found by fuzzing.
    #[test]
    fn a_template_without_tokens_knows_the_one_key_that_it_makes() {
        let template: KeyTemplate = "fai".parse().expect("a good template");
        assert!(template.could_have_made("fai"));
        assert!(!template.could_have_made("faifai") && !template.could_have_made("fa"));
    }

    // Found by fuzzing.
    #[test]
    fn a_template_knows_the_key_of_a_source_without_a_folder() {
        let template: KeyTemplate = "{dir}manifest.json".parse().expect("a good template");
        assert!(template.could_have_made("manifest.json"));
        assert!(template.could_have_made("trip/manifest.json"));
        let template: KeyTemplate = "{path}/manifest.json".parse().expect("a good template");
        assert!(!template.could_have_made("/manifest.json"));
    }

    #[test]
    fn siblings_of_a_very_long_key_stay_in_one_folder() {
        let source = format!("{}/x.jpg", "d".repeat(200)).repeat(5);
        let one = expand("{path}/{variant}.{ext}", &source);
        let other = expand("{path}/manifest.json", &source);
        assert!(one.len() <= MAX_KEY_BYTES && other.len() <= MAX_KEY_BYTES);
        assert_eq!(
            one.rsplit_once('/').map(|p| p.0),
            other.rsplit_once('/').map(|p| p.0)
        );
    }

    #[test]
    fn a_folder_of_dots_too_long_for_a_key_leaves_no_empty_part() {
        let source = ".../".repeat(300) + "x.jpg";
        let key = expand("{path}/{variant}.{ext}", &source);
        assert!(key.split('/').all(holds_in_a_folder), "{key:?}");
    }

    #[test]
    fn nobody_can_name_a_source_after_what_a_long_name_becomes() {
        let long_name = format!("{}.jpg", "n".repeat(300));
        let long_key = format!("{}x.jpg", "folder/".repeat(140));
        for (victim, template) in [
            (&long_name, "{path}"),
            (&long_name, "{path}/{variant}.{ext}"),
            (&long_name, "{path}.{ext}"),
            (&long_key, "{path}/{variant}.{ext}"),
        ] {
            let key = expand(template, victim);
            let end = expand(template, "s");
            let attacker = key.strip_suffix(&end[1..]).expect("the template's end");
            assert_ne!(attacker, victim);
            let attackers = expand(template, attacker);
            assert_ne!(attackers, key, "{template}");
            assert!(
                attackers
                    .split('/')
                    .all(|part| part.len() <= MAX_PART_BYTES)
            );
        }
    }

    #[test]
    fn a_name_that_only_ends_in_digits_stays_as_it_is() {
        let digest = "0123456789abcdef0123456789abcdef";
        for source in [
            digest.to_owned(),
            format!("{digest}.jpg"),
            format!("a~{}.jpg", &digest[1..]),
            format!("a-{digest}.jpg"),
            format!("a~{}.jpg", digest.to_uppercase()),
            format!("a~{digest}.an-ending-that-is-long"),
        ] {
            assert_eq!(expand("{path}/x", &source), format!("{source}/x"));
        }
    }

    #[test]
    fn a_stem_is_never_the_folder_itself_or_the_one_above() {
        for (source, stem) in [
            ("trip/..x", "..x"),
            ("...x", "...x"),
            (".x", ".x"),
            (".x.jpg", ".x"),
            ("..x.jpg", "..x"),
        ] {
            let key = expand("{stem}/{variant}", source);
            assert_eq!(key, format!("{stem}/small"), "{source}");
        }
    }

    /// A template of up to six pieces, tokens and texts, some long.
    fn template() -> impl Strategy<Value = String> {
        let token =
            proptest::sample::select(TOKENS.map(|(name, _)| format!("{{{name}}}")).to_vec());
        let piece = prop_oneof![4 => token, 3 => "[a-z./~-]{1,8}", 1 => "[a-z./]{40,120}"];
        proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
    }

    /// A source of up to eight parts, from one character to several hundred, of dots among others.
    fn source() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            "\\PC{1,20}",
            "[a-zé.]{200,400}",
            "[.]{1,300}",
            "[a-z]{1,9}[.][a-z]{1,30}"
        ];
        proptest::collection::vec(part, 1..9).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #[test]
        fn a_template_knows_every_key_that_it_makes(template in template(), source in source()) {
            if let Ok(parsed) = template.parse::<KeyTemplate>() {
                let key = expand(&template, &source);
                prop_assert!(parsed.could_have_made(&key), "{template} denies {key}");
                prop_assert!(key.len() <= MAX_KEY_BYTES);
                prop_assert!(key.split('/').all(holds_in_a_folder), "{key:?}");
            }
        }

        #[test]
        fn any_source_gets_a_key_that_every_store_can_hold(source in "\\PC{1,300}(/\\PC{0,300}){0,6}") {
            for template in ["{path}/{variant}.{ext}", "{dir}{stem}.{ext}", "{stem}/{path}"] {
                let key = expand(template, &source);
                prop_assert!(key.len() <= MAX_KEY_BYTES);
                for part in key.split('/') {
                    prop_assert!(part.len() <= MAX_PART_BYTES, "{part:?}");
                    prop_assert!(holds_in_a_folder(part), "{part:?} of {key:?}");
                }
            }
        }

        #[test]
        fn different_sources_get_different_keys(
            one in "[%./a0-2\\n]{1,12}",
            other in "[%./a0-2\\n]{1,12}",
        ) {
            prop_assume!(one != other);
            prop_assert_ne!(safe_key(&one), safe_key(&other));
        }

        #[test]
        fn a_template_reads_back_as_it_was_written(text in "[a-z{}/.]{0,20}") {
            if let Ok(template) = text.parse::<KeyTemplate>() {
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
