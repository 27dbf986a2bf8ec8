//! Lambda around the function: its Runtime API on loopback, and the real `bootstrap` as its child.
//!
//! What Lambda does and this does too: a process with Lambda's environment and no other, started
//! for the first invocation and kept for the next ones; one invocation at a time; a process that is ended when the
//! deadline passes, so that the next invocation is a cold start again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures_util::future;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use crate::programs::program;

/// Lambda's own bound for a start.
const STARTS_WITHIN: Duration = Duration::from_secs(10);

const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:mill";

/// A deployed function: settings, and a process while there is one.
pub struct Function {
    program: PathBuf,
    variables: BTreeMap<String, String>,
    /// Its working folder, and its standard output in a file: what a process wrote before it answered is in there
    /// when the answer comes, which could not be said of a pipe.
    folder: TempDir,
    /// What the shell does before it becomes the program: `ulimit -v 500000`.
    limit: String,
    sandbox: Option<Sandbox>,
    invocations: u64,
}

/// A process and the Runtime API for it alone, so that nothing of an earlier process can be taken for its own.
struct Sandbox {
    process: Child,
    started: Instant,
    /// From its start to its first question for work.
    cold_start: Option<Duration>,
    /// Whether it has asked for work and got none yet.
    waits: bool,
    init_error: Option<Value>,
    api: Api,
}

/// The four routes.
struct Api {
    address: SocketAddr,
    invocations: mpsc::UnboundedSender<Handed>,
    news: Receiver<News>,
    tell: Sender<News>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Handed {
    id: String,
    payload: String,
    deadline_ms: u128,
}

enum News {
    Polled(Instant),
    Answered(String, Value),
    Failed(String, Value),
    InitFailed(Value),
    /// Its standard error is closed: only the end of the process does that.
    Ended(String),
}

impl Function {
    /// A function with these variables beside those that Lambda sets; nothing is started yet.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::of(program("bootstrap"), folder, variables)
    }

