//! A ready `<picture>` for a web page, from a manifest.

use std::fmt::Write as _;

use crate::manifest::{Manifest, RenditionRecord};

/// Media types in the order in which a browser should try them: the smallest for the same look first.
const ORDER: [&str; 4] = ["image/avif", "image/webp", "image/jpeg", "image/png"];

/// How the element is written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HtmlOptions {
    /// What stands before every key in a URL, with its slash at the end; percent-encoded by the caller.
    pub base: String,
    /// The `sizes` attribute: how wide the page shows the picture. Of use where there are several widths.
    pub sizes: String,
}

impl Default for HtmlOptions {
    /// Relative URLs, and as wide as the window.
    fn default() -> Self {
        Self {
            base: String::new(),
            sizes: "100vw".to_owned(),
        }
    }
}

/// A `<picture>` of the renditions in `manifest`, with a line for each element; none where there is no
/// rendition that shows the whole picture.
///
/// Renditions with other proportions than the source (more than 2 % off, and more than rounding to
/// whole pixels explains) are crops and not taken. Of several with one type and one width the first
/// of the recipe is. AVIF and WebP become a `<source>` each; the `<img>` is the JPEG, or the PNG where
/// there is none or where the source can be transparent. Its `alt` is left empty for the page's author.
pub fn picture(manifest: &Manifest, options: &HtmlOptions) -> Option<String> {
    let source = &manifest.source;
    let whole = |rendition: &&RenditionRecord| {
        let height =
            f64::from(rendition.width) * f64::from(source.height) / f64::from(source.width);
        let off = (height - f64::from(rendition.height)).abs();
        off <= 1.0 || off <= height * 0.02
    };
    let mut by_type: Vec<(&str, Vec<&RenditionRecord>)> = Vec::new();
    for kind in ORDER {
        let mut set: Vec<&RenditionRecord> = Vec::new();
        for rendition in manifest.renditions().filter(whole) {
            let is_new = set.iter().all(|known| known.width != rendition.width);
            if rendition.content_type == kind && is_new {
                set.push(rendition);
            }
        }
        set.sort_by_key(|rendition| rendition.width);
        if !set.is_empty() {
            by_type.push((kind, set));
        }
    }
    let wanted = if source.alpha {
        "image/png"
    } else {
        "image/jpeg"
    };
    let everywhere = |kind: &str| matches!(kind, "image/jpeg" | "image/png");
    let fallback = by_type
        .iter()
        .position(|(kind, _)| *kind == wanted)
        .or_else(|| by_type.iter().position(|(kind, _)| everywhere(kind)))
        .or_else(|| by_type.len().checked_sub(1))?;
    let (_, images) = by_type.remove(fallback);
    let mut html = "<picture>\n".to_owned();
    for (kind, set) in &by_type {
        if everywhere(kind) {
            // Every browser has taken the one before it, or takes the <img>.
            continue;
        }
        let srcset = srcset(set, options);
        let sizes = sizes(set, options);
        // Writing to a String can't fail.
        let _ = writeln!(
            html,
            "  <source type=\"{kind}\" srcset=\"{srcset}\"{sizes}>"
        );
    }
    let largest = images.last()?;
    let mut more = String::new();
    if images.len() > 1 {
        let _ = write!(
            more,
            " srcset=\"{}\"{}",
            srcset(&images, options),
            sizes(&images, options)
        );
    }
    let _ = writeln!(
        html,
        "  <img src=\"{}\"{more} width=\"{}\" height=\"{}\" alt=\"\">\n</picture>",
        url(&largest.key, options),
        largest.width,
        largest.height
    );
    Some(html)
}

fn srcset(set: &[&RenditionRecord], options: &HtmlOptions) -> String {
    let each = set
        .iter()
        .map(|rendition| format!("{} {}w", url(&rendition.key, options), rendition.width));
    each.collect::<Vec<_>>().join(", ")
}

fn sizes(set: &[&RenditionRecord], options: &HtmlOptions) -> String {
    if set.is_empty() {
        return String::new();
    }
    format!(" sizes=\"{}\"", escaped(&options.sizes))
}

