//! Every name below a root, once, with what it is.
#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use pixmill_local::{Kind, walk, walk_below};
use tempfile::TempDir;

fn folder_of(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for file in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, file).expect("a file");
    }
    folder
}

/// Each entry as `key: kind`.
fn told(root: &Path, leave_out: Option<&Path>) -> Vec<String> {
    let entries = walk(root, leave_out).expect("a root");
    let told = entries.map(|entry| {
        assert!(entry.path.starts_with(root), "{}", entry.path.display());
        let kind = match entry.kind {
            Kind::File { size, .. } => format!("{size} bytes"),
            Kind::Hidden => "hidden".to_owned(),
            Kind::NotAFile(words) => words.to_owned(),
            Kind::NotUtf8 => "not UTF-8".to_owned(),
            other => format!("{other:?}"),
        };
        format!("{}: {kind}", entry.key)
    });
    told.collect()
}

fn keys(root: &Path, leave_out: Option<&Path>) -> Vec<String> {
    let entries = walk(root, leave_out).expect("a root");
    entries.map(|entry| entry.key).collect()
}

#[test]
fn entries_come_in_the_byte_order_of_their_keys() {
    let mut files = ["a/x", "a-b", "a.jpg", "a0", "b", "a/b/c", "a/b.c", "Z", "é"];
    let folder = folder_of(&files);
    files.sort_unstable();
    assert_eq!(keys(folder.path(), None), files);
}

#[test]
fn a_focus_point_beside_its_picture_is_not_told_and_one_alone_is() {
    let folder = folder_of(&[
        "a/cat.jpg",
        "a/cat.jpg.focus-point",
        "a/dog.jpg.focus-point",
        "a/.focus-point",
    ]);
    let expected = ["a/.focus-point", "a/cat.jpg", "a/dog.jpg.focus-point"];
    assert_eq!(keys(folder.path(), None), expected);
}

#[test]
fn hidden_names_are_told_and_not_entered_and_our_own_are_not_told() {
    let folder = folder_of(&[
        ".git/config",
        ".hidden.png",
        ".pixmill/lock",
        "a/.pixmill-1-2-3.tmp",
        "a/.pixmill/manifests/x.json",
        "a/cat.png",
    ]);
    let expected = [".git: hidden", ".hidden.png: hidden", "a/cat.png: 9 bytes"];
    assert_eq!(told(folder.path(), None), expected);
}

#[test]
fn links_are_taken_only_where_a_store_on_the_same_root_could_read_them() {
    let outside = folder_of(&["secret"]);
    let folder = folder_of(&["real/cat.png"]);
    let link = |target: &Path, name| symlink(target, folder.path().join(name)).expect("a link");
    link(Path::new("real/cat.png"), "1-inside");
    link(&outside.path().join("secret"), "2-outside");
    link(Path::new("real"), "3-folder");
    link(Path::new("."), "4-cycle");
    link(Path::new("missing"), "5-nowhere");
    link(Path::new("6-itself"), "6-itself");
    link(outside.path(), "7-outside-folder");
    let expected = [
        "1-inside: 12 bytes",
        "2-outside: a link that leads out of the folder",
        "3-folder: a link to a folder",
        "4-cycle: a link to a folder",
        "5-nowhere: a link that leads nowhere",
        "6-itself: a link that leads in circles",
        "7-outside-folder: a link that leads out of the folder",
        "real/cat.png: 12 bytes",
    ];
    assert_eq!(told(folder.path(), None), expected);
}

#[test]
fn what_is_no_file_or_has_no_key_is_told_and_hides_nothing_else() {
    let folder = folder_of(&["z"]);
    let _socket = UnixListener::bind(folder.path().join("socket")).expect("a socket");
    let odd = folder.path().join(OsStr::from_bytes(b"odd-\xff"));
    fs::create_dir(&odd).expect("a folder");
    fs::write(odd.join("unseen"), "x").expect("a file");
    let expected = [
        "odd-\u{fffd}: not UTF-8",
        "socket: a pipe, a socket or a device",
        "z: 1 bytes",
    ];
    assert_eq!(told(folder.path(), None), expected);
}

