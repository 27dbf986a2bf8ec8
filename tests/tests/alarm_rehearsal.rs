//! Every scene, at every delay with which CloudWatch may see things: the alarms that must tell somebody do, in time, on
//! their channel, and to the end; and nobody is told anything else.

use std::collections::BTreeSet;
use std::thread;

use pixmill_tests::alarms::State;
use pixmill_tests::deployment::{Deployment, Mode};
use pixmill_tests::rehearsal::{Company, DELAYS, Scene, TYPICAL, scenes, table};
use pixmill_tests::repertoire::{Act, End};

#[test]
fn in_every_scene_those_are_told_who_must_be_and_nobody_else() {
    let company = &Company::gather();
    let scenes = &scenes();
    let at = |delay| {
        let judged = scenes
            .iter()
            .map(|scene| company.perform(scene, delay).judge(scene));
        judged.collect::<Vec<_>>()
    };
    let judged = thread::scope(|scope| {
        let running = DELAYS.map(|delay| (delay, scope.spawn(move || at(delay))));
        running.map(|(delay, scenes)| (delay, scenes.join().expect("no panic")))
    });
    let mut faults = Vec::new();
    let mut rows = Vec::new();
    for (delay, of_scenes) in judged {
        for (scene, (of_scene, wrong)) in scenes.iter().zip(of_scenes) {
            let wrong = wrong.into_iter();
            faults.extend(wrong.map(|fault| format!("{} at {delay:?}: {fault}", scene.name)));
            if delay == TYPICAL {
                rows.push((scene, of_scene));
            }
        }
    }
    println!("{}", table(&rows));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_alarm_that_tells_somebody_has_a_scene() {
    let scenes = scenes();
    let told: BTreeSet<&str> = scenes
        .iter()
        .flat_map(|scene| scene.expected.iter().map(|expected| expected.alarm))
        .collect();
    let mut there = BTreeSet::new();
    for mode in [Mode::Queue, Mode::Direct] {
        let mut deployment = Deployment::new(mode);
        for switch in [
            "enable_no_invocation_alarm",
            "enable_access_audit",
            "enable_canary",
        ] {
            deployment.switches.insert(switch.to_owned(), true);
        }
        there.extend(deployment.telling().into_keys());
    }
    let without: BTreeSet<&str> = there
        .iter()
        .map(String::as_str)
        .filter(|alarm| !told.contains(alarm))
        .collect();
    assert_eq!(without, BTreeSet::new());
    let unknown: Vec<_> = told
        .iter()
        .filter(|alarm| !there.contains(**alarm))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_real_function_plays_every_act_as_the_scenes_take_it() {
    let company = Company::gather();
    let unsettled = End::Error("Pixmill.Unsettled".to_owned());
    for mode in [Mode::Queue, Mode::Direct] {
        for (act, performance) in company.acts(mode) {
            let back = match mode {
                Mode::Queue => End::GivenBack,
                Mode::Direct => unsettled.clone(),
            };
            let (end, code) = match act {
                Act::Good | Act::Large | Act::Canary => (End::Settled, None),
                Act::Corrupt => (End::Settled, Some("truncated")),
                Act::Unreadable => (back, Some("event-unknown")),
                Act::Foreign => (back, Some("foreign-bucket")),
                Act::DeniedReading | Act::DeniedWriting => (back, Some("denied")),
                Act::Unavailable => (back, Some("unavailable")),
                Act::OutOfTime => (back, Some("stopped")),
                Act::OutOfMemory => (back, Some("out-of-memory")),
                Act::Hung => (End::TimedOut, None),
                Act::Killed => (End::Killed, None),
            };
            assert_eq!(performance.end, end, "{act:?} {mode:?}");
            let codes = performance
                .lines
                .iter()
                .filter_map(|line| line["code"].as_str());
            let codes: BTreeSet<&str> = codes.collect();
            assert_eq!(codes, code.into_iter().collect(), "{act:?} {mode:?}");
        }
    }
}

#[test]
fn a_scene_fails_when_an_alarm_is_late_silent_on_the_wrong_channel_or_unexpected() {
    let company = Company::gather();
    let scenes = scenes();
    let scene = scenes
        .iter()
        .find(|s| s.name == "single-timeout")
        .expect("there");
    let performed = company.perform(scene, TYPICAL);
    let faults = |change: &dyn Fn(&mut Scene)| {
        let mut scene = scene.clone();
        change(&mut scene);
        performed.judge(&scene).1.join("; ")
    };
    assert_eq!(faults(&|_| {}), "");
    for (change, words) in [
        (
            (&|s: &mut Scene| s.expected[0].within = 1) as &dyn Fn(&mut Scene),
            "late",
        ),
        (
            &|s: &mut Scene| s.expected[0].channel = "logs",
            "tells critical for logs",
        ),
        (
            &|s: &mut Scene| s.expected[0].alarm = "memory-errors",
            "says nothing",
        ),
        (
            &|s: &mut Scene| s.expected[0].times = (2, 2),
            "tells 1 times for 2 to 2",
        ),
        (
            &|s: &mut Scene| s.expected.clear(),
            "timeout-errors tells critical",
        ),
        (&|s: &mut Scene| s.trouble *= 2, "before anything is wrong"),
    ] {
        let faults = faults(change);
        assert!(faults.contains(words), "{words}: {faults}");
    }
    assert!(performed.messages.iter().any(|m| m.state == State::Ok));
}
