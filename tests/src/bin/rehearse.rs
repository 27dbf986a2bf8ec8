//! `cargo run -p pixmill-tests --bin rehearse -- [SCENE]...`: every scene, or these, with its timeline; then the table.

use std::env;
use std::process::ExitCode;

use pixmill_tests::rehearsal::{Company, TYPICAL, scenes, table};

fn main() -> ExitCode {
    let wanted: Vec<String> = env::args().skip(1).collect();
    let scenes = scenes();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| scenes.iter().all(|s| s.name != **name))
    {
        let names: Vec<_> = scenes.iter().map(|scene| scene.name).collect();
        eprintln!(
            "There is no scene '{unknown}'. There are: {}",
            names.join(", ")
        );
        return ExitCode::from(2);
    }
    let company = Company::gather();
    let mut rows = Vec::new();
    let mut faults = 0;
    let chosen = scenes
        .iter()
        .filter(|s| wanted.is_empty() || wanted.contains(&s.name.to_owned()));
    for scene in chosen {
        let performed = company.perform(scene, TYPICAL);
        let (row, wrong) = performed.judge(scene);
        println!("{}", performed.timeline(scene));
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
