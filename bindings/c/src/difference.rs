//! Where a certificate is not what was asked for, as data.

use super::prelude::*;
use super::texts::Texts;
use devid_core::cmp::{Deviation, Difference};

/// Where a certificate is not what was asked for. Never changes.
#[handle]
pub type devid_differences = Differences;

#[doc(hidden)]
pub struct Differences {
    all: Vec<Difference>,
    fields: Texts,
    requested: Texts,
    issued: Texts,
    details: Texts,
}

/// In which way a part of a certificate is not what was asked for: one of DEVID_DEVIATION_*. More may be added.
#[allow(non_camel_case_types)]
pub type devid_deviation = i32;
/// There is no such difference.
pub const DEVID_DEVIATION_NONE: devid_deviation = 0;
/// All that was asked for is there, and more; a longer validity too.
pub const DEVID_DEVIATION_ADDED: devid_deviation = 1;
/// A validity that begins later or ends earlier than asked for.
pub const DEVID_DEVIATION_NARROWED: devid_deviation = 2;
/// A subject of the same parts in another order or grouping: another name by RFC 5280 section 7.1.
pub const DEVID_DEVIATION_REORDERED: devid_deviation = 3;
/// Something that was asked for is missing or is something else.
pub const DEVID_DEVIATION_CHANGED: devid_deviation = 4;

impl devid_differences {
    pub(super) fn of(all: &[Difference]) -> Self {
        let texts = Texts::default;
        Differences { all: all.to_vec(), fields: texts(), requested: texts(), issued: texts(), details: texts() }
    }

    fn texts<'a>(&self, texts: &'a Texts, index: usize, of: fn(&Difference) -> &String) -> Option<&'a CStr> {
        texts.at(index, || self.all.iter().map(|difference| of(difference).clone()).collect())
    }
}

/// Where the issued certificate of an operation is not what was asked for, from DEVID_ACTION_ACCEPT on.
///
/// @param out_differences  Receives them; free with devid_differences_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_STATE if no certificate is there yet.
#[export]
fn devid_differences_of_op(op: &devid_op) -> Result<devid_differences, Error> {
    Ok(Differences::of(&op.issued()?.differences))
}

/// Where the certificate that devid_store_import() or its kin has just taken is not what was asked for: what the CA added, and what else the
/// policy takes.
///
/// @param out_differences  Receives them, none for an identity that comes out of device memory; free with devid_differences_free(). Not NULL.
#[export]
fn devid_differences_of_identity(identity: &devid_identity) -> Result<devid_differences, Error> {
    Ok(Differences::of(identity.differences()))
}

/// How many there are.
///
/// @return 0: the certificate is what was asked for.
#[export]
fn devid_differences_count(differences: &devid_differences) -> usize {
    differences.all.len()
}

/// Which part differs.
///
/// @param index  From 0 to devid_differences_count() - 1.
/// @return "subject", "subjectAltName", "keyUsage", "notAfter" and others, or an extension's identifier; NULL if there is no such difference;
///         valid until the differences are freed.
#[export]
fn devid_differences_field(differences: &devid_differences, index: usize) -> Option<&CStr> {
    differences.texts(&differences.fields, index, |difference| &difference.field)
}

/// What was asked for, for users.
///
/// @param index  From 0 to devid_differences_count() - 1.
/// @return NULL if there is no such difference; valid until the differences are freed.
#[export]
fn devid_differences_requested(differences: &devid_differences, index: usize) -> Option<&CStr> {
    differences.texts(&differences.requested, index, |difference| &difference.requested)
}

/// What was issued, for users.
///
/// @param index  From 0 to devid_differences_count() - 1.
/// @return NULL if there is no such difference; valid until the differences are freed.
#[export]
fn devid_differences_issued(differences: &devid_differences, index: usize) -> Option<&CStr> {
    differences.texts(&differences.issued, index, |difference| &difference.issued)
}

/// In which way it differs: what the policies of devid_config_set_acceptance() judge by.
///
/// @param index  From 0 to devid_differences_count() - 1.
/// @return One of DEVID_DEVIATION_*; DEVID_DEVIATION_NONE if there is no such difference.
#[export]
fn devid_differences_deviation(differences: &devid_differences, index: usize) -> devid_deviation {
    match differences.all.get(index).map(|difference| difference.deviation) {
        None => DEVID_DEVIATION_NONE,
        Some(Deviation::Added) => DEVID_DEVIATION_ADDED,
        Some(Deviation::Narrowed) => DEVID_DEVIATION_NARROWED,
        Some(Deviation::Reordered) => DEVID_DEVIATION_REORDERED,
        // What is to come and has no number here is a change until it has: no program takes it for less.
        Some(_) => DEVID_DEVIATION_CHANGED,
    }
}

/// The difference for users, without the field: such as "dns:a.example is missing".
///
/// @param index  From 0 to devid_differences_count() - 1.
/// @return NULL if there is no such difference; valid until the differences are freed.
#[export]
fn devid_differences_details(differences: &devid_differences, index: usize) -> Option<&CStr> {
    differences.texts(&differences.details, index, |difference| &difference.details)
}

/// Frees differences.
#[export]
fn devid_differences_free(differences: Owned<devid_differences>) {
    drop(differences)
}
