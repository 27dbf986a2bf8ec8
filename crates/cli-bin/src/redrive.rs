//! `redrive`: what failed, by code; and what is chosen of it sent through again, none lost.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use clap::Args;
use futures_util::{StreamExt, stream};
use globset::{Glob, GlobMatcher};
use pixmill::job::Job;
use pixmill::manifest::FailureRecord;
use pixmill::outcome::Outcome;
use pixmill::process::{Foreign, ProcessOptions, Processor};
use pixmill::verify::Kept;
use pixmill_aws::{DeadLetters, Letter, Patience, Receipt, SqsClient, load_with, sqs_client};
use pixmill_lambda::event::{Change, Entry, read};
use pixmill_lambda::handler::{Handler, Invocation};
use pixmill_lambda::log::Log;
use pixmill_lambda::select::Rules;
use pixmill_lambda::settings::LogLevel;
use serde_json::{Value, json};

use crate::admission::{Admission, Budget};
use crate::args::{RecipeChoice, Share};
use crate::invoke::{Unwell, is_all_well};
use crate::place::{Buckets, Place, told_of_output};
use crate::run::{Ended, shown};

/// So long nobody else sees a message that is looked at; then it comes back, whatever became of this process. For
/// each that waits there is something on top, or the first would come back before the last was seen.
const OUT_OF_SIGHT: Duration = Duration::from_mins(5);
/// What there is on top for each message: ten come with one call.
const FOR_EACH: Duration = Duration::from_millis(20);
/// So long nobody else sees a message that is worked on here: longer than any picture takes.
const AT_WORK: Duration = Duration::from_mins(15);
/// After so many receipts without anything new the queue counts as read.
const EMPTY_LOOKS: u32 = 3;
/// The most messages that are kept out of sight at once; SQS allows 120,000 for a queue.
const MOST_LETTERS: usize = 100_000;
/// How many messages are sent and deleted at once.
const CALLS_AT_ONCE: usize = 10;
/// How many keys stand behind each code.
const EXAMPLES: usize = 3;
/// The longest word that is taken for a code, in bytes.
const MAX_CODE: usize = 64;

/// What the name of a queue that keeps an order ends in.
const FIFO: &str = ".fifo";

#[derive(Debug, Args)]
#[command(after_help = REDRIVE_HELP)]
pub(crate) struct Redrive {
    /// Look at failure records in this output: a folder, or `s3://bucket/prefix`. With --dead-letters and --here: where
    /// the messages' pictures go, and nothing else
    #[arg(
        short,
        long,
        value_name = "OUT",
        required_unless_present = "dead_letters"
    )]
    output: Option<PathBuf>,
    /// Look at the messages of this queue (its URL): dead letters, and the records of failed asynchronous invocations
    #[arg(long, value_name = "URL")]
    dead_letters: Option<String>,
    /// Choose what failed with this code
    #[arg(long, value_name = "CODE")]
    code: Vec<String>,
    /// Choose what speaks of keys that match (`2024/**`)
    #[arg(long, value_name = "GLOB")]
    key: Option<String>,
    /// Choose so many at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Send what is chosen through again, instead of only listing it
    #[arg(long)]
    yes: bool,
    /// Send it to this queue [default: the one whose messages end in --dead-letters]
    #[arg(long, value_name = "URL", conflicts_with = "here")]
    queue: Option<String>,
    /// Process it on this machine, from --sources to --output
    #[arg(long, requires = "sources", requires = "output")]
    here: bool,
    /// Where the sources lie: a folder, or `s3://bucket/prefix`
    #[arg(short, long, value_name = "PLACE")]
    sources: Option<PathBuf>,
    #[command(flatten)]
    choice: RecipeChoice,
    #[command(flatten)]
    share: Share,
    /// Print one JSON object per record and message, then a summary object
    #[arg(long)]
    json: bool,
}

const REDRIVE_HELP: &str = "\
Without --yes nothing is sent, processed or deleted: what there is is listed by its code, with examples. Messages \
that are looked at are out of others' sight until the end, and if this process is killed, for some minutes more.

A failure record's code is that of the failure (corrupt, too-large, ...). A message's code is the error's type where \
Lambda wrote the message, the event's own fault where it can't be read (event-not-json, ...), and otherwise given-up.

