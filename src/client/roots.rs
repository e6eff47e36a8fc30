//! A root's successor takes its place beside it, once the old one has vouched for it.

use crate::cmp::RootUpdate;
use crate::codes::Code;
use crate::error::Error;
use crate::store::{AnchorSet, Store};

/// Puts the new root of a checked update among the anchors of a set in device memory, beside the old one, under which
/// certificates may live on (RFC 9810 section 4.4). `false`, and nothing changes, if it is there already.
///
/// Errors: [`Code::NotFound`] if the old root is not in that set: what vouches for the new one is not trusted there.
pub fn add_root(store: &Store, set: AnchorSet, update: &RootUpdate) -> Result<bool, Error> {
    let _hold = store.hold()?;
    let mut anchors = store.anchors(set)?;
    if !anchors.contains(update.old_root()) {
        let name = crate::asn1::name::display(update.old_root().subject());
        let words = format!("{name}, which vouches for the new root, is no anchor of the set {}", set.name());
        return Err(Error::new(Code::NotFound, words));
    }
    if anchors.contains(update.new_root()) {
        return Ok(false);
    }
    anchors.push(update.new_root().clone());
    store.set_anchors(set, &anchors)?;
    Ok(true)
}
