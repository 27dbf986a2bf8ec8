//! What goes wrong around a run: kills, signals, full disks, folders that vanish, a second run. Nothing
//! broken under a final name, and the next run makes the very bytes of one that was left in peace.
//!
//! `PIXMILL_LONG=1` does everything as often as it takes to trust it: 200 kills, 50 signals.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pixmill_testkit::pictures::{Drawing, photo};

use super::{
    Desk, Lines, code, convert, copy, is_complete, made, pixmill, stderr, temporary, times,
    without_privileges,
};

/// A desk, what a run in peace makes of it, and how long that takes.
fn desk_with_clean_run(cats: usize) -> (Desk, BTreeMap<String, Vec<u8>>, Duration) {
    let desk = Desk::with_cats(cats);
    let clean = desk.folder.path().join("clean");
    let began = Instant::now();
    let (code, _) = convert(&desk.input, &clean, &["--recipe", &desk.recipe]);
    assert_eq!(code, 0);
    (desk, made(&clean), began.elapsed())
}

fn converting(desk: &Desk) -> Command {
    let mut command = pixmill();
    command.arg("convert").arg(&desk.input).arg("-o");
    command
        .arg(&desk.out)
        .args(["--json", "--recipe", &desk.recipe]);
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn start(desk: &Desk) -> Child {
    converting(desk).spawn().expect("the command starts")
}

/// Comes back at that moment of the run, or earlier if it is over.
fn wait(child: &mut Child, moment: Duration) {
    let began = Instant::now();
    while began.elapsed() < moment {
        if child
            .try_wait()
            .expect("the command can be asked")
            .is_some()
        {
            return;
        }
        std::thread::yield_now();
    }
}

fn is_temporary(key: &str) -> bool {
    key.rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with(".pixmill-"))
}

/// What lies under final names is whole: that of a run in peace, or a manifest that says that it is not
/// done. Returns how many sources are complete.
fn assert_whole(out: &Path, clean: &BTreeMap<String, Vec<u8>>) -> usize {
    let mut complete = 0;
    let there = if out.exists() {
        made(out)
    } else {
        BTreeMap::new()
    };
    for (key, bytes) in there {
        if is_temporary(&key) {
            continue;
        }
        if key.ends_with("manifest.json") {
            if !is_complete(&bytes) {
                continue;
            }
            complete += 1;
        }
        assert!(clean.get(&key) == Some(&bytes), "{key} is not whole");
    }
    complete
}

/// The next run completes what is there to what a run in peace makes, and does only what is missing.
fn assert_completed(desk: &Desk, clean: &BTreeMap<String, Vec<u8>>, complete: usize) {
    let (code, lines) = convert(&desk.input, &desk.out, &["--recipe", &desk.recipe]);
    assert_eq!((code, lines.count("failed")), (0, 0));
    assert_eq!(
        lines.count("unchanged"),
        complete as u64,
        "work was done twice"
    );
    assert!(made(&desk.out) == *clean, "not what a run in peace makes");
}

#[test]
fn a_run_killed_at_any_moment_loses_nothing_but_what_was_at_work() {
    let (desk, clean, whole) = desk_with_clean_run(times(24, 500) as usize);
    // Moments that look random and are the same on every run (Marsaglia's xorshift with 32 bits).
    let mut dice = 0x5EED_u32;
    for _ in 0..times(10, 200) {
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        let moment = whole.mul_f64(f64::from(dice) / f64::from(u32::MAX));
        // Nobody reads what it says: a pipe that is full would hold it up.
        let mut quiet = converting(&desk);
        let mut child = quiet
            .stdout(Stdio::null())
            .spawn()
            .expect("the command starts");
        wait(&mut child, moment);
        // It may be over already.
        let _ = child.kill();
        child.wait().expect("the command ended");
        let complete = assert_whole(&desk.out, &clean);
        println!("killed after {moment:?}: {complete} pictures were complete");
        assert_completed(&desk, &clean, complete);
        fs::remove_dir_all(&desk.out).expect("an output");
    }
}