With --yes, failure records are processed here (--here), whatever was tried before; or an event for each goes to the \
queue (--queue; --sources is the upload bucket), and the function tries again what another recipe or another engine \
has failed on. Messages go to the queue as they are, or are answered here as the function would. A message is \
deleted only when it was sent, or is settled.

Exit codes:
  0    it was listed; with --yes: all that was chosen went through, or was sent
  1    something that was chosen did not
  2    wrong arguments, or what was named can't be read

Examples:
  pixmill redrive --output renditions
  pixmill redrive --output renditions --code decoder-panic --here --sources photos --yes
  pixmill redrive --dead-letters https://sqs.eu-west-1.amazonaws.com/1234/images-dead-letters
  pixmill redrive --dead-letters URL --key 'shop/**' --limit 10 --yes";

/// How what is chosen goes through again.
enum Way {
    Nothing,
    Here(Box<Here>),
    Queue(String),
}

/// What it takes to process on this machine.
struct Here {
    processor: Processor,
    handler: Handler,
    unwell: Arc<Unwell>,
    admission: Admission,
    jobs: usize,
}

/// `pixmill redrive`
pub(crate) async fn redrive(args: &Redrive) -> anyhow::Result<Ended> {
    let recipe = args.choice.load()?;
    let mut chosen = Chosen::of(args)?;
    let place = |path: &PathBuf| Place::try_from(path.as_path()).map_err(anyhow::Error::msg);
    let output = args.output.as_deref().map(Place::of_output).transpose()?;
    let sources = args.sources.as_ref().map(place).transpose()?;
    let buckets = Buckets::default();
    let queues = Queues::of(args).await?;
    let way = if !args.yes {
        Way::Nothing
    } else if args.here {
        let (Some(output), Some(sources)) = (&output, &sources) else {
            bail!("--here goes from --sources to --output; name both");
        };
        Way::Here(Box::new(
            here(args, recipe.clone(), sources, output, &buckets).await?,
        ))
    } else {
        Way::Queue(queues.destination(args).await?)
    };
    let mut tally = Tally::new(args);
    if let Some(output) = &output
        // With messages to answer, the output may only be where they go.
        && (args.dead_letters.is_none() || !args.here)
    {
        let store = buckets.output(output, false).await?;
        let processor = Processor::new(store.clone(), store, recipe);
        let records = failure_records(&processor, output, &mut tally).await?;
        let of_bucket = sources.as_ref();
        redrive_records(records, &mut chosen, &way, of_bucket, &queues, &mut tally).await?;
    }
    if let Some(letters) = &queues.dead_letters {
        redrive_letters(letters, &mut chosen, &way, &mut tally).await?;
    }
    tally.finish(&way)
}

/// The queues of a run, by the account's usual settings.
struct Queues {
    client: Option<SqsClient>,
    dead_letters: Option<DeadLetters>,
}

impl Queues {
    async fn of(args: &Redrive) -> anyhow::Result<Self> {
        let urls = args.dead_letters.iter().chain(&args.queue);
        for url in urls {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                bail!(
                    "{url:?} is no queue's URL; `terraform output dead_letter_queue_url` prints it"
                );
            }
            if url.ends_with(FIFO) {
                bail!(
                    "{url} keeps an order (FIFO), which S3's events can't have; name a standard queue"
                );
            }
        }
        if args.queue.is_some() && args.queue == args.dead_letters {
            bail!("--queue and --dead-letters are the same queue; nothing would ever leave it");
        }
        if args.dead_letters.is_none() && args.queue.is_none() {
            return Ok(Self {
                client: None,
                dead_letters: None,
            });
        }
        let client = sqs_client(&load_with(Patience::LAPTOP).await);
        let mut dead_letters = None;
        if let Some(url) = &args.dead_letters {
            let queue = DeadLetters::new(client.clone(), url);
            let standing = queue.standing().await.with_context(|| {
                format!(
                    "the queue {url} can't be read; check the URL, AWS_REGION and the credentials"
                )
            })?;
            if standing.gives_up {
                bail!(
                    "{url} has a dead-letter queue of its own, so looking at its messages would count as attempts; name the queue that they end in"
                );
            }
            dead_letters = Some(queue);
        }
        Ok(Self {
            client: Some(client),
            dead_letters,
        })
    }

    /// Where what is chosen goes.
    async fn destination(&self, args: &Redrive) -> anyhow::Result<String> {
        if let Some(url) = &args.queue {
            return Ok(url.clone());
        }
        let Some(dead_letters) = &self.dead_letters else {
            bail!(
                "there is no way to send anything through: add --here (and --sources) to process it on this machine, or --queue to send events to the function's queue"
            );
        };
        let sources = dead_letters.source_queues().await?;
        match sources.as_slice() {
            [one] => Ok(one.clone()),
            [] => bail!(
                "no queue sends its dead letters there, as in direct mode; answer them on this machine with --here, --sources and --output, or name a --queue"
            ),
            many => bail!(
                "several queues send their dead letters there ({}); choose with --queue",
                many.join(", ")
            ),
        }
    }
}