/// The key as a URL in an attribute. All but letters, digits and `-._~/` is percent-encoded, so that
/// nothing is left that HTML, or the commas and spaces of a `srcset`, could take for its own.
fn url(key: &str, options: &HtmlOptions) -> String {
    let mut url = escaped(&options.base);
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                url.push(char::from(byte));
            }
            other => {
                let _ = write!(url, "%{other:02X}");
            }
        }
    }
    url
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(alpha: bool, renditions: &[(&str, &str, u32, u32)]) -> Manifest {
        let variants: Vec<_> = renditions
            .iter()
            .map(|(key, kind, width, height)| {
                serde_json::json!({
                    "name": key, "digest": "", "rendition": {
                        "key": key, "content_type": kind, "width": width, "height": height,
                        "bytes": 1, "sha256": "", "quality": null
                    }
                })
            })
            .collect();
        let json = serde_json::json!({
            "manifest_version": 1, "state": "complete",
            "source": {"key": "k", "bytes": 1, "sha256": "", "format": "jpeg", "width": 1000,
                "height": 667, "frames": 1, "alpha": alpha, "profile": null},
            "recipe": {"revision": 1}, "engine": {"render_revision": 1, "codecs": {}},
            "variants": variants, "warnings": [], "store": {"source": null}
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_picture_tries_the_smallest_formats_first_and_falls_back_to_what_all_browsers_know() {
        let manifest = manifest(
            false,
            &[
                ("a/full.jpg", "image/jpeg", 1000, 667),
                ("a/low.jpg", "image/jpeg", 1000, 667),
                ("a/p.png", "image/png", 1000, 667),
                ("a/w-640.webp", "image/webp", 640, 427),
                ("a/w-320.webp", "image/webp", 320, 213),
                ("a/w.avif", "image/avif", 1000, 667),
                ("a/thumb.jpg", "image/jpeg", 300, 200),
                ("a/square.jpg", "image/jpeg", 300, 300),
            ],
        );
        assert_eq!(
            picture(&manifest, &HtmlOptions::default()).unwrap(),
            "<picture>\n  \
             <source type=\"image/avif\" srcset=\"a/w.avif 1000w\" sizes=\"100vw\">\n  \
             <source type=\"image/webp\" srcset=\"a/w-320.webp 320w, a/w-640.webp 640w\" sizes=\"100vw\">\n  \
             <img src=\"a/full.jpg\" srcset=\"a/thumb.jpg 300w, a/full.jpg 1000w\" sizes=\"100vw\" width=\"1000\" height=\"667\" alt=\"\">\n\
             </picture>\n"
        );
    }

    #[test]
    fn a_transparent_source_falls_back_to_png_and_a_lone_webp_to_itself() {
        let both = [
            ("j.jpg", "image/jpeg", 1000, 667),
            ("p.png", "image/png", 1000, 667),
        ];
        let html = picture(&manifest(true, &both), &HtmlOptions::default()).unwrap();
        assert!(
            html.contains("src=\"p.png\"") && !html.contains("j.jpg"),
            "{html}"
        );
        let lone = [("w.webp", "image/webp", 500, 334)];
        let html = picture(&manifest(false, &lone), &HtmlOptions::default()).unwrap();
        assert_eq!(
            html,
            "<picture>\n  <img src=\"w.webp\" width=\"500\" height=\"334\" alt=\"\">\n</picture>\n"
        );
        let crop = [("c.jpg", "image/jpeg", 100, 100)];
        assert_eq!(
            picture(&manifest(false, &crop), &HtmlOptions::default()),
            None
        );
    }

    #[test]
    fn no_name_can_break_out_of_its_attribute() {
        let key = "a b/\"><script>alert('1')</script>, 2x é.jpg";
        let options = HtmlOptions {
            base: "https://cdn.example.com/?a=1&b=\"/".to_owned(),
            sizes: "(min-width: 1em) 50vw, \"<".to_owned(),
        };
        let evil = manifest(
            false,
            &[
                (key, "image/jpeg", 1000, 667),
                ("x.jpg", "image/jpeg", 500, 333),
            ],
        );
        let html = picture(&evil, &options).unwrap();
        assert!(!html.contains("<script") && !html.contains("é"), "{html}");
        assert!(
            html.contains("a%20b/%22%3E%3Cscript%3Ealert%28%271%27%29"),
            "{html}"
        );
        assert!(html.contains("?a=1&amp;b=&quot;/x.jpg"), "{html}");
        assert_eq!(html.matches('"').count(), 2 * 6, "{html}");
    }
}
