//! `pixmill convert --report`: the contact sheet as a file, and as a page in Chromium where there is one.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");
/// What a name can hold that HTML, JSON, URLs or the page's own places could take for their own.
const HOSTILE: &str = "</script><script>alert(1)<!-- {{script}} {{data}} & \"'`100% #1?é.jpg";
const RECIPE: &str = r#"version = 1

[[variant]]
name = "full"
format = "jpeg"

[[variant]]
name = "square"
format = "webp"
width = 60
height = 60
fit = "cover"
focus = "left"

[[variant]]
name = "lively"
format = "webp"
width = 60
height = 60
fit = "cover"
focus = "entropy"
"#;

/// Pictures, a text, a damaged file and a recipe; `out` is not there yet.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let input = folder.path().join("in");
        fs::create_dir(&input).expect("a folder");
        // A folder for what stands before the slash of the name's end tag.
        fs::create_dir(input.join("<")).expect("a folder");
        for name in ["cat.jpg", HOSTILE] {
            fs::copy(sample("cat.jpg"), input.join(name)).expect("a picture");
        }
        fs::copy(sample("mill.gif"), input.join("mill.gif")).expect("a picture");
        fs::write(input.join("mill.gif.focus-point"), "0.25,0.4").expect("a point");
        fs::write(input.join("notes.txt"), "no picture").expect("a text");
        let cat = fs::read(sample("cat.jpg")).expect("the cat");
        fs::write(input.join("cut.jpg"), &cat[..cat.len() / 2]).expect("half a cat");
        fs::write(folder.path().join("recipe.toml"), RECIPE).expect("a recipe");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `convert in -o out --report FILE` and `more`, in the desk's folder.
    fn convert(&self, report: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_pixmill"))
            .current_dir(self.folder.path())
            .args(["convert", "in", "-o", "out", "-r", "recipe.toml"])
            .args(["--report", report])
            .args(more)
            .output()
            .expect("the command starts")
    }

    fn data(&self, report: &str) -> Value {
        data(&fs::read_to_string(self.path(report)).expect("a page"))
    }
}

fn sample(name: &str) -> PathBuf {
    Path::new(SAMPLES).join(name)
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("the command was not killed")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the page shows: the one block of JSON in it.
fn data(page: &str) -> Value {
    let (_, block) = page
        .split_once("<script type=\"application/json\" id=\"data\">")
        .expect("the block begins");
    let (block, _) = block.split_once("</script>").expect("the block ends");
    serde_json::from_str(block).expect("the block is JSON")
}

fn sources(data: &Value) -> &[Value] {
    data["sources"].as_array().expect("sources")
}

fn source<'a>(data: &'a Value, name: &str) -> &'a Value {
    let found = sources(data).iter().find(|source| source["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not on the sheet"))
}

fn renditions(source: &Value) -> &[Value] {
    source["renditions"].as_array().expect("renditions")
}

/// The file that a relative URL on the page at `page` leads to.
fn followed(page: &Path, url: &Value) -> PathBuf {
    let url = url.as_str().expect("a URL");
    let mut bytes = Vec::new();
    let mut rest = url.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
            let digits = std::str::from_utf8(&digits).expect("digits");
            bytes.push(u8::from_str_radix(digits, 16).expect("hexadecimal"));
        } else {
            bytes.push(byte);
        }
    }
    let path = String::from_utf8(bytes).expect("UTF-8");
    page.parent().expect("a folder").join(path)
}

#[test]
fn every_source_is_on_the_sheet_once_with_what_became_of_it() {
    let desk = Desk::new();
    let output = desk.convert("sheets/new/index.html", &[]);
    assert_eq!(code(&output), 1, "{}", errors(&output));
    let data = desk.data("sheets/new/index.html");
    let names: Vec<_> = sources(&data).iter().map(|s| s["name"].as_str()).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(names, sorted, "by name");
    assert_eq!(names.len(), 5);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 5);

    let cut = source(&data, "in/cut.jpg");
    assert_eq!(cut["outcome"], "rejected");
    assert_eq!(
        (&cut["code"], &cut["stage"]),
        (&"truncated".into(), &"decode".into())
    );
    let message = cut["message"].as_str().expect("a message");
    assert!(message.contains("damaged = \"accept\""), "{message}");
    let notes = source(&data, "in/notes.txt");
    assert_eq!(notes["message"], "not a picture");

    let cat = source(&data, "in/cat.jpg");
    assert_eq!(cat["outcome"], "done");
    assert!(cat["milliseconds"].is_u64());
    let [full, square, lively] = renditions(cat) else {
        panic!("{cat}");
    };
    assert_eq!(full["part"], Value::Null);
    // 451 x 300 pixels, a square from the left.
    assert_eq!(square["part"][0], 0.0);
    assert_eq!(square["part"][2], 0.665_188);
    assert_eq!(square["focus"], serde_json::json!([0.0, 0.5]));
    assert_eq!(lively["unplaced"], true);
    let mill = source(&data, "in/mill.gif");
    assert_eq!(mill["focus"], serde_json::json!([0.25, 0.4]));
    assert!(mill["warnings"].to_string().contains("frames-dropped"));
}

