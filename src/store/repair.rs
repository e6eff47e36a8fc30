//! Looking over device memory, and putting right what can be put right without guessing.

use super::error::{StoreError, StoreErrorKind};
use super::generations::{Home, Unreadable, generation_number, identity_key};
use super::identity::{AnchorSet, IdentityState};
use super::pointer::{LAST_NUMBER, needs_no_copy};
use super::problem::{Problem, ProblemKind};
use super::record::{BLOB, MARKS, NUMBER, OPERATION, REVOKED_RECORD};
use crate::asn1::x509::Certificate;
use crate::cmp::{Operation, SavedOperation};
use crate::sorted::Set;

/// Examines everything; with `mend`, repairs.
pub(super) fn examine(home: &mut Home<'_>, mend: bool) -> Result<Vec<Problem>, StoreError> {
    let mut problems = home.backend.inspect(mend)?;
    let keys = home.backend.list("")?;
    for name in identity_names(&keys) {
        match examine_identity(home, &name, mend, &mut problems) {
            // The others are looked at all the same.
            Err(newer) if newer.kind == StoreErrorKind::Version => problems.push(left_alone(&newer)),
            examined => examined?,
        }
    }
    home.examine_time(mend, &mut problems)?;
    for key in &keys {
        examine_record(home, key, mend, &mut problems)?;
    }
    if mend {
        home.backend.sync()?;
    }
    Ok(problems)
}

pub(super) fn identity_names(keys: &[String]) -> Set<String> {
    keys.iter().filter_map(|k| Some(k.strip_prefix("identity/")?.split_once('/')?.0.to_owned())).collect()
}

/// Looks over one identity; with `mend`, repairs it.
pub(super) fn examine_identity(
    home: &mut Home<'_>,
    name: &str,
    mend: bool,
    problems: &mut Vec<Problem>,
) -> Result<(), StoreError> {
    let key = identity_key(name);
    let mut state = match examine_pointer(home, name, mend, problems)? {
        Some(state) => state,
        None => return Ok(()),
    };
    let before = state;

    // In use: damaged means that the last good generation takes its place.
    if let Some(number) = state.current {
        if let Some(damage) = damage_of(home, name, number, problems) {
            let replacement = match state.previous.map(|previous| home.load(name, previous)) {
                Some(Ok(previous)) => Some(previous),
                Some(Err(unreadable)) if !unreadable.is_damage() => return Err(unreadable),
                _ => home.newest_good(name, &[number], Unreadable::Fail)?,
            };
            let words = match &replacement {
                Some(good) => format!("{damage}; generation {} is good and takes its place", good.generation),
                None => format!("{damage}; no other generation is good"),
            };
            let is_mended = mend && replacement.is_some();
            problems.push(
                Problem::new(ProblemKind::Generation, &format!("{key}/gen-{number:06}"), &words).mended(is_mended),
            );
            if let Some(good) = replacement {
                state = IdentityState { current: Some(good.generation), previous: None, ..state };
            }
        }
    }
    if let Some(number) = state.previous {
        if let Some(damage) = damage_of(home, name, number, problems) {
            let place = format!("{key}/gen-{number:06}");
            problems.push(Problem::new(ProblemKind::Generation, &place, &damage.to_string()).mended(mend));
            state.previous = None;
        }
    }
    if let Some(number) = state.pending {
        let place = format!("{key}/gen-{number:06}");
        match damage_of(home, name, number, problems) {
            Some(damage) => {
                problems.push(Problem::new(ProblemKind::Generation, &place, &damage.to_string()).mended(mend));
                state.pending = None;
            }
            None if is_confirmed(home, name, number)? => {}
            None => {
                problems.push(Problem::new(ProblemKind::Unresolved, &place, "issued, neither confirmed nor discarded"))
            }
        }
    }
    if mend && state != before {
        home.write_pointer(name, state)?;
    }

    for number in home.numbers(name)? {
        let is_named = [state.current, state.previous, state.pending].contains(&Some(number));
        let place = format!("{key}/gen-{number:06}");
        if !is_named && !home.is_complete(name, number)? {
            if home.is_waited_for(name, number, state)? {
                let text = "incomplete; what is left of it stays while a request waits that was begun with it";
                problems.push(Problem::new(ProblemKind::Unresolved, &place, text));
                continue;
            }
            if mend {
                home.remove_generation(name, number)?;
            }
            problems
                .push(Problem::new(ProblemKind::Leftover, &place, "a generation that was never finished").mended(mend));
        } else if state.pending != Some(number) && is_named && home.is_unconfirmed(name, number)? {
            if mend {
                home.backend.remove(&format!("{place}/unconfirmed"), false)?;
            }
            let text = "marked as unconfirmed, but in use";
            problems.push(Problem::new(ProblemKind::Leftover, &format!("{place}/unconfirmed"), text).mended(mend));
        }
    }
    Ok(())
}

