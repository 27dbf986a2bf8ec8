//! moto, an emulator of AWS in Python, as a process of its own on loopback.

use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Longer than it takes on a machine that is busy with forty of them.
const STARTS_WITHIN: Duration = Duration::from_mins(1);

/// A moto server on a port of its own; it is ended when it is dropped.
#[derive(Debug)]
pub struct MotoServer {
    process: Child,
    url: String,
}

impl MotoServer {
    /// An empty one. Its program is the one that `PIXMILL_MOTO_SERVER` names: `cargo xtask test` installs it and
    /// sets the variable.
    pub fn start() -> Self {
        let program = env::var_os("PIXMILL_MOTO_SERVER")
            .expect("PIXMILL_MOTO_SERVER names the moto_server program: cargo xtask test sets it");
        Self::of(Command::new(program).args(["-H", "127.0.0.1", "-p", "0"]))
    }

    /// One that this command starts, and that says on standard error where it listens as moto's own program does.
    pub fn of(command: &mut Command) -> Self {
        let mut process = command
            // Open for as long as this process lives, so that a server which looks at it doesn't outlive us.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("moto_server starts");
        let said = BufReader::new(process.stderr.take().expect("a pipe"));
        let (found, wait) = mpsc::channel();
        // It reads on to the end: a server whose pipe is full stands still.
        std::thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    let _ = found.send(url.trim().to_owned());
                }
            }
        });
        // From here on dropping ends the process, also where it does not say where it listens.
        let mut server = Self {
            process,
            url: String::new(),
        };
        let url = wait.recv_timeout(STARTS_WITHIN);
        server.url = url.expect("moto_server says where it listens");
        server
    }

    /// Its address, for `AWS_ENDPOINT_URL`; it takes any credentials.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for MotoServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
