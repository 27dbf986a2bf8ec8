//! `cargo xtask fuzz`: libFuzzer on everything that reads what strangers wrote.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::machine::{self, cargo, is_there};
use crate::{Failure, Task};

pub(crate) const TASK: Task = Task {
    name: "fuzz",
    about: "Feed what libFuzzer makes up to everything that reads strangers' bytes",
    usage: " [TARGET]... [--seconds N] [--address]",
    details: "\
Runs each target for N seconds (120), one after the other, with at most 512 MB of memory and 5 s for one input. Without
names, every one: probe, decode-jpeg, -png, -webp, -gif, -bmp, -tiff, -ico, -pnm, -qoi, render, recipe, event, key, manifest.

Seeds are drawn in code; what grows from them is kept in fuzz/corpus, and what fails in fuzz/artifacts: the words
that libFuzzer ends with say how to repeat it. A panic is a failure here, also one that rendering would fence in.
Takes cargo-fuzz, and a C++ compiler for libFuzzer; the Rust of the build will do, be it stable. Where clang is there,
it builds the C libraries, so that what they cover counts too.

  --address
           under AddressSanitizer, the C libraries too, and these without their assembly, which no sanitizer
           can look into: several times slower, and with 2 GB and 30 s for one input, because the sanitizer
           itself takes most of it",
    start,
};

/// Each with a corpus of its own.
const TARGETS: [&str; 15] = [
    "probe",
    "decode-jpeg",
    "decode-png",
    "decode-webp",
    "decode-gif",
    "decode-bmp",
    "decode-tiff",
    "decode-ico",
    "decode-pnm",
    "decode-qoi",
    "render",
    "recipe",
    "event",
    "key",
    "manifest",
];

/// Longer inputs find nothing that shorter ones don't, and take longer.
const LONGEST: u32 = 16_384;

struct Wish {
    targets: Vec<&'static str>,
    seconds: u32,
    address: bool,
}

fn start(words: Vec<OsString>) -> Result<ExitCode, Failure> {
    let wish = read(words)?;
    machine::get_ready()?;
    if !is_there("cargo-fuzz") {
        let how = "cargo-fuzz is not installed. This installs it:\n\n  cargo install cargo-fuzz\n";
        return Err(Failure::Task(how.to_owned()));
    }
    let corpus = Path::new("fuzz/corpus");
    machine::build(&["--example", "seeds"])?;
    let mut seeds = Command::new(machine::built("examples/seeds")?);
    must_work(seeds.arg(corpus), "the seeds could not be written")?;
    let clang = clang_counts();
    for target in &wish.targets {
        eprintln!("\n{target}, {} s", wish.seconds);
        must_work(&mut run(target, &wish, clang, corpus), target)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn read(words: Vec<OsString>) -> Result<Wish, Failure> {
    let mut wish = Wish {
        targets: Vec::new(),
        seconds: 120,
        address: false,
    };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().and_then(|word| word.to_str()?.parse().ok());
            let missing = || Failure::Usage("--seconds takes a number of seconds.".to_owned());
            wish.seconds = number.filter(|seconds| *seconds > 0).ok_or_else(missing)?;
        } else if word == "--address" {
            wish.address = true;
        } else if let Some(target) = TARGETS.iter().find(|target| word == **target) {
            wish.targets.push(target);
        } else {
            let word = word.to_string_lossy();
            return Err(Failure::Usage(format!("There is no target '{word}'.")));
        }
    }
    if wish.targets.is_empty() {
        wish.targets = TARGETS.to_vec();
    }
    Ok(wish)
}

/// The decoders share one program: the format is what the variable says. `clang` can count what the C libraries cover.
fn run(target: &str, wish: &Wish, clang: bool, corpus: &Path) -> Command {
    let (program, format) = match target.split_once('-') {
        Some((program, format)) => (program, Some(format)),
        None => (target, None),
    };
    let (sanitizer, megabytes, timeout) = if wish.address {
        ("address", 2048, 30)
    } else {
        ("none", 512, 5)
    };
    let mut command = cargo();
    command.args(["fuzz", "run", "--sanitizer", sanitizer]);
    command.args(["--target-dir", &format!("target/fuzz-{sanitizer}")]);
    let mut c = Vec::new();
    if wish.address {
        // The compiler of the build, asked for something that is not stable.
        command.env("RUSTC_BOOTSTRAP", "1");
        command.env("JSIMD_FORCENONE", "1");
        c.push("address");
    }
    if clang {
        command.env("CC", "clang");
        c.push("fuzzer-no-link");
    }
    if !c.is_empty() {
        let flags = format!("-fsanitize={} -fno-omit-frame-pointer -g1", c.join(","));
        command.env("CFLAGS", flags);
    }
    command.arg(program);
    command.arg(corpus.join(target)).arg("--");
    command.arg(format!("-max_total_time={}", wish.seconds));
    command.arg(format!("-max_len={LONGEST}"));
    command.arg(format!("-rss_limit_mb={megabytes}"));
    command.arg(format!("-timeout={timeout}"));
    command.arg("-print_final_stats=1");
    command.envs(format.map(|format| ("PIXMILL_FUZZ_FORMAT", format)));
    command
}

