//! What can be typed: arguments, their help, and the recipe that they ask for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use pixmill::Recipe;
use pixmill::recipe::{Animation, Effort, Fit, Focus, OutputFormat, Variant};

use crate::redrive::Redrive;
use crate::replay::Replay;
use crate::verify::Verify;

/// One picture in, every rendition out.
#[derive(Debug, Parser)]
#[command(name = "pixmill", version, after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Exit codes:
  0    everything was done (or was in place already)
  1    something was rejected or failed; the messages and the summary say what
  2    wrong arguments, a recipe that can't be read, or an output that can't be
  130  stopped by Ctrl-C; run the same command again to finish

Buckets are reached by the settings of the AWS tools: AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,
AWS_REGION, and AWS_ENDPOINT_URL for services other than AWS.

Examples:
  pixmill convert photos -o renditions
  pixmill convert photos -o renditions --report renditions/index.html
  pixmill convert photos -o small --format webp --quality 80 --width 1600
  pixmill plan photos -o renditions
  pixmill convert s3://uploads -o s3://processed
  pixmill plan s3://uploads -o s3://processed --prune
  pixmill plan --inventory manifest.json -o s3://processed --emit-batch-manifest backfill.csv
  pixmill watch photos -o renditions
  pixmill inspect photo.jpg";

const CONVERT_HELP: &str = "\
Exit codes:
  0    everything was done (or was in place already)
  1    something was rejected or failed; the messages and the summary say what
  2    wrong arguments, or a recipe that can't be read
  130  stopped by Ctrl-C; run the same command again to finish

Examples:
  pixmill convert photos -o renditions
  pixmill convert photos -o renditions --recipe recipe.toml --report renditions/index.html
  pixmill convert photos -o small --format webp --quality 80 --width 1600
  pixmill convert s3://uploads -o s3://processed
  find photos -name '*.jpg' -newer last | pixmill convert --files-from - -o renditions
  pixmill convert photo.jpg -o - --format jpeg --width 300 > thumbnail.jpg";

const PLAN_HELP: &str = "\
Exit codes:
  0    all of it could be done
  1    something would be refused; the lines say what
  2    wrong arguments, a recipe or an output that can't be read
  130  stopped by Ctrl-C

Examples:
  pixmill plan photos -o renditions
  pixmill plan photos -o renditions --estimate
  pixmill plan s3://uploads -o s3://processed --prune
  pixmill plan --inventory manifest.json -o s3://processed --emit-batch-manifest backfill.csv
  pixmill plan photos -o renditions --json | jq -r 'select(.action == \"update\") | .path'";

const INSPECT_HELP: &str = "\
Examples:
  pixmill inspect photo.jpg
  pixmill inspect photo.jpg --recipe recipe.toml --json";

const RECIPE_HELP: &str = "\
Examples:
  pixmill recipe init
  pixmill recipe check recipe.toml
  pixmill recipe schema > recipe.schema.json";

const COMPLETIONS_HELP: &str = "\
Examples:
  pixmill completions bash > ~/.local/share/bash-completion/completions/pixmill
  pixmill completions fish > ~/.config/fish/completions/pixmill.fish";

