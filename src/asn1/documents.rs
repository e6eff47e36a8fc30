//! All documents of status data in a file or an answer, in every form that they come in. One that was not looked at may be the one that
//! revokes: each is read, or told with its place.

use super::der::{Asn1Error, Cursor};
use super::kind::{Kind, no_block};
use super::pem::{self, Held};
use super::pkcs7;

/// Reads all documents of one kind: DER or base64, one behind the other; those of a PKCS#7; those of all blocks of a PEM text. Blocks of
/// other kinds are skipped, whatever is in them. `read` is told whether what it is given is the beginning of the input.
pub(crate) fn all_in<T>(
    wanted: Kind,
    input: &[u8],
    mut read: impl FnMut(&[u8], bool) -> Result<T, Asn1Error>,
) -> Result<Held<T>, Asn1Error> {
    let mut held = Held::none();
    if !pem::is_pem(input) {
        let der = pem::without_armour(input);
        let is_input = matches!(der, alloc::borrow::Cow::Borrowed(_));
        each(wanted, &der, |place, one| {
            let one = one.and_then(|one| read(one, is_input && place == Some(0)));
            held.take(one.map_err(|error| behind_others(error, place)));
        });
        return held.or(|| Asn1Error::pem("the PKCS#7 file holds no CRL"));
    }
    let label = if wanted == Kind::Ocsp { "OCSP RESPONSE" } else { "X509 CRL" };
    let blocks = pem::parse(input)?;
    for block in &blocks {
        let is_bundle = wanted == Kind::Crl && pkcs7::is_bundle(block);
        if !is_bundle && Kind::of_label(block.label) != Some(wanted) {
            continue;
        }
        match block.decode() {
            Ok(der) => each(wanted, &der, |place, one| {
                let one = one.and_then(|one| read(one, false)).map_err(|error| behind_others(error, place));
                held.take(one.map_err(|error| block.place(error)));
            }),
            Err(error) => held.take(Err(error)),
        }
    }
    if let Some(start) = pem::der_beside_blocks(input) {
        held.take(Err(Asn1Error::pem(format!(
            "DER beside the blocks of a PEM text (byte {start}): a file is one or the other"
        ))));
    }
    held.or(|| no_block(wanted, label, &blocks))
}

/// Whether something that is no padding begins as another document: what else stands behind one says nothing.
pub(crate) fn is_another(behind: &[u8]) -> bool {
    behind.first() == Some(&0x30) || behind.starts_with(b"-----BEGIN ")
}

/// What stands behind the first element, without line ends, blanks and zeros.
fn behind_first(input: &[u8]) -> &[u8] {
    let length = Cursor::new(input, "DER").ok().and_then(|cursor| cursor.first_element_length());
    let behind = length.and_then(|length| input.get(length..)).unwrap_or_default();
    let padding = behind.iter().take_while(|byte| **byte == 0 || byte.is_ascii_whitespace()).count();
    &behind[padding..]
}

/// An error where one document is all that is taken, and another one stands behind it.
pub(crate) fn one_alone(wanted: Kind, input: &[u8]) -> Result<(), Asn1Error> {
    let behind = behind_first(input);
    if !is_another(behind) {
        return Ok(());
    }
    let words = format!("{} with another one behind it ({} bytes), where one is taken", wanted.words(), behind.len());
    Err(Asn1Error::invalid(wanted.structure(), words))
}

/// Shows each document, one behind the other, and where it begins; `None` for those of a PKCS#7.
fn each(wanted: Kind, input: &[u8], mut see: impl FnMut(Option<usize>, Result<&[u8], Asn1Error>)) {
    let mut rest = input;
    loop {
        let behind = behind_first(rest);
        let one = &rest[..rest.len() - behind.len()];
        let place = input.len() - rest.len();
        match Kind::of_der(one) {
            _ if one.starts_with(b"-----BEGIN ") => {
                see(Some(place), Err(Asn1Error::pem("PEM behind DER: a file is one or the other")));
            }
            Some(Kind::Pkcs7) if wanted == Kind::Crl => match pkcs7::lists(one) {
                Ok(lists) => {
                    lists.all.iter().for_each(|list| see(None, Ok(list)));
                    lists.unread.into_iter().for_each(|error| see(None, Err(error)));
                }
                Err(error) => see(Some(place), Err(error)),
            },
            _ => see(Some(place), Ok(one)),
        }
        if !is_another(behind) {
            return;
        }
        rest = behind;
    }
}

fn behind_others(error: Asn1Error, place: Option<usize>) -> Asn1Error {
    match place {
        None | Some(0) => error,
        Some(place) => error.at(&format!("behind others, from byte {place} on")),
    }
}