#[test]
fn a_signal_at_any_moment_ends_the_run_in_order() {
    let (desk, clean, whole) = desk_with_clean_run(24);
    let all = times(6, 50);
    for signal in 0..all {
        let moment = whole.mul_f64((f64::from(signal) + 0.5) / f64::from(all));
        let mut child = start(&desk);
        wait(&mut child, moment);
        let name = if signal % 2 == 0 { "-INT" } else { "-TERM" };
        let sent = Command::new("kill")
            .args([name, &child.id().to_string()])
            .status();
        sent.expect("kill starts");
        let output = child.wait_with_output().expect("the command ended");
        let early = output.status.code().is_none();
        if !early {
            // A signal before anybody listens ends the process at once; after that it ends in order.
            assert!(matches!(code(&output), 0 | 130), "{}", output.status);
            Lines::of(&output).assert_adds_up();
            let there = if desk.out.exists() {
                made(&desk.out)
            } else {
                BTreeMap::new()
            };
            assert!(
                !there.keys().any(|key| is_temporary(key)),
                "temporary files are left"
            );
        }
        let complete = assert_whole(&desk.out, &clean);
        assert_completed(&desk, &clean, complete);
        fs::remove_dir_all(&desk.out).expect("an output");
    }
}

#[test]
fn two_runs_on_one_folder_at_once_make_what_one_makes() {
    let (desk, clean, _) = desk_with_clean_run(12);
    for _ in 0..times(2, 50) {
        let (one, other) = (start(&desk), start(&desk));
        for child in [one, other] {
            let output = child.wait_with_output().expect("the command ended");
            assert_eq!(
                code(&output),
                0,
                "{}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        assert!(made(&desk.out) == clean, "not what one run makes");
        fs::remove_dir_all(&desk.out).expect("an output");
    }
}

/// Runs the command on an output with room for `kib` KiB, in a mount namespace of its own. None where
/// this machine allows no such thing.
fn on_a_small_disk(desk: &Desk, kib: u64) -> Option<Output> {
    let script = "mount -t tmpfs -o size=\"$0\"k tmpfs \"$1\" || exit 99
        shift
        \"$@\"
        code=$?
        find \"$OUT\" -name '.pixmill-*' | sed 's/^/left: /' >&2
        cp -a \"$OUT\"/. \"$KEEP\"
        exit $code";
    fs::create_dir_all(&desk.out).expect("a folder");
    let keep = desk.folder.path().join("keep");
    fs::create_dir_all(&keep).expect("a folder");
    let output = Command::new("unshare")
        .args(["-r", "-m", "sh", "-c", script])
        .arg(kib.to_string())
        .arg(&desk.out)
        .arg(env!("CARGO_BIN_EXE_pixmill"))
        .arg("convert")
        .arg(&desk.input)
        .arg("-o")
        .arg(&desk.out)
        .args(["--json", "--recipe", &desk.recipe])
        .env("OUT", &desk.out)
        .env("KEEP", &keep)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let allowed = output.status.code() != Some(99) && !stderr(&output).contains("unshare:");
    allowed.then_some(output)
}

#[test]
fn a_disk_that_fills_fails_what_has_no_room_and_leaves_the_rest_intact() {
    let (desk, clean, _) = desk_with_clean_run(12);
    let needed: usize = clean.values().map(Vec::len).sum();
    let levels = times(5, 20);
    for level in 1..=levels {
        let kib = needed as u64 / 1024 * u64::from(level) / u64::from(levels + 1);
        let Some(output) = on_a_small_disk(&desk, kib.max(8)) else {
            eprintln!("skipped: no file system can be mounted here");
            return;
        };
        assert_eq!(code(&output), 1, "{kib} KiB: {}", stderr(&output));
        assert!(!stderr(&output).contains("left: "), "{}", stderr(&output));
        let lines = Lines::of(&output);
        lines.assert_adds_up();
        assert!(lines.count("failed") > 0, "{kib} KiB");
        for (source, line) in &lines.sources {
            let told = line["message"].as_str().unwrap_or_default();
            let failed = line["outcome"] == "failed";
            assert_eq!(failed, told.contains("space"), "{source}: {told}");
        }
        let keep = desk.folder.path().join("keep");
        let complete = assert_whole(&keep, &clean);
        assert_eq!(complete as u64, lines.count("done"), "{kib} KiB");
        fs::remove_dir_all(keep).expect("an output");
    }
}

#[test]
fn a_limit_on_the_size_of_files_fails_what_is_above_it_and_nothing_else() {
    let desk = Desk::with_cats(3);
    let script = "ulimit -f 16; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_pixmill"), "convert"])
        .arg(&desk.input)
        .arg("-o")
        .arg(&desk.out)
        .args(["--json", "--recipe", &desk.recipe])
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    // Blocks are of 512 bytes or of 1,024, so the limit is 8 or 16 KiB; the large variant has 27.
    assert_eq!(output.status.code(), Some(1), "{}", output.status);
    let lines = Lines::of(&output);
    assert_eq!(lines.count("failed"), 3);
    let there: Vec<_> = made(&desk.out).into_keys().collect();
    assert!(!there.iter().any(|key| is_temporary(key)), "{there:?}");
    let (code, _) = convert(&desk.input, &desk.out, &["--recipe", &desk.recipe]);
    assert_eq!(code, 0, "without the limit it is done");
}