#[test]
fn links_lead_to_the_files_wherever_the_sheet_lies() {
    let desk = Desk::new();
    for report in [
        "index.html",
        "out/sheet.html",
        "a b/#/c.html",
        "in/</d.html",
    ] {
        let output = desk.convert(report, &[]);
        assert_eq!(code(&output), 1, "{}", errors(&output));
        let data = desk.data(report);
        let page = desk.path(report);
        for source in sources(&data) {
            let path = followed(&page, &source["href"]);
            assert!(path.is_file(), "{}", path.display());
            assert_eq!(fs::metadata(&path).expect("a file").len(), source["bytes"]);
        }
        for rendition in sources(&data)
            .iter()
            .filter_map(|source| source["renditions"].as_array())
            .flatten()
        {
            let path = followed(&page, &rendition["href"]);
            let length = fs::metadata(&path).expect("a rendition").len();
            assert_eq!(length, rendition["bytes"], "{}", path.display());
        }
    }
}

#[test]
fn no_name_can_break_out_of_the_page() {
    let desk = Desk::new();
    desk.convert("index.html", &[]);
    let page = fs::read_to_string(desk.path("index.html")).expect("a page");
    assert_eq!(
        page.matches("<script").count(),
        2,
        "the data and the script"
    );
    assert_eq!(page.matches("</script>").count(), 2);
    assert_eq!(
        page.matches("alert(1)").count(),
        page.matches("{{script}}").count()
    );
    let data = data(&page);
    let name = format!("in/{HOSTILE}");
    assert_eq!(source(&data, &name)["outcome"], "done");
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_on_the_sheet_in_its_likeness() {
    use std::os::unix::ffi::OsStrExt;
    let desk = Desk::new();
    let name = OsStr::from_bytes(b"in/caf\xe9.jpg");
    fs::copy(sample("cat.jpg"), desk.folder.path().join(name)).expect("a picture");
    desk.convert("index.html", &[]);
    let data = desk.data("index.html");
    let cafe = source(&data, "in/caf\u{fffd}.jpg");
    assert_eq!(cafe["outcome"], "rejected");
    assert_eq!(cafe["href"], Value::Null);
}

#[test]
fn the_page_forbids_itself_the_network_and_refers_to_nothing_there() {
    let desk = Desk::new();
    desk.convert("index.html", &[]);
    let page = fs::read_to_string(desk.path("index.html")).expect("a page");
    assert!(page.contains("content=\"default-src 'none'; img-src 'self' file:; "));
    assert!(!page.contains("unsafe-inline"));
    let addresses = page.matches("://").count();
    assert_eq!(
        addresses,
        page.matches("http://www.w3.org/2000/svg").count()
    );
}

#[test]
fn a_run_with_nothing_to_do_writes_the_sheet_again_without_times() {
    let desk = Desk::new();
    desk.convert("in/sheet.html", &[]);
    let first = desk.data("in/sheet.html");
    desk.convert("in/sheet.html", &[]);
    let again = fs::read(desk.path("in/sheet.html")).expect("a page");
    let second = desk.data("in/sheet.html");
    assert_eq!(
        sources(&first).len(),
        sources(&second).len(),
        "a sheet is no input"
    );
    let cat = source(&second, "in/cat.jpg");
    assert_eq!(cat["outcome"], "unchanged");
    assert_eq!(cat["milliseconds"], Value::Null);
    assert_eq!(
        cat["renditions"],
        source(&first, "in/cat.jpg")["renditions"]
    );
    fs::remove_file(desk.path("in/cut.jpg")).expect("it is there");
    desk.convert("in/sheet.html", &[]);
    let third = fs::read(desk.path("in/sheet.html")).expect("a page");
    assert_ne!(again, third);
    desk.convert("in/sheet.html", &["--jobs", "1"]);
    let fourth = fs::read(desk.path("in/sheet.html")).expect("a page");
    assert!(third == fourth, "nothing but times may differ");
}

#[test]
fn nothing_but_an_older_sheet_is_overwritten() {
    let desk = Desk::new();
    fs::write(desk.path("page.html"), "<!doctype html>\n<p>mine").expect("a file");
    for report in ["in/cat.jpg", "page.html", "recipe.toml", "in", "-"] {
        let before = fs::read(desk.path(report)).ok();
        let output = desk.convert(report, &["--force"]);
        assert_eq!(code(&output), 2, "{report}");
        assert!(errors(&output).contains("--report"), "{}", errors(&output));
        assert!(fs::read(desk.path(report)).ok() == before, "{report}");
        assert!(!desk.path("out").exists(), "it is told before any work");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_pixmill"))
        .args(["convert", SAMPLES, "-o", "-", "--format", "png", "--report"])
        .arg(desk.path("new.html"))
        .output();
    assert_eq!(code(&output.expect("the command starts")), 2);
    assert!(!desk.path("new.html").exists());
}

// ---- In a browser

/// Chromium, by the name in `CHROMIUM` or one of its usual names. None is said aloud.
fn chromium() -> Option<String> {
    let named = std::env::var("CHROMIUM").ok();
    let usual = ["chromium", "chromium-browser", "google-chrome"];
    let found = named
        .into_iter()
        .chain(usual.map(str::to_owned))
        .find(|name| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        });
    if found.is_none() {
        eprintln!("SKIPPED: there is no Chromium here; name one in CHROMIUM");
    }
    found
}

/// The page's elements after its script has run, and what it said to the console.
fn opened(chromium: &str, desk: &Desk, fragment: &str) -> (String, Vec<String>) {
    let page = desk.path("index.html").canonicalize().expect("a page");
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--enable-logging=stderr", "--window-size=1400,1000"])
        .arg(format!(
            "--user-data-dir={}",
            desk.path("profile").display()
        ))
        .arg(format!("file://{}{fragment}", page.display()))
        .output()
        .expect("Chromium starts");
    let said = errors(&output);
    let console = said.lines().filter(|line| line.contains("CONSOLE"));
    let console = console.map(str::to_owned).collect();
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        console,
    )
}

