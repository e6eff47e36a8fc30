//! What a renewal says, in the numbers and words of the header.

use super::renewal::*;
use devid_core::client::renewal::{Alarm, Done, Standing, Step};

pub(super) fn number_of_step(step: &Step) -> i32 {
    match step {
        Step::Nothing => DEVID_STEP_NOTHING,
        Step::Enroll => DEVID_STEP_ENROLL,
        Step::Update => DEVID_STEP_UPDATE,
        Step::EnrollAgain => DEVID_STEP_ENROLL_AGAIN,
        Step::Resume => DEVID_STEP_RESUME,
        Step::AskForRoot(_) => DEVID_STEP_ASK_FOR_ROOT,
        Step::LearnTime => DEVID_STEP_LEARN_TIME,
    }
}

pub(super) fn number_of_done(done: &Done) -> i32 {
    match done {
        Done::Nothing => DEVID_DONE_NOTHING,
        Done::Installed(_) => DEVID_DONE_INSTALLED,
        Done::Waiting => DEVID_DONE_WAITING,
        Done::RootAdded(_) => DEVID_DONE_ROOT_ADDED,
        Done::NoSuccessor => DEVID_DONE_NO_SUCCESSOR,
        Done::Abandoned(_) => DEVID_DONE_ABANDONED,
        Done::TimeLearnt => DEVID_DONE_TIME_LEARNT,
    }
}

pub(super) fn words_of(done: &Done) -> String {
    match done {
        Done::Nothing => "nothing is due".to_owned(),
        Done::Installed(identity) => format!("generation {} is in use", identity.generation),
        Done::Waiting => "the CA asks to wait".to_owned(),
        Done::RootAdded(_) => "a new root is trusted beside the old one".to_owned(),
        Done::NoSuccessor => "the root has no successor yet".to_owned(),
        Done::Abandoned(error) => format!("an unfinished operation is given up: {error}"),
        Done::TimeLearnt => "the time was learnt".to_owned(),
    }
}

pub(super) fn number_of_standing(standing: Standing) -> i32 {
    match standing {
        Standing::Absent => DEVID_STANDING_ABSENT,
        Standing::Valid => DEVID_STANDING_VALID,
        Standing::NotYetValid => DEVID_STANDING_NOT_YET_VALID,
        Standing::Expired => DEVID_STANDING_EXPIRED,
        Standing::Revoked => DEVID_STANDING_REVOKED,
        Standing::Damaged => DEVID_STANDING_DAMAGED,
        Standing::Unknown => DEVID_STANDING_UNKNOWN,
    }
}

pub(super) fn number_of_alarm(alarm: Alarm) -> i32 {
    match alarm {
        Alarm::Quiet => DEVID_ALARM_QUIET,
        Alarm::Late => DEVID_ALARM_LATE,
        Alarm::Urgent => DEVID_ALARM_URGENT,
        Alarm::Unusable => DEVID_ALARM_UNUSABLE,
    }
}
