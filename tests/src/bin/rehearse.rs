//! `cargo xtask rehearse [SCENE]... [--dashboard FOLDER]`: every scene, or these, with its timeline,
//! then the table; and with a folder, the dashboard of each scene as a page.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pixmill_tests::dashboard;
use pixmill_tests::deployment::Deployment;
use pixmill_tests::rehearsal::{Company, Performed, Scene, TYPICAL, scenes, table};
use pixmill_tests::simulation::BEGIN;

const USAGE: &str = "Usage: cargo xtask rehearse [SCENE]... [--dashboard FOLDER]";

fn main() -> ExitCode {
    let mut wanted: Vec<String> = Vec::new();
    let mut folder = None;
    let mut words = env::args().skip(1);
    let scenes = scenes();
    let names: Vec<_> = scenes.iter().map(|scene| scene.name).collect();
    while let Some(word) = words.next() {
        if word == "--dashboard" {
            let Some(path) = words.next() else {
                eprintln!("--dashboard takes a folder.\n\n{USAGE}");
                return ExitCode::from(2);
            };
            folder = Some(PathBuf::from(path));
        } else if word == "--help" || word == "-h" {
            println!("{USAGE}\n\nScenes: {}", names.join(", "));
            return ExitCode::SUCCESS;
        } else if names.contains(&word.as_str()) {
            wanted.push(word);
        } else {
            eprintln!(
                "There is no scene '{word}'. There are: {}\n\n{USAGE}",
                names.join(", ")
            );
            return ExitCode::from(2);
        }
    }
    let company = Company::gather();
    let mut rows = Vec::new();
    let mut faults = 0;
    let chosen = scenes
        .iter()
        .filter(|s| wanted.is_empty() || wanted.contains(&s.name.to_owned()));
    for scene in chosen {
        let performed = company.perform(scene, TYPICAL);
        let (row, mut wrong) = performed.judge(scene);
        println!("{}", performed.timeline(scene));
        if let Some(folder) = &folder
            && let Err(error) = draw(folder, scene, &performed)
        {
            wrong.push(format!("its dashboard can't be drawn: {error}"));
        }
        for fault in &wrong {
            println!("  WRONG: {fault}");
        }
        faults += wrong.len();
        rows.push((scene, row));
    }
    println!("{}", table(&rows));
    if faults == 0 {
        ExitCode::SUCCESS
    } else {
        println!("{faults} things are not as they should be: they are marked WRONG above.");
        ExitCode::FAILURE
    }
}

fn draw(folder: &Path, scene: &Scene, performed: &Performed) -> Result<(), String> {
    let page = dashboard::draw(
        &Deployment::new(scene.mode).dashboard(),
        &dashboard::Scene {
            title: scene.name,
            about: scene.about,
            metrics: &performed.metrics,
            states: &performed.states,
            were_on: &performed
                .changes
                .iter()
                .map(|change| change.alarm.clone())
                .collect(),
            errors: &performed.errors,
            range: (BEGIN, BEGIN + scene.length),
        },
    )?;
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let file = folder.join(format!("{}.html", scene.name));
    fs::write(&file, page).map_err(|error| error.to_string())?;
    println!("  drawn: {}", file.display());
    Ok(())
}