const MAN_HELP: &str = "\
Examples:
  pixmill man | man -l -
  pixmill man convert | man -l -
  pixmill man --to ~/.local/share/man/man1";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make all renditions that are missing or old
    Convert(Convert),
    /// Say what `convert` would do, and write nothing
    Plan(Plan),
    /// Watch a folder, and make the renditions of every picture that is new or changed
    Watch(Watch),
    /// Say what a picture is, and what the recipe would make of it
    Inspect(Inspect),
    /// Answer an event as the Lambda function would, with folders in the place of buckets
    Invoke(Invoke),
    /// Say whether what is there is what was made, and what would be made again
    Verify(Verify),
    /// Try a picture that failed once more, without writing anything
    Replay(Replay),
    /// List what failed by its code, and send what is chosen through again
    Redrive(Box<Redrive>),
    /// Look at, check or start a recipe
    #[command(after_help = RECIPE_HELP)]
    Recipe {
        #[command(subcommand)]
        command: RecipeCommand,
    },
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_HELP)]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff), or one of a subcommand
    #[command(after_help = MAN_HELP)]
    Man {
        /// Which subcommand, such as `convert` or `recipe check`
        subcommand: Vec<String>,
        /// Write the pages of the command and of all its subcommands to this folder
        #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = CONVERT_HELP)]
pub(crate) struct Convert {
    #[command(flatten)]
    pub(crate) work: Work,
    /// Put each file on disk before it counts as done (fsync); slower. A bucket does so anyway
    #[arg(long)]
    pub(crate) durable: bool,
    /// Write metrics to FILE in Prometheus' text format
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics: Option<PathBuf>,
    /// Write a contact sheet to FILE: one HTML page to look at, with every picture beside its renditions, sizes, times,
    /// warnings and failures
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) page: Page,
    #[command(flatten)]
    pub(crate) prune: Prune,
    #[command(flatten)]
    pub(crate) estimate: Estimating,
    /// Close with an alert when more than this share of the pictures was rejected or failed
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub(crate) alert_above: f64,
    /// Print nothing but errors and the summary
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Name unchanged and skipped files too, and every warning
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What becomes of renditions whose sources are gone.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Remove what was made from sources that are gone, after showing it and looking for each source once more. Takes one
    /// whole folder or prefix as input
    #[arg(id = "prune", long = "prune")]
    pub(crate) is_asked: bool,
    /// Remove it without asking
    #[arg(long, requires = "prune")]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
#[command(after_help = WATCH_HELP)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) work: Work,
    /// How long a file must have stood still before it is taken
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    pub(crate) settle: Duration,
    /// Look at the whole folder every so often, instead of listening to the system: for network mounts, which tell
    /// nothing of what others do
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) poll: Option<Duration>,
    /// Remove renditions when their source is gone
    #[arg(long)]
    pub(crate) remove: bool,
    /// Put each file on disk before it counts as done (fsync); slower
    #[arg(long)]
    pub(crate) durable: bool,
    /// Name unchanged, skipped and vanished files too, and every warning
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

const WATCH_HELP: &str = "\
The start is a plan over the whole folder, as `convert` makes it; so it is safe to stop a watch and to start it again. After
that, each file that is new or changed is taken once it has stood still; one line a picture goes to standard output.

With --remove, the output belongs to this one folder: what was made of pictures that are not in it is removed.

Exit codes:
  0    stopped by the first Ctrl-C (or SIGTERM); the pictures at work were finished
  2    wrong arguments, a recipe that can't be read, or the folder can't be watched any more
  130  stopped by a second Ctrl-C; the next start finishes what was cut off

Examples:
  pixmill watch photos -o renditions
  pixmill watch photos -o renditions --remove --json
  pixmill watch /mnt/share/photos -o renditions --poll 30";

/// What is printed for a web page.
#[derive(Debug, Args)]
pub(crate) struct Page {
    /// Print a ready <picture> element for each source, and the summary to standard error
    #[arg(long, conflicts_with = "json")]
    pub(crate) html: bool,
    /// What stands before each file's path in the URLs of `--html`, such as <https://cdn.example.com/>; and in those of
    /// `--report` where the output is a bucket, whose contact sheet shows no pictures without it
    #[arg(
        long,
        value_name = "URL",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) html_base: String,
    /// The `sizes` attribute of `--html`: how wide the page shows the pictures
    #[arg(long, value_name = "SIZES", default_value = "100vw", requires = "html")]
    pub(crate) html_sizes: String,
}

#[derive(Debug, Args)]
#[command(after_help = PLAN_HELP)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) work: Work,
    #[command(flatten)]
    pub(crate) estimate: Estimating,
    /// Say what `convert --prune` would remove, after looking for each source once more
    #[arg(long)]
    pub(crate) prune: bool,
    /// Don't read the pictures' headers: quicker by a call for each, but what will be refused isn't known
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// Write a manifest for S3 Batch Operations to FILE: the objects that would be created or updated, as CSV, by which a
    /// job runs the deployed function over them
    #[arg(long, value_name = "FILE")]
    pub(crate) emit_batch_manifest: Option<PathBuf>,
    /// Name what would be kept or skipped too
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// What the run will take.
#[derive(Debug, Args)]
pub(crate) struct Estimating {
    /// Say beforehand what the run takes and would cost on Lambda, by a short measurement on this machine; `convert` says
    /// afterwards what it took
    #[arg(long = "estimate")]
    pub(crate) is_asked: bool,
}

