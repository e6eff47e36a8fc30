//! The owner's way back where a CA counts its lists anew: what is remembered of them is forgotten.

use std::sync::Arc;

use super::StatusOptions;
use super::cache::Cache;
use super::document::digest_of_key;
use super::numbers::forget_numbers;
use crate::asn1::x509::Certificate;
use crate::error::Error;
use crate::store::Store;
use crate::validation::{Crl, same_name};

/// Makes device memory forget the highest CRL numbers that it has seen (RFC 5280 section 5.2.3), and the lists with them: for a CA that
/// was put back from a backup, or has given a number far too high by mistake, whose genuine lists are refused as played back ever
/// after. Until the next list of the CA comes, an older one is taken. Who was revoked stays revoked: that is a record of its own.
///
/// `of`: the CA that an anchor has certified, with all below it; or an anchor that issues lists itself. `None`: of all. Answers how many
/// series of numbers were forgotten.
///
/// Errors: those of device memory.
pub fn forget_crl_numbers(store: &Store, of: Option<&Certificate>) -> Result<usize, Error> {
    let provider = store.provider().clone();
    let branch = of.and_then(|ca| digest_of_key(ca, &*provider));
    let is_meant = |crl: &Crl| {
        let Some(ca) = of else { return true };
        // As the branch of a number: below the anchor, or the anchor itself.
        let is_below = crl.lines().iter().any(|line| line.get(1).or(line.first()).copied() == branch);
        is_below || same_name(crl.issuer(), ca.subject())
    };
    let options = StatusOptions::default();
    let shared = Arc::new(store.clone());
    let _hold = store.hold()?;
    // The lists first: while one is kept, its number is noted again.
    Cache::new(provider, Some(shared), options.max_kept, options.max_kept_bytes).forget_lists(is_meant)?;
    Ok(forget_numbers(store, branch)?)
}
