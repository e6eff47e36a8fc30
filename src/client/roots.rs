//! A root's successor takes its place beside it, once the old one has vouched for it.

use crate::client::status::StatusMemory;
use crate::cmp::{Operation, RootUpdate, TakenRoot};
use crate::codes::Code;
use crate::error::Error;
use crate::store::{AnchorSet, Store};
use crate::validation::{Checks, RevocationPolicy, StatusSources, validate};

/// Puts the new root of a checked update among the anchors of a set in device memory, beside the old one, under which
/// certificates may live on (RFC 9810 section 4.4). `false`, and nothing changes, if it is there already.
///
/// Errors: [`Code::NotFound`] if the old root is not in that set: what vouches for the new one is not trusted there. [`Code::Revoked`] if
/// this device memory knows that what leads from one to the other is revoked.
pub fn add_root(store: &Store, set: AnchorSet, update: &RootUpdate) -> Result<bool, Error> {
    let _hold = store.hold()?;
    let mut anchors = store.anchors(set)?;
    if !anchors.contains(update.old_root()) {
        let name = crate::asn1::name::display(update.old_root().subject());
        let words = format!("{name}, which vouches for the new root, is not an anchor of the set {}", set.name());
        return Err(Error::new(Code::NotFound, words));
    }
    if anchors.contains(update.new_root()) {
        return Ok(false);
    }
    check_link(store, update)?;
    anchors.push(update.new_root().clone());
    store.set_anchors(set, &anchors)?;
    Ok(true)
}

/// The update was judged where it came from, and perhaps not by what this device memory knows.
fn check_link(store: &Store, update: &RootUpdate) -> Result<(), Error> {
    let (link, provider) = (update.new_with_old(), store.provider());
    let mut status = StatusSources::none();
    StatusMemory::of_store(store).attach(&mut status);
    let status = status.recalled(link, &[]);
    let anchors = std::iter::once(update.old_root().clone()).collect();
    let mut checks = Checks::at_unknown_time();
    checks.revocation = RevocationPolicy::soft_fail();
    let report = validate(&**provider, &anchors, link, &[], &status, &checks);
    match report.error() {
        Some(error) if error.code() == Code::Revoked => Err(error.context("newWithOld, which leads to the new root")),
        _ => Ok(()),
    }
}

/// Keeps the roots that a first contact has taken among the anchors for answers and for certificates (RFC 9810 sections 5.3.2 and 6.7.2, 3GPP
/// TS 33.310 section 9.5.4): key update, questions and revocation are signed under them, and need not bring them again.
pub(crate) fn keep_taken_roots(store: &Store, operation: &Operation) -> Result<(), Error> {
    let taken = operation.roots_taken();
    if taken.is_empty() {
        return Ok(());
    }
    let _hold = store.hold()?;
    for set in [AnchorSet::Cmp, AnchorSet::Enrolment] {
        let is_wanted = |root: &TakenRoot| if set == AnchorSet::Cmp { root.is_for_answers } else { root.is_for_issued };
        let mut anchors = match store.anchors(set) {
            Ok(anchors) => anchors,
            // What is damaged is told by the plan, and not overwritten.
            Err(error) if error.is_damage() => continue,
            Err(error) => return Err(error.into()),
        };
        let known = anchors.len();
        for root in taken.iter().filter(|root| is_wanted(root)) {
            if !anchors.contains(&root.certificate) {
                anchors.push(root.certificate.clone());
            }
        }
        if anchors.len() > known {
            store.set_anchors(set, &anchors)?;
        }
    }
    Ok(())
}

/// Puts the new root of an update into every set that holds the old root, of whatever purpose; sets that do not hold it are none of its affair.
/// `false` if nothing changed.
pub(crate) fn add_root_everywhere(store: &Store, update: &RootUpdate) -> Result<bool, Error> {
    let mut is_added = false;
    for set in AnchorSet::ALL {
        let holds_it = match store.anchors(set) {
            Ok(anchors) => anchors.contains(update.old_root()),
            // Reported by the store's own `verify`; the other sets go on.
            Err(error) if error.is_damage() => false,
            Err(error) => return Err(error.into()),
        };
        if holds_it {
            is_added |= add_root(store, set, update)?;
        }
    }
    Ok(is_added)
}
