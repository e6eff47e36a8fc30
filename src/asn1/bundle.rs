//! All certificates of a file, in every form that people have them in: the one reader of certificates.

use super::der::Asn1Error;
use super::kind::{Kind, explained, no_block};
use super::pem::Held;
use super::x509::Certificate;
use super::{openssl_trust, pem, pkcs7};
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
        certificates(input, limits::MAX_FILE_CERTIFICATES, ReadAs::Certificates)
    }

    /// The same of at most so many.
    pub(crate) fn up_to(input: &[u8], most: usize, read_as: ReadAs) -> Result<Held<Self>, Asn1Error> {
        certificates(input, most, read_as)
    }

    /// The same of certificates that are to be trusted: one that its file does not trust for everything is not among them.
    pub(crate) fn anchors_in(input: &[u8]) -> Result<Held<Self>, Asn1Error> {
        certificates(input, limits::MAX_FILE_CERTIFICATES, ReadAs::Anchors)
    }
}

/// What the certificates of a file are read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAs {
    /// Whatever is said about them.
    Certificates,
    /// The first is somebody's own, and must be one that can be read.
    OwnFirst,
    /// To be trusted. What a `TRUSTED CERTIFICATE` says that it is not to be trusted for, or is to be trusted for alone, would not count here:
    /// whom it is said of is passed over. So bundles of operating systems write roots that they trust no more.
    Anchors,
}

/// Some CAs armour PKCS#7 as `CERTIFICATE`: what a block is, is told from its content.
fn certificates(input: &[u8], most: usize, read_as: ReadAs) -> Result<Held<Certificate>, Asn1Error> {
    let first_counts = read_as == ReadAs::OwnFirst;
    if !pem::is_pem(input) {
        let held = Held::plain(|found| take(&pem::without_armour(input), most, first_counts, found, |error| error))?;
        return held.or(|| Asn1Error::invalid("PKCS#7", "the file holds no certificate"));
    }
    let blocks = pem::parse(input)?;
    let may_hold = |block: &&pem::Block<'_>| block.is_certificate() || pkcs7::is_bundle(block);
    let held = Held::of_blocks(blocks.iter().filter(may_hold), (first_counts, most), |block, found| {
        let (der, settings) = match block.is_certificate() {
            true => block.decode_with_settings()?,
            false => (block.decode()?, Vec::new()),
        };
        if read_as == ReadAs::Anchors {
            openssl_trust::is_for_everything(&settings).map_err(|error| block.place(error))?;
        }
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
