//! Lambda's part: the package that was deployed, with the settings and the role that it was deployed with, run as the
//! real program; and Lambda's own lines about it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::aws::{Aws, Role, in_tags};
use crate::runtime_api::Function;

/// A function as the account has it.
pub(super) struct Lambda {
    /// `GetFunctionConfiguration`'s answer for the alias.
    pub(super) configuration: Value,
    /// The role's credentials: the function's own, and those by which Lambda takes from the queue and writes the log.
    pub(super) role: Role,
    process: Function,
    seen: usize,
    invocations: u64,
}

/// One invocation.
#[derive(Debug)]
pub struct Invocation {
    /// Its id.
    pub request_id: String,
    /// What the function answered, or how it failed, in Lambda's words.
    pub answer: Result<Value, Value>,
    /// What went to the log: the function's own lines, between Lambda's.
    pub lines: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Lambda {
    /// Fetches the package and the settings of what `alias` leads to, and takes on the role.
    pub(super) fn deployed(
        aws: &Aws,
        python: &Path,
        name: &str,
        alias: &str,
    ) -> Result<Self, String> {
        let path = format!("/2015-03-31/functions/{name}/configuration?Qualifier={alias}");
        let configuration = aws.path(None, "lambda", Method::GET, &path, "")?;
        let configuration: Value = serde_json::from_slice(&configuration)
            .map_err(|error| format!("the function's configuration: {error}"))?;
        let text = |field: &str| configuration[field].as_str().unwrap_or_default().to_owned();
        let (version, role_arn) = (text("Version"), text("Role"));

        let zip = format!("/harness/code/{name}/{version}");
        let zip = aws.path(None, "lambda", Method::GET, &zip, "")?;
        let folder = unpack(python, &zip)?;

        let role = take_on(aws, &role_arn)?;
        let memory = configuration["MemorySize"].to_string();
        let variables = configuration["Environment"]["Variables"].as_object();
        let variables = variables.ok_or("the function has no settings")?;
        let settings = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
        let group = configuration["LoggingConfig"]["LogGroup"].as_str();
        let group = group.unwrap_or_default().to_owned();
        let lambdas = [
            ("AWS_ENDPOINT_URL", aws.url()),
            ("AWS_ACCESS_KEY_ID", &role.key),
            ("AWS_SECRET_ACCESS_KEY", &role.secret),
            ("AWS_SESSION_TOKEN", &role.token),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", &version),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
            ("AWS_LAMBDA_LOG_GROUP_NAME", &group),
        ];
        let process = Function::unpacked(folder, lambdas.into_iter().chain(settings));
        Ok(Self {
            configuration,
            role,
            process,
            seen: 0,
            invocations: 0,
        })
    }

    /// The function's name.
    pub(super) fn name(&self) -> &str {
        self.configuration["FunctionName"]
            .as_str()
            .unwrap_or_default()
    }

    /// The group that its log is in, as it was configured.
    pub(super) fn log_group(&self) -> &str {
        let group = &self.configuration["LoggingConfig"]["LogGroup"];
        group.as_str().unwrap_or_default()
    }

    /// One invocation, within the timeout that was configured; a cold start if there is no process.
    pub(super) fn invoke(&mut self, payload: &Value) -> Invocation {
        self.invocations += 1;
        let request_id = format!("00000000-0000-4000-8000-{:012}", self.invocations);
        let timeout = self.configuration["Timeout"].as_u64().unwrap_or(3);
        let cold = self.process.process().is_none();
        let start = self.process.start();
        let begin = Instant::now();
        let answer = match &start {
            Ok(_) => {
                let timeout = Duration::from_secs(timeout);
                self.process.invoke_as(&request_id, payload, timeout)
            }
            Err(error) => Err(error.clone()),
        };
        let took = begin.elapsed();
        let init = start.ok().filter(|_| cold);
        let own = self.process.lines();
        let mut lines = vec![self.start_line(&request_id)];
        lines.extend_from_slice(&own[self.seen..]);
        lines.push(self.report_line(&request_id, &answer, took, init));
        self.seen = own.len();
        Invocation {
            request_id,
            answer,
            lines,
            took,
        }
    }

    fn start_line(&self, request_id: &str) -> String {
        let version = &self.configuration["Version"];
        line(
            "platform.start",
            &json!({ "requestId": request_id, "version": version }),
        )
    }

    fn report_line(
        &self,
        request_id: &str,
        answer: &Result<Value, Value>,
        took: Duration,
        init: Option<Duration>,
    ) -> String {
        let milliseconds = |time: Duration| (time.as_secs_f64() * 1e5).round() / 1e2;
        let mut record = json!({
            "requestId": request_id,
            "status": "success",
            "metrics": {
                "durationMs": milliseconds(took),
                "billedDurationMs": (took + init.unwrap_or_default()).as_millis() + 1,
                "memorySizeMB": self.configuration["MemorySize"],
                "maxMemoryUsedMB": self.peak_memory(),
            },
        });
        if let Some(init) = init {
            record["metrics"]["initDurationMs"] = json!(milliseconds(init));
        }
        if let Err(error) = answer {
            if error["errorType"] == "Sandbox.Timedout" {
                record["status"] = json!("timeout");
            } else {
                record["status"] = json!("error");
                record["errorType"] = error["errorType"].clone();
            }
        }
        line("platform.report", &record)
    }

    /// Megabytes; 0 where the system doesn't tell, or the process is gone.
    fn peak_memory(&self) -> u64 {
        let status = self.process.process();
        let status = status.and_then(|id| fs::read_to_string(format!("/proc/{id}/status")).ok());
        let peak = status.as_deref().and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            line?.split_whitespace().next()?.parse::<u64>().ok()
        });
        peak.unwrap_or(0) / 1024
    }
}

fn line(kind: &str, record: &Value) -> String {
    json!({ "time": now(), "type": kind, "record": record }).to_string()
}

/// As Lambda writes times.
pub(super) fn now() -> String {
    format!("{:.3}", Timestamp::now())
}

/// The credentials that Lambda gets for a role.
fn take_on(aws: &Aws, role: &str) -> Result<Role, String> {
    let answer = aws.form(
        "sts",
        &[
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", "lambda"),
        ],
    )?;
    let of = |tag| {
        let found = in_tags(&answer, tag);
        let found = found.first().ok_or_else(|| format!("no {tag} in {answer}"));
        found.map(|text| (*text).to_owned())
    };
    Ok(Role {
        key: of("AccessKeyId")?,
        secret: of("SecretAccessKey")?,
        token: of("SessionToken")?,
    })
}

/// The package in a folder of its own.
fn unpack(python: &Path, zip: &[u8]) -> Result<tempfile::TempDir, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("package.zip");
    fs::write(&file, zip).map_err(|error| error.to_string())?;
    let status = Command::new(python)
        .args(["-m", "zipfile", "-e"])
        .arg(&file)
        .arg(folder.path())
        .stdin(Stdio::null())
        .status();
    if !status.is_ok_and(|status| status.success()) {
        return Err("the deployed zip could not be unpacked".to_owned());
    }
    make_executable(&folder.path().join("bootstrap"))?;
    Ok(folder)
}

/// Python leaves the mode behind.
#[cfg(unix)]
fn make_executable(file: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, mode).map_err(|error| format!("the zip holds no bootstrap: {error}"))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<(), String> {
    Ok(())
}