#[test]
fn in_chromium_the_page_opens_without_a_word_on_the_console_and_its_filters_work() {
    let Some(chromium) = chromium() else { return };
    let desk = Desk::new();
    desk.convert("index.html", &[]);
    let rows = |dom: &str, class: &str| dom.matches(&format!("class=\"row {class}")).count();
    for (fragment, done, rejected, skipped) in [
        ("", 3, 1, 1),
        ("#outcome=rejected", 0, 1, 0),
        ("#text=CAT.jp", 1, 0, 0),
        ("#text=damaged", 0, 1, 0),
        ("#warning=frames-dropped", 1, 0, 0),
        ("#sort=saving&down=1&of=square", 3, 1, 1),
        ("#outcome=nosuch", 0, 0, 0),
    ] {
        let (dom, console) = opened(&chromium, &desk, fragment);
        assert!(console.is_empty(), "{fragment}: {console:?}");
        let found = (
            rows(&dom, "done"),
            rows(&dom, "rejected"),
            rows(&dom, "skipped"),
        );
        assert_eq!(found, (done, rejected, skipped), "{fragment}");
        assert!(dom.contains(&format!("{} of 5</output>", done + rejected + skipped)));
    }
}

#[test]
fn in_chromium_a_source_is_compared_with_its_renditions_and_its_crop_is_drawn() {
    let Some(chromium) = chromium() else { return };
    let desk = Desk::new();
    desk.convert("index.html", &[]);
    let look = |fragment: &str| {
        let (dom, console) = opened(&chromium, &desk, fragment);
        assert!(console.is_empty(), "{fragment}: {console:?}");
        assert!(dom.contains("<dialog id=\"compare\" aria-labelledby=\"compare-name\" open"));
        dom
    };
    let slider = look("#compare=in/cat.jpg&with=square");
    assert!(slider.contains("class=\"layer left\""));
    let side = look("#compare=in/cat.jpg&with=square&view=side");
    assert!(side.contains("<rect class=\"crop\" x=\"0\""), "the crop");
    assert!(side.contains("class=\"focus\""), "the focus");
    let lively = look("#compare=in/cat.jpg&with=lively");
    assert!(lively.contains("The content decided where this crop lies"));
    assert!(!lively.contains("class=\"layer left\""));
}
