//! Any UTF-8 as user metadata, which travels in HTTP headers: ASCII, 2 KB, letters of names in lower case.

use std::collections::BTreeMap;

use percent_encoding::{
    AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode,
};

/// S3's limit on all names and values together, in bytes.
const MOST: usize = 2048;
/// Counted with each name, because services differ in whether they count it.
const PREFIX: usize = "x-amz-meta-".len();
/// A header is trimmed and may not survive empty, so nothing at all is written as a lone percent sign,
/// which no encoded text is.
const NOTHING: &str = "%";
/// What a value that was cut ends with: `…`, encoded.
const CUT: &str = "%E2%80%A6";

/// Stays as it is in a value: visible ASCII and no `%`.
const IN_VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// Stays as it is in a name: what HTTP allows and does not write otherwise.
const IN_NAME: &AsciiSet = &{
    let mut set = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');
    let mut letter = b'A';
    while letter <= b'Z' {
        set = set.add(letter);
        letter += 1;
    }
    set
};

/// The facts as headers. Together they fit: the longest values are cut, and end with `…`.
pub(crate) fn encode(facts: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = facts
        .iter()
        .map(|(name, value)| (percent(name, IN_NAME), percent(value, IN_VALUE)))
        .collect();
    loop {
        let over = size(&headers).saturating_sub(MOST);
        if over == 0 {
            return headers;
        }
        let longest = headers.iter().max_by_key(|(_, value)| value.len());
        let name = longest.map(|(name, _)| name.clone()).unwrap_or_default();
        let value = headers.get_mut(&name).expect("the longest of them");
        if value.len() > CUT.len() {
            let keep = value.len().saturating_sub(over + CUT.len());
            *value = cut(value, keep) + CUT;
        } else {
            // Nothing but names is left to shorten, and half a name is another name.
            headers.remove(&name);
        }
    }
}

/// What [`encode`] wrote; and of what others wrote, the text as it is where it isn't encoded.
pub(crate) fn decode<'h>(
    headers: impl IntoIterator<Item = (&'h String, &'h String)>,
) -> BTreeMap<String, String> {
    let headers = headers.into_iter();
    headers
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

fn percent(text: &str, set: &'static AsciiSet) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    utf8_percent_encode(text, set).to_string()
}

fn plain(text: &str) -> String {
    if text == NOTHING {
        return String::new();
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(plain) => plain.into_owned(),
        Err(_) => text.to_owned(),
    }
}

fn size(headers: &BTreeMap<String, String>) -> usize {
    let sizes = headers.iter().map(|(n, v)| PREFIX + n.len() + v.len());
    sizes.sum()
}

/// The first whole characters that take no more than `most` bytes.
fn cut(encoded: &str, most: usize) -> String {
    let text = percent_decode_str(encoded).decode_utf8_lossy();
    let mut short = String::new();
    for char in text.trim_end_matches('…').chars() {
        let next = percent(char.encode_utf8(&mut [0; 4]), IN_VALUE);
        if short.len() + next.len() > most {
            break;
        }
        short.push_str(&next);
    }
    short
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        let list = list.iter();
        list.map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn plain_words_are_sent_as_they_are() {
        let plain = facts(&[("processed-by", "pixmill"), ("source", "a/b.png")]);
        assert_eq!(encode(&plain), plain);
    }

    #[test]
    fn what_a_header_would_bend_is_percent_encoded() {
        let odd = facts(&[("Name", " é\n100% \"x\" "), ("empty", "")]);
        let sent = facts(&[("%4Eame", "%20%C3%A9%0A100%25%20\"x\"%20"), ("empty", "%")]);
        assert_eq!(encode(&odd), sent);
        assert_eq!(decode(&sent), odd);
    }

    #[test]
    fn what_others_wrote_without_encoding_is_left_alone() {
        let theirs = facts(&[("rate", "100%"), ("latin", "%FF")]);
        assert_eq!(decode(&theirs), theirs);
    }

    #[test]
    fn a_value_too_long_for_s3_is_cut_at_a_character_and_says_so() {
        let long = facts(&[("source", &"鹿".repeat(341)), ("processed-by", "pixmill")]);
        let sent = encode(&long);
        assert!(size(&sent) <= MOST, "{}", size(&sent));
        let back = decode(&sent);
        assert_eq!(back["processed-by"], "pixmill");
        let source = back["source"].strip_suffix('…').expect("a mark");
        assert!(source.len() > 600 && long["source"].starts_with(source));
    }

    proptest! {
        #[test]
        fn any_text_that_fits_comes_back_and_is_good_for_a_header(
            facts in prop::collection::btree_map("(?s).{0,12}", "(?s).{0,40}", 0..4)
        ) {
            let sent = encode(&facts);
            for (name, value) in &sent {
                prop_assert!(value.bytes().all(|b| b.is_ascii_graphic()) && !value.is_empty());
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.%ABCDEF".contains(&b)));
            }
            // HTTP writes names in lower case, the digits of a percent sign too.
            let arrived: BTreeMap<_, _> = sent.iter().map(|(n, v)| (n.to_lowercase(), v.clone())).collect();
            prop_assert_eq!(decode(&arrived), facts);
        }

        #[test]
        fn whatever_comes_it_fits(
            facts in prop::collection::btree_map("(?s).{0,300}", "(?s).{0,900}", 0..6)
        ) {
            let sent = encode(&facts);
            prop_assert!(size(&sent) <= MOST);
            for (name, value) in decode(&sent) {
                let whole = &facts[&name];
                let same = *whole == value;
                prop_assert!(same || value.strip_suffix('…').is_some_and(|kept| whole.starts_with(kept)));
            }
        }
    }
}