    /// The same of the package that was unpacked into this folder, which is its working folder.
    pub fn unpacked<'a>(
        folder: TempDir,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        Self::of(folder.path().join("bootstrap"), folder, variables)
    }

    fn of<'a>(
        program: PathBuf,
        folder: TempDir,
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let lambdas = [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ("AWS_LAMBDA_FUNCTION_NAME", "mill"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "3008"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/mill"),
            (
                "AWS_LAMBDA_LOG_STREAM_NAME",
                "2026/01/02/[$LATEST]0123456789abcdef",
            ),
            ("_HANDLER", "bootstrap"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
        ];
        let all = lambdas.into_iter().chain(variables);
        Self {
            program,
            variables: all
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            folder,
            limit: "true".to_owned(),
            sandbox: None,
            invocations: 0,
        }
    }

    /// The same in a tighter place: `limit` is what a shell does before the process is there, such as
    /// `ulimit -v 500000`.
    #[must_use]
    pub fn within(mut self, limit: &str) -> Self {
        limit.clone_into(&mut self.limit);
        self
    }

    /// One invocation: its response, or its error as Lambda tells it. A process is started if there is none.
    pub fn invoke(&mut self, payload: &Value, timeout: Duration) -> Result<Value, Value> {
        self.invocations += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.invocations);
        self.invoke_as(&id, payload, timeout)
    }

    /// The same with this request id, which no other invocation of this function may have.
    pub fn invoke_as(
        &mut self,
        id: &str,
        payload: &Value,
        timeout: Duration,
    ) -> Result<Value, Value> {
        let mut sandbox = self.ready()?;
        // With the outer error it is not put back, which ends it.
        let answer = sandbox.invoke(id, payload.to_string(), timeout)?;
        self.sandbox = Some(sandbox);
        answer
    }

    /// The process that waits for an invocation.
    fn ready(&mut self) -> Result<Sandbox, Value> {
        let mut sandbox = match self.sandbox.take() {
            Some(sandbox) => sandbox,
            None => self.sandbox(),
        };
        sandbox.wait_for_poll()?;
        Ok(sandbox)
    }

    fn sandbox(&self) -> Sandbox {
        // The shell becomes the program, so the process is the same.
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{} && exec \"$0\"", self.limit)]);
        command.arg(&self.program).env_clear().envs(&self.variables);
        Sandbox::start(command, &self.folder)
    }

    /// Starts the process, if there is none, and says how long it took from its start to its first question for work.
    pub fn start(&mut self) -> Result<Duration, Value> {
        let sandbox = self.ready()?;
        let took = sandbox.cold_start.unwrap_or_default();
        self.sandbox = Some(sandbox);
        Ok(took)
    }

    /// Starts a process that is expected to give up: its exit code, and what it told the Runtime API.
    pub fn start_in_vain(&mut self) -> (ExitStatus, Option<Value>) {
        let mut sandbox = self.sandbox();
        let error = sandbox.wait_for_poll();
        assert!(error.is_err(), "it started");
        let status = sandbox.process.wait().expect("it has ended");
        (status, sandbox.init_error.take())
    }

    /// Ends the process; the next invocation is a cold start.
    pub fn stop(&mut self) {
        self.sandbox = None;
    }

    /// The process's number, while there is one.
    pub fn process(&self) -> Option<u32> {
        Some(self.sandbox.as_ref()?.process.id())
    }

    /// Every line of standard output so far, of all processes.
    pub fn lines(&self) -> Vec<String> {
        let written = fs::read_to_string(self.folder.path().join(OUTPUT)).unwrap_or_default();
        written.lines().map(str::to_owned).collect()
    }

    /// The same lines as what they must be: one JSON object each.
    pub fn log(&self) -> Vec<Value> {
        let lines = self.lines();
        let parsed = lines.iter().map(|line| {
            let value: Option<Value> = serde_json::from_str(line).ok();
            value
                .filter(Value::is_object)
                .unwrap_or_else(|| panic!("not a JSON object: {line}"))
        });
        parsed.collect()
    }
}

const OUTPUT: &str = "stdout";