async fn here(
    args: &Redrive,
    recipe: pixmill::Recipe,
    sources: &Place,
    output: &Place,
    buckets: &Buckets,
) -> anyhow::Result<Here> {
    if args.dead_letters.is_some() {
        recipe
            .check_for_events()
            .context("the recipe can't be used for events")?;
    }
    let budget = Budget::of(&args.share, usize::MAX);
    let options = ProcessOptions {
        // In its bucket the function takes what it finds under its keys for its own.
        foreign: match output {
            Place::Bucket(_) if args.dead_letters.is_some() => Foreign::Replace,
            _ => Foreign::Refuse,
        },
        retry: true,
        ..budget.options()
    };
    let mut rules = Rules::default();
    if let Place::Bucket(address) = sources {
        rules.upload_bucket = Some(address.bucket.clone());
        rules.upload_prefix = address.prefix();
    }
    if let Place::Bucket(address) = output {
        rules.processed_bucket.clone_from(&address.bucket);
        rules.processed_prefix = address.prefix();
    }
    let (sources, output) = (
        buckets.sources(sources).await?,
        buckets.output(output, false).await?,
    );
    let processor = Processor::new(sources.clone(), output, recipe).with_options(options);
    let processor = budget.turns().given_to(processor);
    let unwell = Arc::new(Unwell::default());
    let handler = Handler {
        rules,
        processor: processor.clone(),
        sources: Box::new(move |_| sources.clone()),
        log: Arc::new(Log::new(io::stderr(), LogLevel::Info)),
        metrics: Some(unwell.clone()),
        alerts: None,
        timer: Box::new(|at| Box::pin(tokio::time::sleep_until(at.into()))),
    };
    Ok(Here {
        processor,
        handler,
        unwell,
        admission: Admission::of(budget.memory),
        jobs: budget.jobs,
    })
}

/// What the options choose.
struct Chosen {
    codes: Vec<String>,
    keys: Option<GlobMatcher>,
    left: Option<u64>,
}

impl Chosen {
    fn of(args: &Redrive) -> anyhow::Result<Self> {
        let keys = args.key.as_ref().map(|pattern| {
            let glob = Glob::new(pattern);
            let glob = glob.with_context(|| format!("{pattern:?} is no pattern"))?;
            Ok::<_, anyhow::Error>(glob.compile_matcher())
        });
        Ok(Self {
            codes: args.code.clone(),
            keys: keys.transpose()?,
            left: args.limit,
        })
    }

    /// Whether this one is chosen; each that is counts towards the limit.
    fn takes<'k>(&mut self, code: &str, keys: impl IntoIterator<Item = &'k str>) -> bool {
        let by_code = self.codes.is_empty() || self.codes.iter().any(|chosen| chosen == code);
        let mut keys = keys.into_iter();
        let by_key = self.keys.as_ref();
        let by_key = by_key.is_none_or(|matcher| keys.any(|key| matcher.is_match(key)));
        let taken = by_code && by_key && self.left != Some(0);
        if taken && let Some(left) = &mut self.left {
            *left -= 1;
        }
        taken
    }

    fn is_used_up(&self) -> bool {
        self.left == Some(0)
    }
}

/// What a message speaks of.
#[derive(Debug, PartialEq, Eq)]
struct About {
    code: String,
    keys: Vec<String>,
    /// Whether it says that something was removed.
    removal: bool,
    /// What Lambda said went wrong.
    message: Option<String>,
}

