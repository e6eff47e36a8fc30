//! Functions of the program while a renewal runs, and what it gave up.

use super::args::null;
use super::prelude::*;
use super::run::{Judge, devid_decide_fn, devid_judge_fn, devid_wait_fn};
use devid_core::transport::file::FileExchange;

/// Let a function of the program decide on each certificate of devid_renewal_run() before it comes into use. Without one, it is taken
/// as devid_config_set_acceptance() says.
///
/// @param decide   NULL: as above. May be NULL.
/// @param user     Passed to `decide` and `destroy`. May be NULL.
/// @param destroy  Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_decide(
    renewal: &mut devid_renewal,
    decide: Option<devid_decide_fn>,
    user: User,
) -> Result<(), Error> {
    renewal.callbacks.decide = decide.map(|decide| Judge::ByText(decide, user));
    Ok(())
}

/// As devid_renewal_set_decide(), and takes its place; the function is told the differences as data.
///
/// @param judge    NULL: as devid_renewal_set_decide() with NULL. May be NULL.
/// @param user     Passed to `judge` and `destroy`. May be NULL.
/// @param destroy  Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_judge(
    renewal: &mut devid_renewal,
    judge: Option<devid_judge_fn>,
    user: User,
) -> Result<(), Error> {
    renewal.callbacks.decide = judge.map(|judge| Judge::ByData(judge, user));
    Ok(())
}

/// Let a function of the program wait, within devid_renewal_set_longest_nap(); longer waits end the step, to be continued.
///
/// @param wait     NULL: sleep. May be NULL.
/// @param user     Passed to `wait` and `destroy`. May be NULL.
/// @param destroy  Called once, when the renewal is freed, another function is set, or this call fails. May be NULL.
#[export]
fn devid_renewal_set_wait(renewal: &mut devid_renewal, wait: Option<devid_wait_fn>, user: User) -> Result<(), Error> {
    renewal.callbacks.wait = wait.map(|wait| (wait, user));
    Ok(())
}

/// Let the messages of devid_renewal_run() travel as files instead of over a network: see devid_op_set_files(). As long as an answer is
/// not there, the step fails with DEVID_E_BUSY and is continued.
///
/// @param folder  An existing directory. NULL: the network again. May be NULL.
/// @param name    As devid_op_set_files(); NULL only if `folder` is. May be NULL.
/// @return DEVID_OK; DEVID_E_NULL for a folder without a name, DEVID_E_INVALID_ARGUMENT for a name that cannot be used.
#[export]
fn devid_renewal_set_files(renewal: &mut devid_renewal, folder: Option<&str>, name: Option<&str>) -> Result<(), Error> {
    renewal.callbacks.files = match folder {
        Some(folder) => Some(FileExchange::new(folder, name.ok_or_else(|| null("name"))?)?),
        None => None,
    };
    renewal.planner.is_carried = renewal.callbacks.files.is_some();
    Ok(())
}

/// Why the last devid_renewal_run() gave an unfinished operation up, with DEVID_DONE_ABANDONED.
///
/// @param renewal  May be NULL (gives NULL).
/// @return Text for users; NULL if it gave up none. Valid until the renewal is run again or freed.
#[export]
fn devid_renewal_abandoned_for(renewal: &devid_renewal) -> Option<&CStr> {
    renewal.abandoned.as_deref()
}
