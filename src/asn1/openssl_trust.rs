//! What OpenSSL writes behind the certificate of a `TRUSTED CERTIFICATE` (CertAux, x509(1) "Trust settings").
//!
//! ```text
//! CertAux ::= SEQUENCE {
//!     trust   SEQUENCE OF OBJECT IDENTIFIER OPTIONAL,      -- for nothing else
//!     reject  [0] SEQUENCE OF OBJECT IDENTIFIER OPTIONAL,  -- not for these
//!     alias   UTF8String OPTIONAL, keyid OCTET STRING OPTIONAL, other [1] SEQUENCE OF AlgorithmIdentifier OPTIONAL }
//! ```

use super::der::{Asn1Error, Cursor, Tag};
use super::oid::{self, Oid};
use super::purpose;
use crate::prelude::*;

/// An error where these settings do not trust a certificate for everything. None are nothing against it.
pub(super) fn is_for_everything(settings: &[u8]) -> Result<(), Asn1Error> {
    if settings.is_empty() {
        return Ok(());
    }
    let mut fields = Cursor::sequence(settings, "CertAux")?;
    let trusted = fields.optional(Tag::Sequence)?.map(|field| purposes(field.value)).transpose()?;
    let rejected = fields.optional_context(0, true)?.map(|field| purposes(field.value)).transpose()?;
    let says = match (rejected, trusted) {
        (Some(all), _) if !all.is_empty() => format!("not to be trusted for {}", listed(&all)),
        // As OpenSSL reads it: a list of nothing is trust for nothing.
        (_, Some(all)) if all.is_empty() => "to be trusted for nothing".to_owned(),
        (_, Some(all)) if !all.contains(&oid::ANY_EXTENDED_KEY_USAGE) => {
            format!("to be trusted for {} alone", listed(&all))
        }
        _ => return Ok(()),
    };
    let words = format!(
        "the file says that the certificate is {says}, and a trust anchor is trusted for everything: openssl x509 -clrtrust -clrreject takes \
         that away, where it is not meant so"
    );
    Err(Asn1Error::invalid("TRUSTED CERTIFICATE", words))
}

fn purposes(list: &[u8]) -> Result<Vec<Oid>, Asn1Error> {
    let mut items = Cursor::new(list, "CertAux")?;
    let mut found = Vec::new();
    while !items.is_empty() {
        found.push(items.decode()?);
    }
    Ok(found)
}

fn listed(purposes: &[Oid]) -> String {
    purposes.iter().map(|id| purpose::named(*id)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asn1::pem;
    use crate::asn1::x509::Certificate;
    use crate::validation::TrustAnchors;

    const DEVICE: &[u8] = include_bytes!("../../tests/c/data/device.pem");

    /// What `openssl x509 -trustout` of 3.0.19 has written behind a certificate, and what it was told.
    const WRITTEN: [(&str, &[u8], &str); 6] = [
        ("nothing", &[], ""),
        ("-setalias X", &[0x30, 3, 0x0c, 1, 0x58], ""),
        ("-addtrust anyExtendedKeyUsage", &[0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0], ""),
        (
            "-addtrust emailProtection",
            &[0x30, 0x0c, 0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 4],
            "to be trusted for emailProtection (1.3.6.1.5.5.7.3.4) alone",
        ),
        (
            "-addreject serverAuth -addreject anyExtendedKeyUsage",
            &[0x30, 0x12, 0xa0, 0x10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1, 6, 4, 0x55, 0x1d, 0x25, 0],
            "not to be trusted for serverAuth (1.3.6.1.5.5.7.3.1), anyExtendedKeyUsage (2.5.29.37.0)",
        ),
        (
            "-addtrust serverAuth -addreject emailProtection",
            &[0x30, 0x18, 0x30, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 1, 0xa0, 0x0a, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 4],
            "not to be trusted for emailProtection (1.3.6.1.5.5.7.3.4)",
        ),
    ];

    #[test]
    fn who_is_not_trusted_for_everything_is_no_anchor_and_a_certificate_all_the_same() {
        let certificate = Certificate::many_from_bytes(DEVICE).unwrap().remove(0);
        let plain = pem::encode("CERTIFICATE", certificate.as_der());
        for (told, settings, words) in WRITTEN {
            let text = pem::encode("TRUSTED CERTIFICATE", &[certificate.as_der(), settings].concat());
            assert_eq!(
                Certificate::many_from_bytes(text.as_bytes()).unwrap(),
                core::slice::from_ref(&certificate),
                "{told}"
            );
            let mut anchors = TrustAnchors::new();
            match (anchors.add_bytes(text.as_bytes()), words) {
                (Ok(1), "") => assert_eq!(anchors.iter().collect::<Vec<_>>(), [&certificate], "{told}"),
                (Err(error), words) if !words.is_empty() => {
                    assert!(error.to_string().contains(words), "{told}: {error}");
                    assert!(anchors.is_empty(), "{told}");
                }
                (found, _) => panic!("{told}: {found:?}"),
            }
            // Beside others it is passed over, and told.
            let held = Certificate::anchors_in(format!("{}{}", *text, *plain).as_bytes()).unwrap();
            assert_eq!((held.all.len(), held.unread.len()), (1, usize::from(!words.is_empty())), "{told}");
        }
        // Settings that cannot be read are none that somebody may rely on.
        let damaged = pem::encode("TRUSTED CERTIFICATE", &[certificate.as_der(), &[0x30, 5, 0x30]].concat());
        assert!(TrustAnchors::new().add_bytes(damaged.as_bytes()).is_err());
    }
}