#[test]
fn an_output_folder_that_is_removed_midway_never_leaves_half_a_set_as_complete() {
    let (desk, clean, whole) = desk_with_clean_run(24);
    for step in 1..=times(3, 20) {
        let mut child = start(&desk);
        wait(&mut child, whole.mul_f64(f64::from(step) / 21.0));
        // Somebody writes in it meanwhile, so it may not go at once, or not at all.
        let _ = fs::remove_dir_all(&desk.out);
        let output = child.wait_with_output().expect("the command ended");
        assert!(matches!(code(&output), 0 | 1), "{}", output.status);
        Lines::of(&output).assert_adds_up();
        let (code, lines) = convert(&desk.input, &desk.out, &["--recipe", &desk.recipe]);
        assert_eq!((code, lines.count("failed")), (0, 0));
        assert!(made(&desk.out) == clean, "not what a run in peace makes");
        fs::remove_dir_all(&desk.out).expect("an output");
    }
}

#[test]
fn whatever_lies_in_a_folder_is_named_once_and_nothing_is_waited_for() {
    let folder = temporary();
    let (input, out) = (folder.path().join("in"), folder.path().join("out"));
    fs::create_dir_all(input.join("deep")).expect("a folder");
    copy("cat.jpg", &input.join("deep/cat.jpg"));
    symlink("../deep", input.join("deep/circle")).expect("a link");
    symlink("circle", input.join("circle")).expect("a link");
    symlink("nowhere", input.join("dangling.jpg")).expect("a link");
    symlink("/etc/hostname", input.join("outside.jpg")).expect("a link");
    symlink("deep/cat.jpg", input.join("link.jpg")).expect("a link");
    UnixListener::bind(input.join("socket.jpg")).expect("a socket");
    let made_pipe = Command::new("mkfifo").arg(input.join("pipe.jpg")).status();
    assert!(made_pipe.expect("mkfifo starts").success());
    fs::write(input.join("empty.jpg"), "").expect("a file");
    fs::write(input.join(".hidden.jpg"), "x").expect("a file");

    let (code, lines) = convert(&input, &out, &[]);
    assert_eq!(code, 1, "an empty file is no picture");
    let expected = BTreeMap::from([
        (".hidden.jpg", "skipped"),
        ("circle", "skipped"),
        ("dangling.jpg", "skipped"),
        ("deep/cat.jpg", "done"),
        ("deep/circle", "skipped"),
        ("empty.jpg", "rejected"),
        ("link.jpg", "done"),
        ("outside.jpg", "skipped"),
        ("pipe.jpg", "skipped"),
        ("socket.jpg", "skipped"),
    ]);
    let found: BTreeMap<_, _> = lines
        .sources
        .keys()
        .map(|source| {
            // What is settled before it has a key goes by its path.
            let below = Path::new(source).strip_prefix(&input);
            let name = below.map_or(source.as_str(), |path| path.to_str().expect("UTF-8"));
            (name, lines.outcome(source))
        })
        .collect();
    assert_eq!(found, expected);
    let entries = fs::read_dir(folder.path()).expect("a folder");
    let names: BTreeSet<_> = entries.map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(names, BTreeSet::from(["in".into(), "out".into()]));
}

