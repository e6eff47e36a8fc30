//! All certificates of a file, in every form that people have them in: the one reader of certificates.

use super::der::Asn1Error;
use super::kind::{Kind, explained, no_block};
use super::pem::Held;
use super::x509::Certificate;
use super::{pem, pkcs7};
use crate::limits;
use crate::prelude::*;

impl Certificate {
    /// Reads certificates: DER or base64 (one), PEM (any number of blocks; other blocks are skipped, whatever is in them), and PKCS#7, in
    /// BER too. Doubles are left out, and so are certificates that cannot be read beside others that can: [`Certificate::held_in`]
    /// tells which.
    pub fn many_from_bytes(input: &[u8]) -> Result<Vec<Self>, Asn1Error> {
        Self::held_in(input).map(|held| held.all)
    }

    /// The same, and what begins as a certificate and cannot be read: cut off, broken, quoted by a mail.
    pub fn held_in(input: &[u8]) -> Result<Held<Self>, Asn1Error> {
        certificates(input, limits::MAX_FILE_CERTIFICATES, false)
    }

    /// The same of at most so many. `first_counts`: the first must be one that can be read.
    pub(crate) fn up_to(input: &[u8], most: usize, first_counts: bool) -> Result<Held<Self>, Asn1Error> {
        certificates(input, most, first_counts)
    }
}

/// Some CAs armour PKCS#7 as `CERTIFICATE`: what a block is, is told from its content. `first_counts`: a first block that cannot be
/// read is an error.
fn certificates(input: &[u8], most: usize, first_counts: bool) -> Result<Held<Certificate>, Asn1Error> {
    if !pem::is_pem(input) {
        let held = Held::plain(|found| take(&pem::without_armour(input), most, first_counts, found, |error| error))?;
        return held.or(|| Asn1Error::invalid("PKCS#7", "the file holds no certificate"));
    }
    let blocks = pem::parse(input)?;
    let may_hold = |block: &&pem::Block<'_>| block.is_certificate() || pkcs7::is_bundle(block);
    let held = Held::of_blocks(blocks.iter().filter(may_hold), (first_counts, most), |block, found| {
        let der = if block.is_certificate() { block.decode_certificate()? } else { block.decode()? };
        take(&der, most, first_counts, found, |error| block.place(error))
    })?;
    held.or(|| match blocks.iter().any(|block| may_hold(&block)) {
        true => Asn1Error::pem("the PKCS#7 block holds no certificate"),
        false => no_block(Kind::Certificate, "CERTIFICATE or PKCS7", &blocks),
    })
}

fn take(
    der: &[u8],
    most: usize,
    first_counts: bool,
    found: &mut Held<Certificate>,
    place: impl Fn(Asn1Error) -> Asn1Error,
) -> Result<(), Asn1Error> {
    let read = match Kind::of_der(der) {
        Some(Kind::Pkcs7) => pkcs7::certificates(der, first_counts && found.all.is_empty()),
        _ => Certificate::from_der(der)
            .map_err(|error| explained(error, Kind::Certificate, der))
            .map(|one| Held { all: vec![one], unread: Vec::new() }),
    };
    let read = read.map_err(&place)?;
    for certificate in read.all {
        if !found.all.contains(&certificate) {
            found.all.push(certificate);
        }
    }
    read.unread.into_iter().for_each(|error| found.take(Err(place(error))));
    if found.all.len() > most {
        return Err(place(Asn1Error::too_large("PEM", "count of certificates", most, found.all.len())));
    }
    Ok(())
}