impl About {
    fn of(body: &str) -> Self {
        let mut about = Self {
            code: "given-up".to_owned(),
            keys: Vec::new(),
            removal: false,
            message: None,
        };
        let Ok(event) = serde_json::from_str::<Value>(body) else {
            "event-not-json".clone_into(&mut about.code);
            return about;
        };
        if let Some(word) = error_type(&event) {
            about.code = word;
        }
        let message = event["responsePayload"]["errorMessage"].as_str();
        about.message = message.map(|text| text.chars().take(200).collect());
        for entry in read(&event).messages.into_iter().flat_map(|m| m.entries) {
            match entry {
                Ok(Entry::Object(object)) => {
                    about.removal |= object.change == Change::Removed;
                    about.keys.push(object.key);
                }
                Ok(_) => {}
                Err(error) => error.code().clone_into(&mut about.code),
            }
        }
        about
    }
}

/// The type of the error in the record that Lambda leaves of a failed asynchronous invocation; where the
/// function did not answer, the reason for giving up.
fn error_type(event: &Value) -> Option<String> {
    event.get("requestPayload")?;
    let word = event["responsePayload"]["errorType"]
        .as_str()
        .or_else(|| event["requestContext"]["condition"].as_str())?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_word = !word.is_empty() && word.len() <= MAX_CODE && word.chars().all(is_plain);
    Some(if is_word { word } else { "unknown" }.to_owned())
}

/// All failure records, in the order of their keys.
async fn failure_records(
    processor: &Processor,
    output: &Place,
    tally: &mut Tally<'_>,
) -> anyhow::Result<Vec<FailureRecord>> {
    let holdings = told_of_output(processor.holdings().await, output)?;
    let output = &processor.recipe().output;
    let keys = holdings.records.into_iter();
    let keys = keys.filter(|key| output.failed.could_have_made(key));
    let mut looks = stream::iter(keys)
        .map(|key| async move {
            let kept = processor.kept(&key).await;
            (key, kept)
        })
        .buffered(CALLS_AT_ONCE);
    let mut records = Vec::new();
    while let Some((key, kept)) = looks.next().await {
        match kept {
            Ok(Some(Kept::Failure(record))) => records.push(*record),
            Ok(_) => {}
            Err(error) => tally.trouble(&format!("{}: {error}", shown(&key))),
        }
    }
    Ok(records)
}

async fn redrive_records(
    records: Vec<FailureRecord>,
    chosen: &mut Chosen,
    way: &Way,
    sources: Option<&Place>,
    queues: &Queues,
    tally: &mut Tally<'_>,
) -> anyhow::Result<()> {
    let mut taken = Vec::new();
    for record in records {
        let is_taken = chosen.takes(&record.code, [record.source.as_str()]);
        let about = About {
            code: record.code.clone(),
            keys: vec![record.source.clone()],
            removal: false,
            message: Some(record.message.clone()),
        };
        tally.found(Kind::Record, &about, None, is_taken);
        let will_go = is_taken && !matches!(way, Way::Nothing);
        if will_go {
            taken.push(record);
        } else {
            tally.line(Kind::Record, &record.source, &about, &Went::left(is_taken))?;
        }
    }
    match way {
        Way::Nothing => {}
        Way::Here(here) => {
            let work = stream::iter(taken).map(|record| async move {
                let bytes = record.bytes.unwrap_or(0);
                let memory = here.processor.memory_to_render(&record.source, bytes).await;
                let _admitted = here.admission.admit(memory).await;
                let outcome = here.processor.process(&Job::new(&record.source)).await;
                (record, outcome)
            });
            let mut work = std::pin::pin!(work.buffer_unordered(here.jobs));
            while let Some((record, outcome)) = work.next().await {
                tally.processed(&record, &outcome)?;
            }
        }
        Way::Queue(url) => {
            let Some(Place::Bucket(address)) = sources else {
                bail!(
                    "an event names its bucket: say with --sources s3://bucket/prefix where the uploads of these records lie"
                );
            };
            let client = queues.client.clone().expect("there is a queue");
            let queue = DeadLetters::new(client, url);
            for record in taken {
                let event = json!({
                    "bucket": address.bucket, "key": format!("{}{}", address.prefix(), record.source),
                });
                let sent = queue.send_text(&event.to_string(), url).await;
                tally.sent_event(&record, sent.err().map(|error| error.to_string()))?;
            }
        }
    }
    Ok(())
}