/// What `convert` and `plan` have in common: everything that decides what is made.
#[derive(Debug, Args)]
pub(crate) struct Work {
    /// Pictures, folders (with everything in them), `s3://bucket/key` or `s3://bucket/prefix/`, or `-` for standard
    /// input
    #[arg(required_unless_present_any = ["files_from", "inventory"])]
    pub(crate) inputs: Vec<PathBuf>,
    /// The folder to write to, or `s3://bucket/prefix`; `-` for standard output (one picture, one rendition)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) choice: RecipeChoice,
    /// Take only files or keys that match; their path within the input counts (`**/*.jpg`)
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out files or keys that match
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Read paths and addresses from FILE, one a line (separated by NUL if it holds any); `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) files_from: Option<PathBuf>,
    /// Take the objects that FILE lists: the `manifest.json` of an S3 Inventory in CSV, its data files beside it, or a manifest
    /// of S3 Batch Operations. An input `s3://bucket/prefix/` beside it chooses those below, and is not part of their keys
    #[arg(long, value_name = "FILE", conflicts_with = "files_from")]
    pub(crate) inventory: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) share: Share,
    /// Make everything again, and replace files that Pixmill did not make
    #[arg(long)]
    pub(crate) force: bool,
    /// Print one JSON object per source, then a summary object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What of the machine a run may have.
#[derive(Debug, Default, Args)]
pub(crate) struct Share {
    /// Pictures rendered at once [default: the number of cores]; between buckets, more may be on their way
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Memory for pictures at work, such as 2GiB [default: three quarters of what is free, in the machine, the
    /// container, or under `ulimit -v`]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Give a picture up that is not rendered within so long, and go on with the others [default: 1800]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) time_limit: Option<Duration>,
}

/// Which recipe: a file, one variant described on the spot, or the default.
#[derive(Debug, Args)]
pub(crate) struct RecipeChoice {
    /// The recipe [default: the one that `pixmill recipe show` prints]
    #[arg(short, long, value_name = "FILE", conflicts_with = "Spot")]
    pub(crate) recipe: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) spot: Spot,
}

/// One variant without a recipe: one file per source, `{dir}{stem}.{ext}`.
#[derive(Debug, Args)]
#[group(id = "Spot", multiple = true)]
pub(crate) struct Spot {
    /// Make one rendition of this format per source, without a recipe
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// 1 (smallest file) to 100 (best picture) [default: 80]
    #[arg(long, requires = "format", value_parser = clap::value_parser!(u8).range(1..=100))]
    quality: Option<u8>,
    /// Keep every pixel as it is (WebP)
    #[arg(long, requires = "format")]
    lossless: bool,
    /// Speed against size
    #[arg(long, requires = "format", value_enum)]
    effort: Option<EffortArg>,
    /// The width of the box to fit, in pixels
    #[arg(long, requires = "format", value_parser = clap::value_parser!(u32).range(1..))]
    width: Option<u32>,
    /// The height of the box to fit, in pixels
    #[arg(long, requires = "format", value_parser = clap::value_parser!(u32).range(1..))]
    height: Option<u32>,
    /// What becomes of animations [default: keep for WebP, first-frame for the rest]
    #[arg(long, requires = "format", value_enum)]
    animation: Option<AnimationArg>,
    /// How the picture meets the box [default: inside]
    #[arg(long, requires = "format", value_enum)]
    fit: Option<FitArg>,
    /// Which part `--fit cover` keeps: center, top, bottom, left, right, top-left, top-right,
    /// bottom-left, bottom-right, entropy, or a point such as 0.25,0.4 [default: center]
    #[arg(long, requires = "format", value_name = "FOCUS")]
    focus: Option<Focus>,
    /// Enlarge pictures that are smaller than the box
    #[arg(long, requires = "format")]
    enlarge: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    Avif,
    Jpeg,
    Png,
    Webp,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EffortArg {
    Fast,
    Balanced,
    Best,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AnimationArg {
    Keep,
    FirstFrame,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FitArg {
    Inside,
    Outside,
    Cover,
    Contain,
    Fill,
}

#[derive(Debug, Args)]
#[command(after_help = INSPECT_HELP)]
pub(crate) struct Inspect {
    /// The picture
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) choice: RecipeChoice,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = INVOKE_HELP)]
pub(crate) struct Invoke {
    /// The event: what S3, SQS, SNS, `EventBridge` or S3 Batch Operations sends, a message printed by
    /// `aws sqs receive-message`, the record at a failure destination, or {"bucket", "key"};
    /// `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) event: PathBuf,
    /// The folder that stands for the upload bucket, whatever the event calls it
    #[arg(long, value_name = "DIR")]
    pub(crate) uploads: PathBuf,
    /// The folder that stands for the processed bucket
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// The recipe [default: the one that `pixmill recipe show` prints]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) recipe: Option<PathBuf>,
    /// What the keys of uploads begin with, as `UPLOAD_PREFIX` says it in the function
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) upload_prefix: String,
    /// Remove renditions when the event says that their source is gone, and it is
    #[arg(long)]
    pub(crate) remove: bool,
}