#[test]
fn an_output_folder_inside_the_input_is_left_out_however_it_is_spelled() {
    let folder = folder_of(&["a.png", "out/a.png/small.jpg", "outer.png"]);
    let root = folder.path();
    symlink(root.join("out"), root.join("y-link")).expect("a link");
    let link = "y-link";
    for spelling in ["out", "out/", "./out/../out", link] {
        let found = keys(root, Some(&root.join(spelling)));
        assert_eq!(found, ["a.png", "outer.png", link], "{spelling}");
    }
    let to_come = root.join("to/come");
    let mut walk = walk(root, Some(&to_come)).expect("a root");
    fs::create_dir_all(&to_come).expect("made meanwhile");
    fs::write(to_come.join("small.jpg"), "x").expect("a file");
    assert!(walk.all(|entry| !entry.key.contains("come")));
}

#[test]
fn leaving_out_the_root_or_what_is_around_it_leaves_nothing_out() {
    let folder = folder_of(&["in/a.png"]);
    let root = folder.path().join("in");
    assert_eq!(keys(&root, Some(&root)), ["a.png"]);
    assert_eq!(keys(&root, Some(folder.path())), ["a.png"]);
}

#[test]
fn a_root_may_be_spelled_with_dots_and_links() {
    let folder = folder_of(&["in/a.png", "in/out/b.png"]);
    let link = folder.path().join("link");
    symlink("in", &link).expect("a link");
    let dotted = folder.path().join("in/../in/.");
    for root in [link, dotted] {
        let out = folder.path().join("in/out");
        assert_eq!(keys(&root, Some(&out)), ["a.png"], "{}", root.display());
    }
}

#[test]
fn a_root_that_is_missing_or_a_file_is_an_error() {
    let folder = folder_of(&["file"]);
    walk(folder.path().join("missing"), None).expect_err("nothing there");
    walk(folder.path().join("file"), None).expect_err("not a folder");
}

#[test]
fn a_part_of_a_folder_is_walked_by_the_rules_of_the_whole() {
    let folder = folder_of(&[
        "trip/a.jpg",
        "trip/a.jpg.focus-point",
        "trip/day 2/b.jpg",
        "trip/out/c.jpg",
        "trip/.hidden/d.jpg",
        "other.jpg",
    ]);
    let root = folder.path();
    symlink("trip", root.join("link")).expect("a link");
    let part = |below: &str| -> Vec<String> {
        let out = root.join("trip/out");
        let walk = walk_below(root, Path::new(below), Some(&out)).expect("a root");
        let told = walk.telling_folders().map(|entry| match entry.kind {
            Kind::Folder => format!("{}/", entry.key),
            Kind::File { .. } => entry.key,
            Kind::Unreadable(error) => format!("{}: {:?}", entry.key, error.kind()),
            Kind::NotAFile(words) => format!("{}: {words}", entry.key),
            Kind::Hidden => format!("{}: hidden", entry.key),
            other => format!("{}: {other:?}", entry.key),
        });
        told.collect()
    };
    assert_eq!(
        part("trip"),
        [
            "trip/",
            "trip/.hidden: hidden",
            "trip/a.jpg",
            "trip/day 2/",
            "trip/day 2/b.jpg"
        ]
    );
    assert_eq!(part("other.jpg"), ["other.jpg"]);
    assert_eq!(part("trip/a.jpg.focus-point"), [""; 0]);
    assert_eq!(part("trip/out"), [""; 0]);
    assert_eq!(part("link"), ["link: a link to a folder"]);
    assert_eq!(part("gone.jpg"), ["gone.jpg: NotFound"]);
}