/// Looks at every message once; what is chosen goes its way, the rest is put back in sight at the end.
async fn redrive_letters(
    queue: &DeadLetters,
    chosen: &mut Chosen,
    way: &Way,
    tally: &mut Tally<'_>,
) -> anyhow::Result<()> {
    let waiting = queue.standing().await?.waiting.unwrap_or(0);
    let waiting = u32::try_from(waiting.min(MOST_LETTERS as u64)).unwrap_or(u32::MAX);
    let out_of_sight = OUT_OF_SIGHT + FOR_EACH * waiting;
    let mut left: HashMap<String, Receipt> = HashMap::new();
    let mut gone: HashSet<String> = HashSet::new();
    let mut nothing_new = 0;
    let mut failed = None;
    while nothing_new < EMPTY_LOOKS {
        let letters = match queue.receive(out_of_sight).await {
            Ok(letters) => letters,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        let mut taken = Vec::new();
        let mut new = 0;
        for letter in letters {
            if gone.contains(&letter.id) {
                // It was sent and could not be deleted.
                if queue.delete(letter.receipt()).await.is_ok() {
                    tally.deleted_after_all();
                }
                continue;
            }
            if let Some(receipt) = left.get_mut(&letter.id) {
                *receipt = letter.receipt().clone();
                continue;
            }
            new += 1;
            let about = About::of(&letter.body);
            let keys = about.keys.iter().map(String::as_str);
            let is_taken = chosen.takes(&about.code, keys);
            tally.found(Kind::Letter, &about, letter.sent, is_taken);
            if is_taken && !matches!(way, Way::Nothing) {
                taken.push((letter, about));
            } else {
                left.insert(letter.id.clone(), letter.receipt().clone());
                tally.line(Kind::Letter, &letter.id, &about, &Went::left(is_taken))?;
            }
        }
        nothing_new = if new == 0 { nothing_new + 1 } else { 0 };
        for (letter, about, result) in go(queue, taken, way).await {
            if result.leaves_the_queue() {
                gone.insert(letter.id.clone());
            } else {
                left.insert(letter.id.clone(), letter.receipt().clone());
            }
            tally.line(Kind::Letter, &letter.id, &about, &result)?;
        }
        if left.len() + gone.len() >= MOST_LETTERS {
            tally.trouble(&format!(
                "{MOST_LETTERS} messages were looked at; run it again for the rest"
            ));
            break;
        }
        if chosen.is_used_up() && !matches!(way, Way::Nothing) {
            break;
        }
    }
    let receipts: Vec<_> = left.into_values().collect();
    let hidden = queue.release(&receipts).await;
    if hidden > 0 {
        tally.note(&format!(
            "{hidden} messages come back in sight in {} minutes at most",
            out_of_sight.as_secs().div_ceil(60)
        ));
    }
    match failed {
        None => Ok(()),
        Some(error) => Err(error).context("not all messages were looked at"),
    }
}

/// What became of one message or record.
#[derive(Debug)]
enum Went {
    /// It was not chosen.
    NotChosen,
    /// It was chosen, but nothing is sent without `--yes`.
    Listed,
    /// It has done its duty; a message is deleted.
    Through(String),
    /// The same, but the message could not be deleted and comes once more, which does no harm.
    StillThere(String),
    /// It stays where it is.
    Failed(String),
}

impl Went {
    fn left(is_taken: bool) -> Self {
        if is_taken {
            Self::Listed
        } else {
            Self::NotChosen
        }
    }

    fn leaves_the_queue(&self) -> bool {
        matches!(self, Self::Through(_) | Self::StillThere(_))
    }

    fn word(&self) -> &'static str {
        match self {
            Self::NotChosen => "not-chosen",
            Self::Listed => "chosen",
            Self::Through(_) => "through",
            Self::StillThere(_) => "sent-not-deleted",
            Self::Failed(_) => "failed",
        }
    }

    fn words(&self) -> Option<&str> {
        match self {
            Self::NotChosen | Self::Listed => None,
            Self::Through(words) | Self::StillThere(words) | Self::Failed(words) => Some(words),
        }
    }
}