impl Sandbox {
    fn start(mut command: Command, folder: &TempDir) -> Self {
        let api = Api::start();
        let output = File::options()
            .create(true)
            .append(true)
            .open(folder.path().join(OUTPUT));
        let started = Instant::now();
        let mut process = command
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output.expect("a file for standard output"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("bootstrap starts");
        let stderr = BufReader::new(process.stderr.take().expect("a pipe"));
        let tell = api.tell.clone();
        std::thread::spawn(move || {
            let said: Vec<String> = stderr.lines().map_while(Result::ok).collect();
            // Nobody may be there to hear it any more.
            let _ = tell.send(News::Ended(said.join("\n")));
        });
        Self {
            process,
            started,
            cold_start: None,
            waits: false,
            init_error: None,
            api,
        }
    }

    fn wait_for_poll(&mut self) -> Result<(), Value> {
        let until = Instant::now() + STARTS_WITHIN;
        while !self.waits {
            match self.api.next_news(until) {
                Some(News::Polled(at)) => {
                    self.cold_start.get_or_insert(at - self.started);
                    self.waits = true;
                }
                Some(News::InitFailed(error)) => self.init_error = Some(error),
                Some(News::Ended(said)) => return Err(self.ended(&said)),
                // Of an invocation that was answered before.
                Some(News::Answered(..) | News::Failed(..)) => {}
                None => return Err(error("Sandbox.Timedout", "it never asked for work")),
            }
        }
        Ok(())
    }

    /// The inner result is the function's own; with the outer error the process is over.
    fn invoke(
        &mut self,
        id: &str,
        payload: String,
        timeout: Duration,
    ) -> Result<Result<Value, Value>, Value> {
        self.waits = false;
        let deadline = SystemTime::now() + timeout;
        let until = Instant::now() + timeout;
        let handed = Handed {
            id: id.to_owned(),
            payload,
            deadline_ms: deadline
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_millis(),
        };
        self.api
            .invocations
            .send(handed)
            .expect("the Runtime API listens");
        loop {
            match self.api.next_news(until) {
                Some(News::Answered(of, answer)) if of == id => return Ok(Ok(answer)),
                Some(News::Failed(of, error)) if of == id => return Ok(Err(error)),
                Some(News::Ended(said)) => return Err(self.ended(&said)),
                Some(_) => {}
                None => {
                    let words = format!(
                        "{id} Task timed out after {:.2} seconds",
                        timeout.as_secs_f64()
                    );
                    return Err(error("Sandbox.Timedout", &words));
                }
            }
        }
    }

    /// As Lambda words it.
    fn ended(&mut self, said: &str) -> Value {
        let status = self.process.wait().expect("it has ended");
        error(
            "Runtime.ExitError",
            &format!("Runtime exited with error: {status}; {said}"),
        )
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn error(kind: &str, words: &str) -> Value {
    json!({ "errorType": kind, "errorMessage": words })
}

/// What the routes share.
struct Shared {
    tell: Sender<News>,
    invocations: tokio::sync::Mutex<mpsc::UnboundedReceiver<Handed>>,
    /// The one invocation that may be answered, once.
    open: Mutex<Option<String>>,
}

impl Api {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound port");
        let (tell, news) = channel();
        let (invocations, handed) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let shared = Arc::new(Shared {
            tell: tell.clone(),
            invocations: tokio::sync::Mutex::new(handed),
            open: Mutex::default(),
        });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a tokio runtime");
            runtime.block_on(async move {
                listener.set_nonblocking(true).expect("a socket can wait");
                let listener = tokio::net::TcpListener::from_std(listener).expect("a bound socket");
                let serving = axum::serve(listener, routes(shared)).into_future();
                future::select(serving, stopped).await;
            });
        });
        Self {
            address,
            invocations,
            news,
            tell,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// None where nothing happens until then.
    fn next_news(&self, until: Instant) -> Option<News> {
        match self
            .news
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            Ok(news) => Some(news),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("this end can tell too"),
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    const INVOCATION: &str = "/2018-06-01/runtime/invocation";
    Router::new()
        .route(&format!("{INVOCATION}/next"), get(next))
        .route(&format!("{INVOCATION}/{{id}}/response"), post(response))
        .route(&format!("{INVOCATION}/{{id}}/error"), post(failure))
        .route("/2018-06-01/runtime/init/error", post(init_failure))
        .with_state(shared)
}

async fn next(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let _ = shared.tell.send(News::Polled(Instant::now()));
    // It waits for as long as nothing is to be done, like Lambda's.
    let Some(handed) = shared.invocations.lock().await.recv().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    *shared.open() = Some(handed.id.clone());
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", handed.id),
        ("Lambda-Runtime-Deadline-Ms", handed.deadline_ms.to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", ARN.to_owned()),
        (
            "Lambda-Runtime-Trace-Id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0".to_owned(),
        ),
    ];
    (headers, handed.payload).into_response()
}

async fn response(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: String,
) -> StatusCode {
    shared.close(id, &body, News::Answered)
}

async fn failure(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: String,
) -> StatusCode {
    shared.close(id, &body, News::Failed)
}

async fn init_failure(State(shared): State<Arc<Shared>>, body: String) -> StatusCode {
    let _ = shared.tell.send(News::InitFailed(as_json(&body)));
    StatusCode::ACCEPTED
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, id: String, body: &str, news: fn(String, Value) -> News) -> StatusCode {
        if self.open().take_if(|open| *open == id).is_none() {
            return StatusCode::FORBIDDEN;
        }
        let _ = self.tell.send(news(id, as_json(body)));
        StatusCode::ACCEPTED
    }
}

fn as_json(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| json!({ "not JSON": body }))
}
