//! What in device memory is not as it should be, as data.

use super::prelude::*;
use super::texts::Texts;
use devid_core::store::{Problem, ProblemKind};

/// What in device memory is not as it should be. Never changes.
#[handle]
pub type devid_problems = Problems;

#[doc(hidden)]
pub struct Problems {
    all: Vec<Problem>,
    places: Texts,
    texts: Texts,
}

/// What kind of thing is not as it should be: one of DEVID_PROBLEM_*. More may be added.
#[allow(non_camel_case_types)]
pub type devid_problem = i32;
/// There is no such problem.
pub const DEVID_PROBLEM_NONE: devid_problem = 0;
/// Left over from an interrupted call. Harmless.
pub const DEVID_PROBLEM_LEFTOVER: devid_problem = 1;
/// Not put there by this library. Left alone.
pub const DEVID_PROBLEM_FOREIGN: devid_problem = 2;
/// Access rights or ownership are not as they must be.
pub const DEVID_PROBLEM_ACCESS: devid_problem = 3;
/// The record that says which generation is in use is damaged or missing.
pub const DEVID_PROBLEM_POINTER: devid_problem = 4;
/// A generation cannot be used.
pub const DEVID_PROBLEM_GENERATION: devid_problem = 5;
/// Another record is damaged.
pub const DEVID_PROBLEM_DAMAGED: devid_problem = 6;
/// A generation was issued, but never confirmed or discarded.
pub const DEVID_PROBLEM_UNRESOLVED: devid_problem = 7;
/// What is trusted ends, and no successor is here.
pub const DEVID_PROBLEM_ENDING: devid_problem = 8;
/// A key that is only named here, such as in a token, is not to be had where it is.
pub const DEVID_PROBLEM_KEY_ELSEWHERE: devid_problem = 9;
/// A key is sealed under another secret than is given.
pub const DEVID_PROBLEM_SEALED: devid_problem = 10;
/// The device's clock and the CA's contradict each other about what is valid.
pub const DEVID_PROBLEM_CLOCK: devid_problem = 11;
/// Written by a newer version of the library. Left as it is.
pub const DEVID_PROBLEM_NEWER: devid_problem = 12;
/// Of a kind that has no number here; its text says what it is.
pub const DEVID_PROBLEM_OTHER: devid_problem = 13;
/// An identity is revoked or on hold, by the word of its CA.
pub const DEVID_PROBLEM_REVOKED: devid_problem = 14;

impl devid_problems {
    fn of(all: Vec<Problem>) -> Self {
        Problems { all, places: Texts::default(), texts: Texts::default() }
    }

    fn texts<'a>(&self, texts: &'a Texts, index: usize, of: fn(&Problem) -> &String) -> Option<&'a CStr> {
        texts.at(index, || self.all.iter().map(|problem| of(problem).clone()).collect())
    }
}

/// As devid_store_verify(), with the problems as data.
///
/// @param repair        1: repair; 0: change nothing.
/// @param out_problems  Receives what was found; free with devid_problems_free(). Not NULL.
/// @return DEVID_OK, also if problems were found; or a failure to look.
#[export]
fn devid_problems_of_store(store: &devid_store, repair: bool) -> Result<devid_problems, Error> {
    Ok(Problems::of(if repair { store.repair()? } else { store.verify()? }))
}

/// What devid_renewal_finding() has as text.
///
/// @param out_problems  Receives what was found, none if no plan was made; free with devid_problems_free(). Not NULL.
#[export]
fn devid_problems_of_renewal(renewal: &devid_renewal) -> Result<devid_problems, Error> {
    Ok(Problems::of(renewal.findings.clone()))
}

/// How many there are.
///
/// @return The number.
#[export]
fn devid_problems_count(problems: &devid_problems) -> usize {
    problems.all.len()
}

/// What kind of thing it is.
///
/// @param index  From 0 to devid_problems_count() - 1.
/// @return One of DEVID_PROBLEM_*; DEVID_PROBLEM_NONE if there is no such problem.
#[export]
fn devid_problems_kind(problems: &devid_problems, index: usize) -> devid_problem {
    match problems.all.get(index).map(|problem| problem.kind) {
        None => DEVID_PROBLEM_NONE,
        Some(ProblemKind::Leftover) => DEVID_PROBLEM_LEFTOVER,
        Some(ProblemKind::Foreign) => DEVID_PROBLEM_FOREIGN,
        Some(ProblemKind::Access) => DEVID_PROBLEM_ACCESS,
        Some(ProblemKind::Pointer) => DEVID_PROBLEM_POINTER,
        Some(ProblemKind::Generation) => DEVID_PROBLEM_GENERATION,
        Some(ProblemKind::Damaged) => DEVID_PROBLEM_DAMAGED,
        Some(ProblemKind::Unresolved) => DEVID_PROBLEM_UNRESOLVED,
        Some(ProblemKind::Ending) => DEVID_PROBLEM_ENDING,
        Some(ProblemKind::KeyElsewhere) => DEVID_PROBLEM_KEY_ELSEWHERE,
        Some(ProblemKind::Sealed) => DEVID_PROBLEM_SEALED,
        Some(ProblemKind::Clock) => DEVID_PROBLEM_CLOCK,
        Some(ProblemKind::Newer) => DEVID_PROBLEM_NEWER,
        Some(ProblemKind::Revoked) => DEVID_PROBLEM_REVOKED,
        Some(_) => DEVID_PROBLEM_OTHER,
    }
}

/// Where it is: a record's key.
///
/// @param index  From 0 to devid_problems_count() - 1.
/// @return NULL if there is no such problem; valid until the problems are freed.
#[export]
fn devid_problems_place(problems: &devid_problems, index: usize) -> Option<&CStr> {
    problems.texts(&problems.places, index, |problem| &problem.place)
}

/// What it is and what a person does about it.
///
/// @param index  From 0 to devid_problems_count() - 1.
/// @return NULL if there is no such problem; valid until the problems are freed.
#[export]
fn devid_problems_text(problems: &devid_problems, index: usize) -> Option<&CStr> {
    problems.texts(&problems.texts, index, |problem| &problem.text)
}

/// Whether it has been put right.
///
/// @param index  From 0 to devid_problems_count() - 1.
/// @return 1 yes; 0 no, or there is no such problem.
#[export]
fn devid_problems_is_mended(problems: &devid_problems, index: usize) -> i32 {
    problems.all.get(index).map_or(0, |problem| i32::from(problem.is_mended))
}

/// Frees problems.
#[export]
fn devid_problems_free(problems: Owned<devid_problems>) {
    drop(problems)
}
