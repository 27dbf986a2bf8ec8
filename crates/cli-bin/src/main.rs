//! The `pixmill` command: wires arguments, folders and the engine, and chooses the exit code.

mod admission;
mod args;
mod estimate;
mod inputs;
mod inspect;
mod inventory;
mod invoke;
mod machine;
mod place;
mod prices;
mod progress;
mod prune;
mod redrive;
mod replay;
mod report;
mod run;
mod verify;
mod watch;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command, RecipeCommand};
use crate::run::Ended;

/// Something was rejected or failed.
const TROUBLE: u8 = 1;
/// The arguments or the recipe are wrong.
const USAGE: u8 = 2;
/// Ended by Ctrl-C: 128 and the number of SIGINT, as shells have it.
pub(crate) const STOPPED: u8 = 130;

fn main() -> ExitCode {
    pixmill_codecs::return_large_buffers();
    machine::keep_within_limits();
    let cli = Cli::parse();
    quiet_fenced_panics();
    match carry_out(cli.command) {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::WithTrouble) => TROUBLE.into(),
        Ok(Ended::Stopped) => STOPPED.into(),
        // Whoever reads our output has had enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pixmill: {error:#}");
            USAGE.into()
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<Ended> {
    match command {
        Command::Convert(args) => to_its_end(run::convert(&args)),
        Command::Plan(args) => to_its_end(run::plan(&args)),
        Command::Watch(args) => to_its_end(watch::watch(&args)),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Invoke(args) => to_its_end(invoke::invoke(&args)),
        Command::Redrive(args) => to_its_end(redrive::redrive(&args)),
        Command::Replay(args) => to_its_end(replay::replay(&args)),
        Command::Verify(args) => to_its_end(verify::verify(&args)),
        Command::Recipe { command } => recipe(command),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pixmill", &mut io::stdout());
            Ok(Ended::Well)
        }
        Command::Man { subcommand, to } => manual(&subcommand, to.as_deref()),
    }
}

/// Prints one manual page, or writes all of them to a folder.
fn manual(subcommand: &[String], to: Option<&Path>) -> anyhow::Result<Ended> {
    let mut command = Cli::command();
    if let Some(folder) = to {
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder));
        written.with_context(|| format!("the pages can't be written to {}", folder.display()))?;
        return Ok(Ended::Well);
    }
    // What subcommands have from the command is handed down to them.
    command.build();
    let mut page = &command;
    for name in subcommand {
        page = page
            .find_subcommand(name)
            .with_context(|| format!("there is no subcommand {name:?} of {}", page.get_name()))?;
    }
    clap_mangen::Man::new(page.clone()).render(&mut io::stdout())?;
    Ok(Ended::Well)
}

fn recipe(command: RecipeCommand) -> anyhow::Result<Ended> {
    let mut out = io::stdout().lock();
    match command {
        RecipeCommand::Show => out.write_all(pixmill::recipe::DEFAULT_RECIPE.as_bytes())?,
        RecipeCommand::Check { file } => {
            let recipe = args::read_recipe(&file)?;
            let names: Vec<_> = recipe.variants.iter().map(|v| v.name.as_str()).collect();
            writeln!(
                out,
                "{} is good: it makes {}",
                file.display(),
                names.join(", ")
            )?;
        }
        RecipeCommand::Init { file } => {
            let new = std::fs::File::create_new(&file);
            let words = || format!("{} can't be written; is it there already?", file.display());
            new.and_then(|mut new| new.write_all(pixmill::recipe::DEFAULT_RECIPE.as_bytes()))
                .with_context(words)?;
            writeln!(
                out,
                "{} is yours to change; check it with: pixmill recipe check {0}",
                file.display()
            )?;
        }
        RecipeCommand::Schema => {
            let schema = schemars::schema_for!(pixmill::Recipe);
            writeln!(out, "{}", serde_json::to_string_pretty(&schema)?)?;
        }
    }
    Ok(Ended::Well)
}

/// How long what was dropped on the way out, such as a file half written beside its name, has to end by itself.
const LEAVING: Duration = Duration::from_secs(5);

fn to_its_end(work: impl Future<Output = anyhow::Result<Ended>>) -> anyhow::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime can't be started")?;
    let ended = runtime.block_on(work);
    // A thread that was left behind with its picture keeps nobody waiting.
    runtime.shutdown_timeout(LEAVING);
    ended
}

/// Decoders panic on hostile files; the engine fences that and names the file. What the hook would
/// print says neither, so it keeps to panics outside the fence's worker threads.
fn quiet_fenced_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some("main") {
            print(panic);
        }
    }));
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