/// Whether a staged generation, which can be read, is what the saved operation has confirmed to the CA: it waits for its notBefore, and
/// nothing is left to be said or put right. A saved operation that cannot be read is told by itself, and confirms nothing.
fn is_confirmed(home: &mut Home<'_>, name: &str, number: u32) -> Result<bool, StoreError> {
    let saved = match home.load_blob(OPERATION, name) {
        Ok(saved) => saved,
        Err(error) if error.is_damage() || error.kind == StoreErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind == StoreErrorKind::Version => return Ok(false),
        Err(error) => return Err(error),
    };
    if !SavedOperation::read(&saved).is_ok_and(|operation| operation.is_confirmed) {
        return Ok(false);
    }
    let Ok(Some(confirmed)) = Operation::saved_certificate(&saved) else { return Ok(false) };
    Ok(home.load(name, number)?.certificate == confirmed)
}

/// What is damaged in a generation. One that cannot be read now is a problem for somebody else.
fn damage_of(home: &mut Home<'_>, name: &str, number: u32, problems: &mut Vec<Problem>) -> Option<StoreError> {
    let error = home.load(name, number).err()?;
    if error.is_damage() {
        return Some(error);
    }
    problems.push(left_alone(&error));
    None
}

/// What cannot be read now and is no damage.
pub(super) fn left_alone(error: &StoreError) -> Problem {
    let kind = match error.kind {
        StoreErrorKind::Secret | StoreErrorKind::SecretAway(_) => ProblemKind::Sealed,
        StoreErrorKind::Version => ProblemKind::Newer,
        _ => ProblemKind::Access,
    };
    Problem::new(kind, &error.place, &error.detail)
}

/// The pointer's state, restored if need be; `None` if the identity holds nothing.
fn examine_pointer(
    home: &mut Home<'_>,
    name: &str,
    mend: bool,
    problems: &mut Vec<Problem>,
) -> Result<Option<IdentityState>, StoreError> {
    let key = identity_key(name);
    let (main, copy) = (home.read_pointer(name, "current"), home.read_pointer(name, "current.copy"));
    // Its copy is of before, or gone: what was decided is finished.
    if let Some(pointer) =
        [&main, &copy].into_iter().find_map(|read| read.as_ref().ok()?.filter(|found| found.is_going))
    {
        let is_newest = matches!(&main, Ok(Some(main)) if main.is_going) || !matches!(&main, Ok(Some(_)));
        if is_newest {
            return finish_removal(home, name, pointer.state, true, mend, problems);
        }
    }
    let state = match (&main, &copy) {
        (Ok(Some(main)), Ok(Some(copy))) if main == copy => {
            return finish_removal(home, name, main.state, false, mend, problems);
        }
        (Ok(Some(main)), Ok(None)) if needs_no_copy(*main) => return Ok(Some(main.state)),
        (Ok(Some(main)), _) => main.state,
        (Err(other), _) if other.kind != StoreErrorKind::Corrupt => return Err(other.clone()),
        (_, Ok(Some(copy))) => copy.state,
        _ => {
            let newest = home.newest_good(name, &[], Unreadable::Fail)?.map(|i| i.generation);
            let mut pending = None;
            for number in home.numbers(name)? {
                if home.is_unconfirmed(name, number)? {
                    match home.load(name, number) {
                        Ok(_) => pending = Some(number),
                        Err(damage) if damage.is_damage() => {}
                        Err(unreadable) => return Err(unreadable),
                    }
                }
            }
            IdentityState { current: newest, previous: None, pending }
        }
    };
    if state == IdentityState::default() && main.is_ok() && copy.is_ok() && !home.has_pointer(name)? {
        // Nothing whole was ever there: remains of a first installation.
        for number in home.numbers(name)? {
            if mend {
                home.remove_generation(name, number)?;
            }
            let place = format!("{key}/gen-{number:06}");
            problems
                .push(Problem::new(ProblemKind::Leftover, &place, "a generation that was never finished").mended(mend));
        }
        return Ok(None);
    }
    let is_restored = mend && home.write_pointer(name, state).is_ok();
    let (file, text) = match (&main, &copy) {
        (Ok(Some(_)), Ok(Some(_))) => ("current.copy", "older than the record it copies".to_owned()),
        (Ok(Some(_)), Ok(None)) => ("current.copy", "missing".to_owned()),
        (Ok(Some(_)), Err(damage)) => ("current.copy", damage.detail.clone()),
        (Ok(None), _) => ("current", format!("missing; restored with {}", generations(state))),
        (Err(damage), _) => ("current", format!("{}; restored with {}", damage.detail, generations(state))),
    };
    problems.push(Problem::new(ProblemKind::Pointer, &format!("{key}/{file}"), &text).mended(is_restored));
    finish_removal(home, name, state, false, mend, problems)
}

/// Which generations a pointer names.
fn generations(state: IdentityState) -> String {
    let named = [("current", state.current), ("previous", state.previous), ("pending", state.pending)];
    let all: Vec<String> =
        named.into_iter().filter_map(|(what, number)| Some(format!("{what} generation {}", number?))).collect();
    if all.is_empty() { "no generation".to_owned() } else { all.join(", ") }
}

