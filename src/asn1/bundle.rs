//! All certificates of a file, in every form that people have them in: the one reader of certificates.

use super::der::{Asn1Error, Problem};
use super::kind::{Kind, explained, no_block};
use super::x509::Certificate;
use super::{pem, pkcs7};
use crate::limits;
use crate::prelude::*;

impl Certificate {
    /// Reads certificates: DER or base64 (one), PEM (any number of blocks; other blocks are skipped, whatever is in them), and PKCS#7, in
    /// BER too. Doubles are left out, and so are certificates that cannot be read beside others that can.
    pub fn many_from_bytes(input: &[u8]) -> Result<Vec<Self>, Asn1Error> {
        certificates(input, limits::MAX_FILE_CERTIFICATES, false)
    }

    /// The same of at most so many. `first_counts`: the first must be one that can be read.
    pub(crate) fn up_to(input: &[u8], most: usize, first_counts: bool) -> Result<Vec<Self>, Asn1Error> {
        certificates(input, most, first_counts)
    }
}

/// Some CAs armour PKCS#7 as `CERTIFICATE`: what a block is, is told from its content. `first_counts`: a first block that cannot be
/// read is an error.
fn certificates(input: &[u8], most: usize, first_counts: bool) -> Result<Vec<Certificate>, Asn1Error> {
    let mut found = Vec::new();
    if !pem::is_pem(input) {
        take(&pem::without_armour(input), most, first_counts, &mut found)?;
        return match found.is_empty() {
            false => Ok(found),
            true => Err(Asn1Error::invalid("PKCS#7", "the file holds no certificate")),
        };
    }
    let blocks = pem::parse(input)?;
    let (mut unread, mut bundles) = (None, 0);
    for block in &blocks {
        let read = if block.is_certificate() {
            block.decode_certificate()
        } else if pkcs7::is_bundle(block) {
            bundles += 1;
            block.decode()
        } else {
            continue;
        };
        match read.and_then(|der| take(&der, most, first_counts, &mut found).map_err(|error| block.place(error))) {
            Err(error) if matches!(error.problem, Problem::TooLarge { .. }) || (first_counts && found.is_empty()) => {
                return Err(error);
            }
            // A broken one does not spoil the others of a bundle.
            Err(error) => drop(unread.get_or_insert(error)),
            Ok(()) if first_counts && found.is_empty() => {
                return Err(block.place(Asn1Error::pem("the first block holds no certificate")));
            }
            Ok(()) => {}
        }
    }
    match (found.is_empty(), unread) {
        (false, _) => Ok(found),
        (true, Some(error)) => Err(error),
        (true, None) if bundles > 0 => Err(Asn1Error::pem("the PKCS#7 block holds no certificate")),
        (true, None) => Err(no_block(Kind::Certificate, "CERTIFICATE or PKCS7", &blocks)),
    }
}

fn take(der: &[u8], most: usize, first_counts: bool, found: &mut Vec<Certificate>) -> Result<(), Asn1Error> {
    let all = match Kind::of_der(der) {
        Some(Kind::Pkcs7) => pkcs7::certificates(der, first_counts && found.is_empty())?,
        _ => vec![Certificate::from_der(der).map_err(|error| explained(error, Kind::Certificate, der))?],
    };
    for certificate in all {
        if !found.contains(&certificate) {
            found.push(certificate);
        }
    }
    if found.len() > most {
        return Err(Asn1Error::too_large("PEM", "count of certificates", most, found.len()));
    }
    Ok(())
}