const INVOKE_HELP: &str = "\
The reply goes to standard output, the log (one JSON object a line) to standard error.

Exit codes:
  0    every record is settled
  1    a picture was rejected, or a record must come again; the log says which and why
  2    wrong arguments, an event that isn't JSON, or a recipe that can't be used for events

Examples:
  pixmill invoke --event event.json --uploads photos -o renditions
  aws sqs receive-message --queue-url \"$DEAD\" | pixmill invoke --event - --uploads photos -o renditions";

#[derive(Debug, Subcommand)]
pub(crate) enum RecipeCommand {
    /// Print the default recipe
    Show,
    /// Read a recipe and say what is wrong with it
    Check {
        /// The recipe
        file: PathBuf,
    },
    /// Write the default recipe to a new file
    Init {
        /// The new file
        #[arg(default_value = "recipe.toml")]
        file: PathBuf,
    },
    /// Print the JSON Schema of recipes
    Schema,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let seconds = seconds.filter(|seconds| (0.01..=86_400.0).contains(seconds));
    let seconds = seconds.map(Duration::from_secs_f64);
    seconds.ok_or_else(|| "seconds go from 0.01 to 86400".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share goes from 0 to 1".to_owned()),
    }
}

impl Work {
    /// The one input, where there can be only one.
    pub(crate) fn input(&self) -> anyhow::Result<&Path> {
        match self.inputs.as_slice() {
            [input] if input.as_os_str() != "-" && self.files_from.is_none() => Ok(input),
            _ => bail!("name exactly one folder to watch"),
        }
    }
}

impl RecipeChoice {
    /// The recipe that is meant. Fails where its file can't be read or is no recipe.
    pub(crate) fn load(&self) -> anyhow::Result<Recipe> {
        if let Some(path) = &self.recipe {
            return read_recipe(path);
        }
        let Some(format) = self.spot.format else {
            return Ok(Recipe::default_recipe());
        };
        let spot = &self.spot;
        let mut variant = Variant::new(
            "rendition",
            match format {
                FormatArg::Avif => OutputFormat::Avif,
                FormatArg::Jpeg => OutputFormat::Jpeg,
                FormatArg::Png => OutputFormat::Png,
                FormatArg::Webp => OutputFormat::Webp,
            },
        );
        variant.quality = spot.quality;
        variant.lossless = spot.lossless;
        variant.width = spot.width;
        variant.height = spot.height;
        variant.enlarge = spot.enlarge;
        variant.animation = spot.animation.map(|animation| match animation {
            AnimationArg::Keep => Animation::Keep,
            AnimationArg::FirstFrame => Animation::FirstFrame,
        });
        variant.effort = match spot.effort {
            Some(EffortArg::Fast) => Effort::Fast,
            Some(EffortArg::Best) => Effort::Best,
            Some(EffortArg::Balanced) | None => Effort::Balanced,
        };
        variant.fit = match spot.fit {
            Some(FitArg::Outside) => Fit::Outside,
            Some(FitArg::Cover) => Fit::Cover,
            Some(FitArg::Contain) => Fit::Contain,
            Some(FitArg::Fill) => Fit::Fill,
            Some(FitArg::Inside) | None => Fit::Inside,
        };
        variant.focus = spot.focus.unwrap_or_default();
        match Recipe::single(variant) {
            Ok(recipe) => Ok(recipe),
            Err(error) => bail!("these options contradict each other: {error}"),
        }
    }
}

/// Reads a recipe file; the error names the file and, where there is one, the line.
pub(crate) fn read_recipe(path: &std::path::Path) -> anyhow::Result<Recipe> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the recipe {} can't be read", path.display()))?;
    Recipe::from_toml(&text).with_context(|| format!("the recipe {} is wrong", path.display()))
}