/// A pointer that names nothing: the identity was being removed.
fn finish_removal(
    home: &mut Home<'_>,
    name: &str,
    state: IdentityState,
    is_whole: bool,
    mend: bool,
    problems: &mut Vec<Problem>,
) -> Result<Option<IdentityState>, StoreError> {
    if state != IdentityState::default() {
        return Ok(Some(state));
    }
    match (mend, is_whole) {
        (true, true) => home.remove_left(name)?,
        (true, false) => home.remove_identity(name)?,
        _ => {}
    }
    let text = "its removal was interrupted";
    problems.push(Problem::new(ProblemKind::Leftover, &identity_key(name), text).mended(mend));
    Ok(None)
}

fn examine_record(home: &mut Home<'_>, key: &str, mend: bool, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
    let names: Vec<_> = key.split('/').collect();
    let damage = match names.as_slice() {
        ["identity", _, "current" | "current.copy"] | ["clock", "time" | "time.copy"] => return Ok(()),
        ["identity", _, generation, file]
            if generation_number(generation).is_some()
                && ["key.pem", "key.ref", "certificate.pem", "chain.pem", "meta", "unconfirmed"].contains(file) =>
        {
            return Ok(());
        }
        ["generation", "last"] => home.damage_of_last_number(),
        ["pending", label, "key.pem" | "key.ref"] => home.load_key(&format!("pending/{label}")).map(drop).err(),
        ["pending", label, "request.pem"] if home.pending_labels()?.iter().all(|l| l != label) => {
            if mend {
                home.backend.remove(key, true)?;
            }
            problems.push(Problem::new(ProblemKind::Leftover, key, "a request without its key").mended(mend));
            return Ok(());
        }
        ["pending", label, "request.pem"] => home.load_request(label).map(drop).err(),
        ["operation", name] => home.load_blob(OPERATION, name).map(drop).err(),
        ["blob", name] => home.load_blob(BLOB, name).map(drop).err(),
        ["number", name] if MARKS.contains(name) => return examine_mark(home, name, mend, problems),
        ["number", name] => home.load_blob(NUMBER, name).map(drop).err(),
        ["anchors", file] if AnchorSet::ALL.iter().any(|set| *file == format!("{}.pem", set.name())) => {
            home.backend.read(key).map_or_else(Some, |bytes| {
                let read = bytes.map_or(Ok(Vec::new()), |bytes| Certificate::many_from_bytes(&bytes));
                read.err().map(|e| StoreError::asn1(key, &e))
            })
        }
        _ => {
            problems.push(Problem::new(ProblemKind::Foreign, key, "not a record of device memory; left alone"));
            return Ok(());
        }
    };
    match damage {
        Some(damage) if damage.is_damage() => {
            // What cannot be read serves nobody, except a key or anchors that a person may still rescue.
            let is_request = names[0] == "pending" && names.last() == Some(&"request.pem");
            let is_guard = names[..] == ["blob", REVOKED_RECORD];
            let is_spare = (matches!(names[0], "operation" | "blob") && !is_guard) || key == LAST_NUMBER || is_request;
            let is_mended = mend && is_spare;
            if is_mended {
                home.backend.remove(key, false)?;
            }
            let text = match names[0] {
                _ if is_mended => format!("{}; removed", damage.detail),
                "pending" => format!("{}; nothing can be imported for it: abandon it", damage.detail),
                "anchors" => {
                    format!("{}; nobody is trusted by it until the file is written anew (devid anchors)", damage.detail)
                }
                _ => damage.detail,
            };
            problems.push(Problem::new(ProblemKind::Damaged, key, &text).mended(is_mended));
        }
        Some(other) => problems.push(Problem { place: (*key).to_owned(), ..left_alone(&other) }),
        None => {}
    }
    Ok(())
}

/// A mark that is damaged begins anew, far from all that were there before: to every process what it tells of is new. To take it away would
/// let it come back to where somebody has seen it.
fn examine_mark(home: &mut Home<'_>, name: &str, mend: bool, problems: &mut Vec<Problem>) -> Result<(), StoreError> {
    let key = format!("{}/{name}", NUMBER.0);
    match home.load_blob(NUMBER, name) {
        Ok(_) => {}
        Err(damage) if damage.is_damage() => {
            if mend {
                let mut anew = [0; 8];
                home.provider
                    .random(&mut anew)
                    .map_err(|e| StoreError::new(StoreErrorKind::Io, &key, e.to_string()))?;
                // Even: nobody is writing. Below half of what it can be: it goes on rising.
                (anew[0], anew[7]) = (anew[0] & 0x3f | 0x20, anew[7] & 0xfe);
                home.save_blob(NUMBER, name, &anew)?;
            }
            let end = if mend { "; begun anew" } else { "" };
            let text = format!("{}{end}", damage.detail);
            problems.push(Problem::new(ProblemKind::Damaged, &key, &text).mended(mend));
        }
        Err(other) => problems.push(Problem { place: key, ..left_alone(&other) }),
    }
    Ok(())
}
