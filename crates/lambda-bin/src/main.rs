//! The `bootstrap` binary: puts S3, the log and the Runtime API to the handler.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, panic, thread};

use futures_util::FutureExt;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use pixmill::ports::{AlertSink, BlobStore, MetricSink};
use pixmill::process::{ProcessOptions, Processor, Work};
use pixmill::recipe::Recipe;
use pixmill_aws::{EmbeddedMetrics, S3Store, SnsAlerts};
use pixmill_lambda::handler::{Handler, Invocation, OpenSources};
use pixmill_lambda::log::{Line, Log, Subject};
use pixmill_lambda::settings::{LogLevel, Metrics, RecipeFrom, Settings};
use serde_json::{Value, json};

/// The largest recipe that is read, in bytes.
const MAX_RECIPE_BYTES: u64 = 1 << 20;

/// Memory that the process needs beside pictures, in bytes: measured at 30 MiB, with room for the
/// allocator's leftovers.
const OWN_MEMORY: u64 = 64 << 20;

/// Lambda gives one processor core for this much memory, in megabytes
/// (AWS Lambda Developer Guide, "Configure Lambda function memory").
const MEGABYTES_PER_CORE: f64 = 1769.0;

fn main() -> ExitCode {
    pixmill_codecs::return_large_buffers();
    // One thread drives all the waiting; rendering has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            let log = Log::new(io::stdout(), LogLevel::Info);
            log_fault(&log, "start", &format!("no async runtime: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let settings = Settings::from_env(|name| std::env::var(name).ok());
    let detail = settings.as_ref().map(|s| s.log_level).unwrap_or_default();
    // Also where the settings are at fault: such a line must be counted for its own deployment.
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok();
    let log = Arc::new(Log::new(io::stdout(), detail).of_function(function));
    speak_up(&log, detail);
    let settings = settings.map_err(|error| error.to_string());
    let handler = match settings {
        Ok(settings) => set_up(settings, log.clone()).await,
        Err(error) => Err(error),
    };
    let served = match handler {
        Ok(handler) => serve(handler).await.map_err(|error| error.to_string()),
        Err(error) => {
            // Loud, and before any event: Lambda shows it, and counts it as an error.
            log_fault(&log, "settings", &error);
            report_init_error(&error).await;
            return ExitCode::FAILURE;
        }
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log_fault(&log, "runtime", &error);
            ExitCode::FAILURE
        }
    }
}

fn log_fault(log: &Log, code: &str, words: &str) {
    for problem in words.lines() {
        log.always(
            LogLevel::Critical,
            &Line {
                message: "Error starting the function",
                code: Some(code.to_owned()),
                error: Some(problem.to_owned()),
                ..Line::default()
            },
        );
    }
}

/// Panics and the warnings of libraries become lines too. Libraries are never asked for more than
/// warnings: some write whole requests into their details, and events hold people's addresses.
fn speak_up(log: &Arc<Log>, detail: LogLevel) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::prelude::*;
    let log = log.clone();
    panic::set_hook(Box::new(move |info| {
        let words = info.to_string();
        // A decoder's panic is fenced and gets its own ERROR line, with the picture's name; what nobody
        // fences gets one in `serve`.
        log.always(
            LogLevel::Warning,
            &Line {
                message: "Panicked",
                code: Some("panic".to_owned()),
                error: Some(words.chars().take(1_000).collect()),
                ..Line::default()
            },
        );
    }));
    let level = if detail > LogLevel::Warning {
        LevelFilter::ERROR
    } else {
        LevelFilter::WARN
    };
    // The runtime would tell once more of every invocation that failed and of every panic: both have their lines.
    let wanted = Targets::new()
        .with_default(level)
        .with_target("lambda_runtime::layers::panic", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(|| WholeLines(Vec::new()));
    tracing_subscriber::registry()
        .with(lines.with_filter(wanted))
        .init();
}

/// Hands a line to standard output in one piece.
struct WholeLines(Vec<u8>);

impl Write for WholeLines {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for WholeLines {
    fn drop(&mut self) {
        let _ = io::stdout().lock().write_all(&self.0);
    }
}

async fn set_up(settings: Settings, log: Arc<Log>) -> Result<Handler, String> {
    let config = pixmill_aws::load().await;
    let client = pixmill_aws::s3_client(&config);
    let open = move |bucket: &str, prefix: &str| S3Store::new(client.clone(), bucket, prefix);
    let recipe = recipe(&settings, &open).await?;
    let rules = settings.rules;
    let output = Arc::new(open(&rules.processed_bucket, &rules.processed_prefix));
    let upload_prefix = rules.upload_prefix.clone();
    let metrics = (settings.metrics == Metrics::Embedded).then(|| {
        let function = settings.function.name.clone().unwrap_or_default();
        let namespace = settings.metric_namespace.clone();
        Arc::new(EmbeddedMetrics::new(
            io::stdout(),
            namespace,
            function,
            SystemTime::now,
        )) as Arc<dyn MetricSink>
    });
    let alerts = settings.topics.map(|topics| {
        let topics = pixmill_aws::Topics {
            critical: topics.critical,
            performance: topics.performance,
            logs: topics.logs,
        };
        let client = pixmill_aws::sns_client(&config);
        Arc::new(SnsAlerts::new(client, topics)) as Arc<dyn AlertSink>
    });
    let options = ProcessOptions {
        removals: settings.removals,
        ..means(settings.function.memory_mb)
    };
    // Each job brings its own source store.
    let processor = Processor::new(output.clone(), output, recipe)
        .with_options(options)
        .with_blocking(one_at_a_time());
    Ok(Handler {
        rules,
        processor,
        sources: kept(move |bucket| open(bucket, &upload_prefix)),
        log,
        metrics,
        alerts,
        timer: Box::new(|at| Box::pin(tokio::time::sleep_until(at.into()))),
    })
}

async fn recipe(
    settings: &Settings,
    open: impl Fn(&str, &str) -> S3Store,
) -> Result<Recipe, String> {
    let text = match &settings.recipe {
        RecipeFrom::Ready(recipe) => return Ok(Recipe::clone(recipe)),
        RecipeFrom::File(path) => fs::read_to_string(path)
            .map_err(|error| format!("RECIPE = {:?}: {error}", path.display().to_string()))?,
        RecipeFrom::Object { bucket, key } => {
            let fetched = open(bucket, "").get(key, MAX_RECIPE_BYTES, None).await;
            let fetched = fetched.map_err(|error| format!("RECIPE = s3://{bucket}: {error}"))?;
            String::from_utf8(fetched.bytes.into())
                .map_err(|_| format!("RECIPE = s3://{bucket}/{key}: it is not UTF-8 text"))?
        }
    };
    settings
        .recipe_from(&text)
        .map_err(|error| error.to_string())
}

/// Runs blocking work in threads of its own, one piece at a time: what an invocation before had to give
/// up may still be running, and a picture was admitted for all the memory that there is.
fn one_at_a_time() -> impl Fn(Work) + Send + Sync {
    let turn = Arc::new(Mutex::new(()));
    move |work| {
        let turn = turn.clone();
        tokio::task::spawn_blocking(move || {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            work();
        });
    }
}

/// One store a bucket, kept: it remembers what it learned of its bucket.
fn kept(open: impl Fn(&str) -> S3Store + Send + Sync + 'static) -> OpenSources {
    let stores: Mutex<BTreeMap<String, Arc<dyn BlobStore>>> = Mutex::default();
    Box::new(move |bucket| {
        let mut stores = stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store = stores
            .entry(bucket.to_owned())
            .or_insert_with(|| Arc::new(open(bucket)));
        store.clone()
    })
}

/// What one picture may use of a function with this much memory.
fn means(memory_mb: Option<u32>) -> ProcessOptions {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let Some(memory_mb) = memory_mb else {
        return ProcessOptions {
            threads: cores,
            ..ProcessOptions::default()
        };
    };
    let share = f64::from(memory_mb) / MEGABYTES_PER_CORE;
    let worth = NonZeroUsize::MIN.saturating_add((memory_mb / 1770) as usize);
    let threads = cores.min(worth);
    #[expect(clippy::cast_precision_loss, reason = "a handful of threads")]
    let speed = (share / threads.get() as f64).min(1.0);
    ProcessOptions {
        threads,
        speed,
        memory: Some((u64::from(memory_mb) << 20).saturating_sub(OWN_MEMORY)),
        ..ProcessOptions::default()
    }
}

async fn serve(handler: Handler) -> Result<(), lambda_runtime::Error> {
    let handler = Arc::new(handler);
    let cold = AtomicBool::new(true);
    let answer = service_fn(|event: LambdaEvent<Value>| {
        let handler = handler.clone();
        let invocation = Invocation {
            deadline: instant_of(event.context.deadline),
            request_id: event.context.request_id,
            cold_start: cold.swap(false, Ordering::Relaxed),
        };
        async move {
            let answer = AssertUnwindSafe(handler.handle(&event.payload, &invocation));
            match answer.catch_unwind().await {
                Ok(answer) => answer.map_err(|unsettled| Diagnostic {
                    error_type: "Pixmill.Unsettled".to_owned(),
                    error_message: unsettled.to_string(),
                }),
                Err(_) => Err(panicked(&handler.log, &invocation)),
            }
        }
    });
    lambda_runtime::run(answer).await
}

/// A fault of this program; the hook has logged the panic's own words.
fn panicked(log: &Log, invocation: &Invocation) -> Diagnostic {
    let words = "the function panicked: this is a fault in Pixmill; the line before says where";
    log.always(
        LogLevel::Critical,
        &Line {
            message: "Error handling event",
            subject: Some(Subject {
                request_id: invocation.request_id.clone(),
                cold_start: invocation.cold_start,
                ..Subject::default()
            }),
            code: Some("panic".to_owned()),
            error: Some(words.to_owned()),
            ..Line::default()
        },
    );
    Diagnostic {
        error_type: "Pixmill.Panic".to_owned(),
        error_message: words.to_owned(),
    }
}

/// The runtime's deadline (milliseconds since 1970) on the clock that does not jump. None where it makes
/// no sense: emulators have been seen to send a duration.
fn instant_of(deadline_ms: u64) -> Option<Instant> {
    let deadline = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(deadline_ms))?;
    let left = match deadline.duration_since(SystemTime::now()) {
        Ok(left) => left,
        Err(past) if past.duration() < Duration::from_hours(24) => Duration::ZERO,
        Err(_) => return None,
    };
    Instant::now().checked_add(left)
}

/// Tells Lambda why there will be no function. It is in the log in any case.
async fn report_init_error(words: &str) {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return;
    }
    let body = json!({ "errorType": "Pixmill.Settings", "errorMessage": words, "stackTrace": [] });
    let request = http::Request::post("/2018-06-01/runtime/init/error")
        .header("content-type", "application/json")
        .header("lambda-runtime-function-error-type", "Pixmill.Settings")
        .body(body.to_string().into());
    let client = lambda_runtime_api_client::PooledClient::builder().build();
    if let Ok(request) = request {
        // Should this fail too, the log has it.
        let _ = client.call(request).await;
    }
}
