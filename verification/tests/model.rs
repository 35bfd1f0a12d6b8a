//! The model in small scopes: what the command explores to the end, in seconds.

use std::collections::BTreeSet;

use call_log::store::TRANSITIONS;
use verification::model::{
    explore::{Until, explore},
    mutant::{Detection, SCOPES, detect, harmful, harmless},
    property::Problem,
    run::{RUNS, SMALL_RUNS},
    scope::Scope,
    state::PHASES,
    step::Model,
};

fn assert_has_no_problem(scope: Scope) {
    let explored = explore(Model { scope, mutant: None }, Until::Exhausted);
    if let Some((problem, at)) = explored.problem {
        panic!("{scope}: {}\n\n{}", problem.sentence(), explored.trace(at));
    }
}

#[test]
fn each_run_shows_the_expected_result() {
    for run in SMALL_RUNS {
        let explored = run.explore();
        let story = explored.problem.map(|(problem, at)| (problem, explored.trace(at).to_string()));
        assert!(run.is_as_expected(&explored), "{} {}: {story:#?}", run.name, run.scope);
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
fn every_phase_of_an_invocation_is_reached() {
    let mut phases = BTreeSet::new();
    for run in SMALL_RUNS {
        for state in run.explore().states() {
            phases.extend(state.invocations.map(|invocation| invocation.phase));
        }
    }
    assert_eq!(phases.into_iter().collect::<Vec<_>>(), PHASES);
}

#[test]
fn every_harmful_mutant_is_detected() {
    assert!(harmful().len() >= 20);
    let survivors: Vec<_> = harmful().iter().filter(|mutant| detect(**mutant).is_none()).collect();
    assert!(survivors.is_empty(), "{survivors:?}");
}

#[test]
fn no_harmless_mutant_breaks_a_property() {
    for mutant in harmless() {
        if let Some(Detection { scope, problem, trace, .. }) = detect(*mutant) {
            panic!("{mutant:?} {scope}: {}\n\n{trace}", problem.sentence());
        }
    }
}

#[test]
fn the_scopes_of_the_mutants_have_no_problem_without_a_mutant() {
    SCOPES.into_iter().for_each(assert_has_no_problem);
}

#[test]
fn a_trace_has_a_line_for_every_step() {
    let explored = SMALL_RUNS[0].explore();
    let (problem, at) = explored.problem.unwrap();
    assert_eq!(problem, Problem::Duplicate);
    let trace = explored.trace(at);
    assert_eq!(trace.len(), explored.path(at).len() - 1);
    let text = trace.to_string();
    assert_eq!(text.lines().count(), trace.len());
    for words in
        ["create 1 sends a POST", "create 2 sends a POST", "record 1: no details; record 2: no details"]
    {
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn packing_a_state_loses_nothing() {
    assert!(PHASES.iter().enumerate().all(|(number, phase)| *phase as usize == number));
    for run in SMALL_RUNS {
        let explored = run.explore();
        let mut out = Vec::new();
        for state in explored.states().step_by(97) {
            explored.model.successors(&state, &mut out);
            for (_, next) in &out {
                assert_eq!(next.pack().unpack(), *next, "{}", run.name);
            }
        }
    }
}