/// glibc and the kernel count address space; elsewhere the limit is not kept.
#[cfg(target_os = "linux")]
#[test]
fn under_a_limit_on_address_space_a_picture_too_large_for_it_fails_by_name_and_the_others_are_done()
{
    let desk = Desk::with_cats(3);
    let large = Drawing::new(8000, 4000, |x, _| [x.to_le_bytes()[0], 0, 0]);
    fs::write(desk.input.join("large.jpg"), large.jpeg(60)).expect("a file");
    let under = |kib: &str, out: &str| {
        let output = Command::new("sh")
            .args(["-c", "ulimit -v \"$0\"; exec \"$@\"", kib])
            .arg(env!("CARGO_BIN_EXE_pixmill"))
            .arg("convert")
            .arg(&desk.input)
            .arg("-o")
            .arg(desk.folder.path().join(out))
            // As many threads as ever: each would set address space aside.
            .args(["--json", "--jobs", "8", "--recipe", &desk.recipe])
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        assert!(
            matches!(output.status.code(), Some(0 | 1)),
            "{kib} KiB: {}\n{}",
            output.status,
            stderr(&output)
        );
        Lines::of(&output)
    };
    let little = under("170000", "little");
    assert_eq!((little.count("done"), little.count("failed")), (3, 1));
    let line = &little.sources["large.jpg"];
    assert_eq!(line["code"], "out-of-memory", "{line}");
    let enough = under("600000", "enough");
    assert_eq!((enough.count("done"), enough.count("failed")), (4, 0));
}

#[test]
fn a_picture_that_would_take_longer_than_one_may_fails_by_name_and_the_others_are_done() {
    let folder = temporary();
    let input = folder.path().join("in");
    fs::create_dir(&input).expect("a folder");
    fs::write(input.join("large.jpg"), photo(3000, 2000).jpeg(80)).expect("a file");
    fs::write(input.join("small.jpg"), photo(16, 16).jpeg(80)).expect("a file");
    let recipe = folder.path().join("recipe.toml");
    let text = "version = 1\n[[variant]]\nname = \"dear\"\nformat = \"avif\"\neffort = \"best\"\n";
    fs::write(&recipe, text).expect("a recipe");
    let recipe = recipe.to_str().expect("UTF-8");
    let out = folder.path().join("out");
    // Half a minute is foretold for the large one.
    let (code, lines) = convert(&input, &out, &["--time-limit", "5", "--recipe", recipe]);
    assert_eq!((code, lines.outcome("small.jpg")), (1, "done"));
    let line = &lines.sources["large.jpg"];
    assert_eq!(
        (&line["outcome"], &line["code"]),
        (&"failed".into(), &"out-of-time".into()),
        "{line}"
    );
    assert!(!out.join("large.jpg").exists(), "nothing is written of it");
}

/// Runs the command under strace, which lets calls of the system fail as `inject` says. None where this machine
/// has no strace, or lets nobody look into another process.
fn with_failing_calls(desk: &Desk, inject: &str) -> Option<Output> {
    let output = Command::new("strace")
        .args(["-f", "-qqq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={inject}"))
        .arg(env!("CARGO_BIN_EXE_pixmill"))
        .arg("convert")
        .arg(&desk.input)
        .arg("-o")
        .arg(&desk.out)
        .args(["--json", "--durable", "--recipe", &desk.recipe])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let refused = stderr(&output)
        .lines()
        .any(|line| line.starts_with("strace: "));
    (!refused).then_some(output)
}

