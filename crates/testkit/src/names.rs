//! Keys that break what is glued together by hand, nearly all of which S3 can hold (of `../a` it may say no).

/// More than 300 keys: spaces, signs of URLs and shells, double encoding, composed and decomposed letters, emoji, line ends,
/// slashes and dots in odd places, what a log could be forged with, and keys of 1,024 bytes.
pub fn awkward() -> Vec<String> {
    let mut keys: Vec<String> = [
        " ",
        "+",
        "%",
        "%20",
        "%2B",
        "%2520",
        "a+b c",
        "caf\u{e9}",
        "cafe\u{301}",
        "😀",
        "👩‍👩‍👧",
        "\"quoted\"",
        "'",
        "a\nb",
        "a\r\nb",
        "a\tb",
        "\u{1}",
        "\u{7f}",
        "/leading",
        "a//b",
        "./a",
        "../a",
        "a/../b",
        "a/..",
        "..",
        ".",
        "a/.",
        "...",
        "~",
        "a\\b",
        "C:\\x",
        "<script>",
        "&amp;",
        "a&b=c;d",
        "?x=y",
        "#frag",
        "a:b",
        "a*b",
        "a|b",
        "`id`",
        "$(id)",
        "\u{202e}gnp.exe",
        "\u{feff}bom",
        "ERROR",
        "Successfully processed",
        "Large image detected",
        "{\"level\":\"ERROR\"}",
        "\n{\"level\":\"CRITICAL\",\"signal\":\"finished\"}",
        "{path}/{variant}",
        "manifest.json",
        "failed/x",
        "con",
        "nul",
        "a.",
        "a ",
        " a",
        "-rf",
        "--help",
        "日本語",
        "Ä/Ö/Ü",
    ]
    .map(str::to_owned)
    .to_vec();
    keys.push("x".repeat(1024));
    keys.push("é".repeat(512));
    keys.push(format!("{}/{}", "d".repeat(500), "n".repeat(523)));
    keys.push("a/".repeat(511) + "ab");
    let plain: Vec<String> = keys.clone();
    for (n, key) in plain.iter().enumerate() {
        for variation in [
            format!("dir {n}/{key}.png"),
            format!("{key}.{n}.JPG"),
            format!("ü{n}+{key}"),
            format!("{key}%{n}"),
            format!("{n}+{key}"),
        ] {
            if variation.len() <= 1024 && !keys.contains(&variation) {
                keys.push(variation);
            }
        }
    }
    keys
}