/// Lets these go their way; whatever goes wrong with one, the others are none the worse for it.
async fn go(
    queue: &DeadLetters,
    taken: Vec<(Letter, About)>,
    way: &Way,
) -> Vec<(Letter, About, Went)> {
    let at_once = match way {
        Way::Queue(_) => CALLS_AT_ONCE,
        // The handler's counter tells of one at a time.
        Way::Nothing | Way::Here(_) => 1,
    };
    let work = stream::iter(taken).map(|(letter, about)| async move {
        let went = match way {
            Way::Nothing => Err("nothing is sent".to_owned()),
            Way::Queue(url) => queue
                .send_on(&letter, url)
                .await
                .map(|()| "sent to the queue".to_owned())
                .map_err(|error| error.to_string()),
            Way::Here(here) => here.answer(queue, &letter, &about).await,
        };
        let result = match went {
            Err(words) => Went::Failed(words),
            Ok(words) => match queue.delete(letter.receipt()).await {
                Ok(()) => Went::Through(words),
                Err(error) => Went::StillThere(format!("{words}, but not deleted: {error}")),
            },
        };
        (letter, about, result)
    });
    work.buffered(at_once).collect().await
}

impl Here {
    /// Answers a message as the function would, and says what came of it.
    async fn answer(
        &self,
        queue: &DeadLetters,
        letter: &Letter,
        about: &About,
    ) -> Result<String, String> {
        if about.removal {
            // Whether removals are kept or followed is the function's setting.
            return Err(
                "it tells of a removal, which is for the function; send it to its queue".to_owned(),
            );
        }
        let event: Value = serde_json::from_str(&letter.body)
            .map_err(|_| "it is not JSON; no function can take it".to_owned())?;
        let kept = queue.keep(letter.receipt(), AT_WORK).await;
        kept.map_err(|error| error.to_string())?;
        let invocation = Invocation {
            request_id: format!("redrive/{}", letter.id),
            deadline: None,
            cold_start: true,
        };
        let before = self.unwell.0.load(Ordering::Relaxed);
        match self.handler.handle(&event, &invocation).await {
            Err(unsettled) => Err(unsettled.to_string()),
            Ok(reply) if !is_all_well(&reply) => {
                Err("some of its records are not settled; the log says which and why".to_owned())
            }
            Ok(_) if self.unwell.0.load(Ordering::Relaxed) > before => {
                Ok("rejected: its failure record tells why".to_owned())
            }
            Ok(_) => Ok("settled here".to_owned()),
        }
    }
}

/// Where something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Record,
    Letter,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Record => "failure-record",
            Self::Letter => "message",
        }
    }
}

/// What was found under one code.
#[derive(Default)]
struct Group {
    count: u64,
    chosen: u64,
    examples: Vec<String>,
    message: Option<String>,
    oldest: Option<SystemTime>,
}

/// Counts everything, and prints it.
struct Tally<'a> {
    args: &'a Redrive,
    groups: BTreeMap<(Kind, String), Group>,
    found: BTreeMap<Kind, u64>,
    chosen: u64,
    through: u64,
    still_there: u64,
    failed: u64,
    troubled: bool,
}

impl<'a> Tally<'a> {
    fn new(args: &'a Redrive) -> Self {
        Self {
            args,
            groups: BTreeMap::new(),
            found: BTreeMap::new(),
            chosen: 0,
            through: 0,
            still_there: 0,
            failed: 0,
            troubled: false,
        }
    }

    fn found(&mut self, kind: Kind, about: &About, sent: Option<SystemTime>, is_chosen: bool) {
        *self.found.entry(kind).or_default() += 1;
        self.chosen += u64::from(is_chosen);
        let group = self.groups.entry((kind, about.code.clone())).or_default();
        group.count += 1;
        group.chosen += u64::from(is_chosen);
        for key in &about.keys {
            if group.examples.len() < EXAMPLES && !group.examples.contains(key) {
                group.examples.push(key.clone());
            }
        }
        if group.message.is_none() {
            group.message.clone_from(&about.message);
        }
        group.oldest = match (group.oldest, sent) {
            (Some(oldest), Some(sent)) => Some(oldest.min(sent)),
            (oldest, sent) => oldest.or(sent),
        };
    }

    /// Something could not be looked at.
    fn trouble(&mut self, words: &str) {
        self.troubled = true;
        self.note(words);
    }

