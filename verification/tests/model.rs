//! The model in small: what the command explores to the end, in seconds.

use std::collections::BTreeSet;

use call_log::store::TRANSITIONS;
use verification::model::{
    explore::{Until, explore},
    mutant::{HUNTS, Kill, harmful, harmless, hunt},
    property::Problem,
    run::{RUNS, SMALL_RUNS},
    scope::Scope,
    state::PLACES,
    step::Model,
};

/// Explores what has to be clean.
fn check_clean(scope: Scope) {
    let explored = explore(Model { scope, mutant: None }, Until::Exhausted);
    if let Some((problem, at)) = explored.problem {
        panic!("{scope}: {}\n\n{}", problem.sentence(), explored.trace(at));
    }
}

#[test]
fn each_run_shows_what_it_has_to() {
    for run in SMALL_RUNS {
        let explored = run.explore();
        let story = explored.problem.map(|(problem, at)| (problem, explored.trace(at).to_string()));
        assert!(run.shows(&explored), "{} {}: {story:#?}", run.name, run.scope);
    }
}

#[test]
fn the_small_runs_are_those_of_the_command() {
    for (small, full) in SMALL_RUNS.iter().zip(RUNS) {
        assert_eq!((small.name, small.expected), (full.name, full.expected));
    }
}

#[test]
fn the_model_takes_every_transition_of_the_table_and_no_other() {
    let runs = SMALL_RUNS.iter().filter(|run| run.scope.assumptions_hold());
    let taken: BTreeSet<_> = runs.flat_map(|run| run.explore().edges).collect();
    let table: BTreeSet<_> = TRANSITIONS.iter().copied().collect();
    assert_eq!(taken.difference(&table).collect::<Vec<_>>(), Vec::<&_>::new(), "not in the table");
    assert_eq!(table.difference(&taken).collect::<Vec<_>>(), Vec::<&_>::new(), "not in the model");
}

#[test]
fn every_place_of_an_invocation_is_reached() {
    let mut places = BTreeSet::new();
    for run in SMALL_RUNS {
        for world in run.explore().worlds() {
            places.extend(world.workers.map(|worker| worker.at));
        }
    }
    assert_eq!(places.into_iter().collect::<Vec<_>>(), PLACES);
}

#[test]
fn every_fault_is_found() {
    assert!(harmful().len() >= 20);
    let survivors: Vec<_> = harmful().iter().filter(|mutant| hunt(**mutant).is_none()).collect();
    assert!(survivors.is_empty(), "{survivors:?}");
}

#[test]
fn what_another_rule_makes_good_does_no_harm() {
    for mutant in harmless() {
        if let Some(Kill { scope, problem, trace, .. }) = hunt(*mutant) {
            panic!("{mutant:?} {scope}: {}\n\n{trace}", problem.sentence());
        }
    }
}

#[test]
fn faults_are_found_where_nothing_else_is_wrong() {
    HUNTS.into_iter().for_each(check_clean);
}

#[test]
fn a_trace_tells_every_step() {
    let explored = SMALL_RUNS[0].explore();
    let (problem, at) = explored.problem.unwrap();
    assert_eq!(problem, Problem::Duplicate);
    let trace = explored.trace(at);
    assert_eq!(trace.len(), explored.path(at).len() - 1);
    let text = trace.to_string();
    assert_eq!(text.lines().count(), trace.len());
    for words in ["create 1 sends a POST", "create 2 sends a POST", "log 1: nothing; log 2: nothing"] {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_state_is_unpacked_as_it_was_packed() {
    assert!(PLACES.iter().enumerate().all(|(number, at)| *at as usize == number));
    for run in SMALL_RUNS {
        let explored = run.explore();
        let mut out = Vec::new();
        for world in explored.worlds().step_by(97) {
            explored.model.successors(&world, &mut out);
            for (_, next) in &out {
                assert_eq!(next.pack().unpack(), *next, "{}", run.name);
            }
        }
    }
}