#[test]
fn whichever_call_of_the_system_fails_nothing_broken_is_left_and_the_next_run_completes_it() {
    let (desk, clean, _) = desk_with_clean_run(4);
    let (mut hurt, mut runs) = (0, 0);
    // Not `read` and `write`: threads wake each other by them.
    for call in [
        "openat",
        "openat2",
        "statx",
        "getdents64",
        "renameat",
        "unlinkat",
        "mkdirat",
        "flock",
        "fsync",
        "utimensat",
        "fcntl",
    ] {
        for number in 0..times(3, 12) {
            // Counted in each thread.
            let nth = 1 + number * number;
            let lasting = if number % 2 == 0 { "" } else { "+" };
            let inject = format!("{call}:error=EIO:when={nth}{lasting}");
            let Some(output) = with_failing_calls(&desk, &inject) else {
                eprintln!(
                    "nothing tested: there is no strace here, or it may not look into a process"
                );
                return;
            };
            runs += 1;
            // 127: not even the libraries could be loaded.
            let ended = output
                .status
                .code()
                .unwrap_or_else(|| panic!("{inject}: {}", output.status));
            assert!(
                matches!(ended, 0 | 1 | 2 | 127),
                "{inject}: {ended}\n{}",
                stderr(&output)
            );
            assert!(
                !stderr(&output).contains("panicked"),
                "{inject}: {}",
                stderr(&output)
            );
            let words = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
            if ended != 0 {
                hurt += 1;
                assert!(!words.trim().is_empty(), "{inject}: no word of it");
            }
            let complete = assert_whole(&desk.out, &clean);
            let (code, lines) = convert(&desk.input, &desk.out, &["--recipe", &desk.recipe]);
            assert_eq!((code, lines.count("failed")), (0, 0), "{inject}");
            assert!(
                lines.count("unchanged") >= complete as u64,
                "{inject}: work was done twice"
            );
            assert!(
                made(&desk.out) == clean,
                "{inject}: not what a run in peace makes"
            );
            fs::remove_dir_all(&desk.out).expect("an output");
        }
    }
    println!("{hurt} of {runs} runs met their fault and said so");
    assert!(hurt > 10, "{hurt} of {runs}");
}

#[test]
fn a_source_whose_disk_fails_midway_is_named_and_the_others_are_done() {
    let desk = Desk::with_cats(3);
    let victim = desk.input.join("001.jpg");
    let output = Command::new("strace")
        .args(["-f", "-qqq", "-o", "/dev/null", "-P"])
        .arg(&victim)
        .args(["-e", "inject=read,pread64,preadv:error=EIO:when=2+"])
        .arg(env!("CARGO_BIN_EXE_pixmill"))
        .arg("convert")
        .arg(&desk.input)
        .arg("-o")
        .arg(&desk.out)
        .args(["--json", "--recipe", &desk.recipe])
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("nothing tested: there is no strace here");
        return;
    };
    if stderr(&output)
        .lines()
        .any(|line| line.starts_with("strace: "))
    {
        eprintln!("nothing tested: strace may not look into a process here");
        return;
    }
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let lines = Lines::of(&output);
    lines.assert_adds_up();
    assert_eq!((lines.count("done"), lines.count("failed")), (2, 1));
    let line = &lines.sources["001.jpg"];
    assert_eq!(
        (&line["outcome"], &line["stage"]),
        (&"failed".into(), &"fetch".into()),
        "{line}"
    );
    let words = line["message"].as_str().expect("words");
    assert!(
        words.contains("001.jpg") && words.contains("nput/output error"),
        "{words}"
    );
    assert!(!desk.out.join("001.jpg").exists());
}

#[test]
fn an_output_that_nobody_may_enter_any_more_midway_is_completed_when_they_may() {
    let (desk, clean, whole) = desk_with_clean_run(24);
    let open = |path: &Path, mode: u32| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(path, mode).expect("its owner may");
    };
    open(desk.folder.path(), 0o755);
    for step in 1..=times(3, 20) {
        fs::create_dir(&desk.out).expect("a folder");
        open(&desk.out, 0o777);
        let mut command = converting(&desk);
        let Some(command) = without_privileges(&mut command) else {
            eprintln!("nothing tested: permissions bind nobody here");
            return;
        };
        let mut child = command.spawn().expect("the command starts");
        wait(&mut child, whole.mul_f64(f64::from(step) / 21.0));
        open(&desk.out, 0);
        let output = child.wait_with_output().expect("the command ended");
        open(&desk.out, 0o777);
        match code(&output) {
            // It ended before it had begun to write, and says why on standard error.
            2 => assert!(made(&desk.out).is_empty()),
            0 | 1 => Lines::of(&output).assert_adds_up(),
            other => panic!("{other}"),
        }
        assert_whole(&desk.out, &clean);
        let (code, lines) = convert(&desk.input, &desk.out, &["--recipe", &desk.recipe]);
        assert_eq!((code, lines.count("failed")), (0, 0));
        assert!(made(&desk.out) == clean, "not what a run in peace makes");
        fs::remove_dir_all(&desk.out).expect("an output");
    }
}