    #[expect(
        clippy::unused_self,
        reason = "everything that is told goes through here"
    )]
    fn note(&self, words: &str) {
        eprintln!("pixmill: {words}");
    }

    fn deleted_after_all(&mut self) {
        self.still_there -= 1;
        self.through += 1;
    }

    fn line(&mut self, kind: Kind, id: &str, about: &About, result: &Went) -> io::Result<()> {
        match result {
            Went::Through(_) => self.through += 1,
            Went::StillThere(_) => self.still_there += 1,
            Went::Failed(_) => self.failed += 1,
            Went::NotChosen | Went::Listed => {}
        }
        if self.args.json {
            let line = json!({
                "from": kind.word(), "id": id, "code": about.code, "keys": about.keys,
                "message": about.message, "result": result.word(), "detail": result.words(),
            });
            return writeln!(io::stdout().lock(), "{line}");
        }
        if let Some(words) = result.words() {
            let what = about.keys.first().map_or(id, String::as_str);
            let words = shown(words);
            writeln!(
                io::stdout().lock(),
                "{:<8} {}: {words}",
                result.word(),
                shown(what)
            )?;
        }
        Ok(())
    }

    fn processed(&mut self, record: &FailureRecord, outcome: &Outcome) -> io::Result<()> {
        let words = match (outcome, outcome.error()) {
            (_, Some(error)) => format!("{}: {error}", outcome.word()),
            (Outcome::Skipped(reason), _) => format!("skipped: {reason}"),
            _ => outcome.word().to_owned(),
        };
        let result = match outcome {
            Outcome::Done(_) | Outcome::Unchanged | Outcome::Stale => Went::Through(words),
            _ => Went::Failed(words),
        };
        self.record_line(record, &result)
    }

    fn sent_event(&mut self, record: &FailureRecord, failed: Option<String>) -> io::Result<()> {
        let sent = || Went::Through("sent to the queue".to_owned());
        self.record_line(record, &failed.map_or_else(sent, Went::Failed))
    }

    fn record_line(&mut self, record: &FailureRecord, result: &Went) -> io::Result<()> {
        let about = About {
            code: record.code.clone(),
            keys: vec![record.source.clone()],
            removal: false,
            message: Some(record.message.clone()),
        };
        self.line(Kind::Record, &record.source, &about, result)
    }

    fn finish(self, way: &Way) -> anyhow::Result<Ended> {
        let mut out = io::stdout().lock();
        let found = |kind| self.found.get(&kind).copied().unwrap_or(0);
        let (records, letters) = (found(Kind::Record), found(Kind::Letter));
        let left = records + letters - self.through - self.still_there;
        if self.args.json {
            let mut codes = serde_json::Map::new();
            for ((kind, code), group) in &self.groups {
                let of_kind = codes.entry(kind.word()).or_insert_with(|| json!({}));
                of_kind[code] = json!({"found": group.count, "chosen": group.chosen});
            }
            let summary = json!({"summary": {
                "failure_records": records, "messages": letters, "chosen": self.chosen,
                "through": self.through, "sent_not_deleted": self.still_there,
                "failed": self.failed, "left": left,
            }, "codes": codes});
            writeln!(out, "{summary}")?;
        } else {
            for ((kind, code), group) in &self.groups {
                let age = group
                    .oldest
                    .map(|oldest| format!(", oldest {}", age(oldest)));
                writeln!(
                    out,
                    "{} {code}: {} ({} chosen{}){}",
                    kind.word(),
                    group.count,
                    group.chosen,
                    age.unwrap_or_default(),
                    examples(group)
                )?;
                if let Some(message) = &group.message {
                    writeln!(out, "    {}", shown(message))?;
                }
            }
            writeln!(
                out,
                "{records} failure records and {letters} messages: {} chosen, {} through, {} sent but not deleted, {} failed; {left} left",
                self.chosen, self.through, self.still_there, self.failed
            )?;
            if matches!(way, Way::Nothing) && self.chosen > 0 {
                writeln!(
                    out,
                    "nothing was sent; --code, --key and --limit choose, and --yes sends"
                )?;
            }
        }
        Ok(if self.failed > 0 || self.troubled {
            Ended::WithTrouble
        } else {
            Ended::Well
        })
    }
}

fn examples(group: &Group) -> String {
    let keys: Vec<_> = group.examples.iter().map(|key| shown(key)).collect();
    match keys.len() {
        0 => String::new(),
        EXAMPLES => format!(" such as {}", keys.join(", ")),
        _ => format!(" {}", keys.join(", ")),
    }
}