/// Whether clang is there, with the libraries of its sanitizers.
fn clang_counts() -> bool {
    let mut clang = Command::new("clang");
    clang.args(["-fsanitize=address,fuzzer-no-link", "-x", "c", "-", "-o"]);
    clang.arg("/dev/null").stdin(Stdio::piped());
    let clang = clang.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    clang.is_ok_and(|mut clang| {
        let input = clang.stdin.take();
        let fed =
            input.is_some_and(|mut input| input.write_all(b"int main(void){return 0;}").is_ok());
        clang.wait().is_ok_and(|status| fed && status.success())
    })
}

fn must_work(command: &mut Command, what: &str) -> Result<(), Failure> {
    let status = command.stdin(Stdio::null()).stdout(io::stderr()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::Task(format!("\nFailed: {what}."))),
        Err(error) => Err(Failure::Task(format!(
            "cargo could not be started: {error}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{TARGETS, Wish, read, run};

    fn wish(address: bool) -> Wish {
        Wish {
            targets: Vec::new(),
            seconds: 7,
            address,
        }
    }

    #[test]
    fn a_decoder_is_one_program_with_a_format_and_a_corpus_of_its_own() {
        let command = run("decode-png", &wish(false), false, Path::new("corpus"));
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect();
        assert!(words.contains(&"decode".into()) && words.contains(&"corpus/decode-png".into()));
        assert!(words.contains(&"-max_total_time=7".into()));
        assert!(
            command
                .get_envs()
                .any(|(_, format)| format == Some("png".as_ref()))
        );
        assert_eq!(
            run("key", &wish(false), false, Path::new("corpus"))
                .get_envs()
                .filter(|(_, v)| v.is_some())
                .count(),
            0
        );
    }

    #[test]
    fn c_is_instrumented_as_far_as_its_compiler_can_and_no_build_is_in_anothers_way() {
        let about = |address, clang| {
            let command = run("render", &wish(address), clang, Path::new("corpus"));
            let words = command.get_args().map(|word| word.to_string_lossy());
            let words: Vec<_> = words.map(String::from).collect();
            let mut envs = command.get_envs();
            let flags = envs.find_map(|(key, value)| value.filter(|_| key == "CFLAGS"));
            let flags = flags.map(|flags| flags.to_string_lossy().into_owned());
            let what = flags.and_then(|flags| Some(flags.split(' ').next()?.to_owned()));
            (words[3].clone(), words[5].clone(), what)
        };
        let plain = |what: Option<&str>| {
            (
                "none".into(),
                "target/fuzz-none".into(),
                what.map(str::to_owned),
            )
        };
        let checked = |what: &str| {
            (
                "address".into(),
                "target/fuzz-address".into(),
                Some(what.to_owned()),
            )
        };
        assert_eq!(about(false, false), plain(None));
        assert_eq!(about(false, true), plain(Some("-fsanitize=fuzzer-no-link")));
        assert_eq!(about(true, false), checked("-fsanitize=address"));
        assert_eq!(
            about(true, true),
            checked("-fsanitize=address,fuzzer-no-link")
        );
    }

    #[test]
    fn without_names_every_target_is_meant_and_what_is_none_is_refused() {
        let targets = |words: &[&str]| {
            let words = words.iter().map(Into::into).collect();
            read(words).ok().map(|wish| wish.targets)
        };
        assert_eq!(targets(&[]), Some(TARGETS.to_vec()));
        assert_eq!(targets(&["key", "--seconds", "5"]), Some(vec!["key"]));
        assert_eq!(targets(&["keys"]), None);
        assert_eq!(targets(&["--seconds", "0"]), None);
    }
}