/// How long ago, in the largest unit that fits.
fn age(then: SystemTime) -> String {
    let seconds = then.elapsed().map_or(0, |since| since.as_secs());
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(codes: &[&str], key: Option<&str>, left: Option<u64>) -> Chosen {
        Chosen {
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            keys: key.map(|key| Glob::new(key).expect("a pattern").compile_matcher()),
            left,
        }
    }

    #[test]
    fn code_key_and_limit_choose_together() {
        let mut all = chosen(&[], None, None);
        assert!(all.takes("corrupt", ["a.png"]) && all.takes("given-up", []));
        let mut some = chosen(&["corrupt", "unsupported"], Some("shop/**"), Some(2));
        assert!(!some.takes("given-up", ["shop/a.png"]), "another code");
        assert!(!some.takes("corrupt", ["blog/a.png"]), "another key");
        assert!(!some.takes("corrupt", []), "no key");
        assert!(some.takes("corrupt", ["blog/a.png", "shop/b.png"]));
        assert!(!some.is_used_up());
        assert!(some.takes("unsupported", ["shop/c.png"]));
        assert!(some.is_used_up());
        assert!(!some.takes("corrupt", ["shop/d.png"]), "two were enough");
    }

    #[test]
    fn a_message_tells_its_keys_and_why_lambda_gave_it_up() {
        let record = |name: &str, key: &str| {
            json!({
                "eventSource": "aws:s3", "eventName": name,
                "s3": {"bucket": {"name": "b"}, "object": {"key": key}},
            })
        };
        let upload = json!({"Records": [record("ObjectCreated:Put", "a+b%2Bc.png")]});
        let about = About::of(&upload.to_string());
        assert_eq!(about.code, "given-up");
        assert_eq!(about.keys, ["a b+c.png"]);
        assert!(!about.removal);
        let both = [
            record("ObjectCreated:Put", "a"),
            record("ObjectRemoved:Delete", "b"),
        ];
        let about = About::of(&json!({ "Records": both }).to_string());
        assert_eq!((about.keys.len(), about.removal), (2, true));

        let given_up = |response: Value, condition: &str| {
            let context = json!({"condition": condition});
            let record = json!({
                "requestContext": context, "requestPayload": upload, "responsePayload": response,
            });
            About::of(&record.to_string())
        };
        let answered = json!({"errorType": "Pixmill.Unsettled", "errorMessage": "denied"});
        let about = given_up(answered, "RetriesExhausted");
        assert_eq!(about.code, "Pixmill.Unsettled");
        assert_eq!(about.keys, ["a b+c.png"]);
        assert_eq!(about.message.as_deref(), Some("denied"));
        assert_eq!(
            given_up(Value::Null, "EventAgeExceeded").code,
            "EventAgeExceeded"
        );
        for word in ["", "two words", "\u{1b}[2J", &"x".repeat(65)] {
            assert_eq!(
                given_up(json!({"errorType": word}), "").code,
                "unknown",
                "{word:?}"
            );
        }
    }

    #[test]
    fn whatever_a_message_holds_it_has_a_code_and_a_bounded_text() {
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        let wrapped = (0..50).fold(
            json!({"bucket": "b", "key": "k"}),
            |inner, _| json!({"requestPayload": inner}),
        );
        let cases = [
            ("", "event-not-json"),
            ("not json", "event-not-json"),
            (&deep, "event-not-json"),
            ("null", "event-unknown"),
            ("{}", "event-unknown"),
            (r#"{"Records": [{"s3": {}}]}"#, "event-field"),
            (r#"{"bucket": "b", "key": ""}"#, "event-key"),
            (&wrapped.to_string(), "event-too-deep"),
        ];
        for (body, code) in cases {
            assert_eq!(About::of(body).code, code, "{body:.60}");
        }
        let long =
            json!({"requestPayload": 1, "responsePayload": {"errorMessage": "é".repeat(9999)}});
        let message = About::of(&long.to_string()).message.expect("a message");
        assert_eq!(message.chars().count(), 200);
    }

    #[test]
    fn an_age_is_told_in_the_largest_unit_that_fits() {
        let ago = |seconds| age(SystemTime::now() - Duration::from_secs(seconds));
        assert_eq!(ago(7200 + 60), "2 h");
        assert_eq!(ago(3 * 86400 + 60), "3 d");
        assert_eq!(age(SystemTime::now() + Duration::from_hours(1)), "0 s");
    }
}
