//! What a CA's template (RFC 9483 section 4.3.3) makes of the next request: fields to be filled in, fields that are given,
//! and the types of keys.

use std::sync::Arc;

use super::subject::Subject;
use crate::asn1::crmf::{CertTemplate, TemplateExtension};
use crate::asn1::der::{Cursor, Tag, element, sequence};
use crate::asn1::name::Name;
use crate::asn1::oid;
use crate::asn1::x509::read_oid;
use crate::cmp::RequestTemplate;
use crate::codes::Code;
use crate::crypto::algorithm::encode_oid;
use crate::crypto::{CryptoError, KeyKind, PrivateKey, Provider};
use crate::error::Error;

/// What a device asks for after a CA's template was applied to its wishes.
#[derive(Clone, Debug)]
pub struct Applied {
    /// To be asked for.
    pub subject: Subject,
    /// What of the device's own wishes was left out or replaced, and what the template wants and the device does not have;
    /// a line each. Empty: nothing.
    pub changes: Vec<String>,
}

impl RequestTemplate {
    /// From CertReqTemplateContent (DER), such as [`RequestTemplate::der`] that was kept.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let (template, key_specs) = crate::asn1::cmp::general::read_cert_req_template(der)?;
        Ok(RequestTemplate { der: der.to_vec(), template, key_specs })
    }

    /// Applies the template to what a device would ask for: values that the template gives are taken over, places that it
    /// leaves empty are filled from `wishes`, and what it does not have is not asked for. Places for which the device has
    /// nothing are left out, as RFC 9483 section 4.3.3 demands.
    pub fn apply(&self, wishes: &Subject) -> Result<Applied, Error> {
        let wanted = wishes.template()?;
        let pattern = &self.template;
        let mut changes = Vec::new();
        let subject = match &pattern.subject {
            // RFC 9483 section 4.1.1 has a subject in every request, also where the template does not speak of it.
            None => wanted.subject.clone(),
            Some(pattern) => Some(fill_name("subject", pattern, wanted.subject.as_ref(), &mut changes)?),
        };
        let issuer = match (&pattern.issuer, &wanted.issuer) {
            (Some(pattern), wanted) => {
                let issuer = fill_name("issuer", pattern, wanted.as_ref(), &mut changes)?;
                Some(issuer).filter(|name| !name.is_null())
            }
            (None, Some(wanted)) => {
                changes.push(format!("issuer: {wanted} was left out"));
                None
            }
            (None, None) => None,
        };
        if (wanted.not_before.is_some() || wanted.not_after.is_some())
            && (wanted.not_before, wanted.not_after) != (pattern.not_before, pattern.not_after)
        {
            changes.push("validity: the dates asked for were left out or replaced".to_owned());
        }
        let template = CertTemplate {
            issuer,
            not_before: pattern.not_before,
            not_after: pattern.not_after,
            subject,
            public_key: None,
            extensions: fill_extensions(&pattern.extensions, &wanted.extensions, &mut changes)?,
        };
        Ok(Applied { subject: Subject::from_template(template), changes })
    }

    /// Whether the CA certifies keys of this type.
    pub fn admits(&self, kind: KeyKind) -> bool {
        self.key_specs.is_empty()
            || self.key_kinds().contains(&kind)
            || self.takes_any_rsa() && matches!(kind, KeyKind::Rsa(_))
    }

    /// Refuses a key of a type that the CA does not certify.
    pub fn check_key(&self, kind: KeyKind) -> Result<(), Error> {
        if self.admits(kind) {
            return Ok(());
        }
        let offered = self.key_words().join(", ");
        Err(Error::new(Code::Algorithm, format!("the CA certifies keys of type {offered}; this one is {kind}")))
    }

    /// A new key of the first type in the CA's list that can be made here; P-256 if the CA has no wishes.
    pub fn generate_key(&self, provider: &dyn Provider) -> Result<Arc<dyn PrivateKey>, Error> {
        if self.key_specs.is_empty() {
            return Ok(provider.generate_key(KeyKind::P256)?);
        }
        for kind in self.key_kinds() {
            match provider.generate_key(kind) {
                Ok(key) => return Ok(key),
                Err(CryptoError::Random) => return Err(CryptoError::Random.into()),
                Err(_) => {}
            }
        }
        let offered = self.key_words().join(", ");
        Err(Error::new(Code::Algorithm, format!("the CA certifies keys of type {offered}, and none can be made here")))
    }
}

/// One attribute of a name: its type, the DER of AttributeTypeAndValue, and whether its value is to be filled in.
struct Attribute {
    kind: oid::Oid,
    der: Vec<u8>,
    is_empty: bool,
}

/// The attributes of a name, by relative distinguished name.
fn attributes(name: &Name) -> Result<Vec<Vec<Attribute>>, Error> {
    let mut rdns = Cursor::sequence(name.as_der(), "Name")?;
    let mut all = Vec::new();
    while !rdns.is_empty() {
        let mut set = Cursor::new(rdns.expect(Tag::Set, "a RelativeDistinguishedName")?.value, "Name")?;
        let mut rdn = Vec::new();
        while !set.is_empty() {
            let field = set.expect(Tag::Sequence, "an AttributeTypeAndValue")?;
            let mut fields = Cursor::new(field.value, "AttributeTypeAndValue")?;
            let kind = read_oid(&mut fields)?;
            let is_empty = fields.any("a value")?.value.is_empty();
            fields.finish()?;
            rdn.push(Attribute { kind, der: field.bytes.to_vec(), is_empty });
        }
        all.push(rdn);
    }
    Ok(all)
}

fn fill_name(what: &str, pattern: &Name, wanted: Option<&Name>, changes: &mut Vec<String>) -> Result<Name, Error> {
    if pattern.is_null() {
        return Ok(wanted.cloned().unwrap_or_else(Name::null));
    }
    let mut own: Vec<Attribute> = wanted.map(attributes).transpose()?.into_iter().flatten().flatten().collect();
    let mut rdns = Vec::new();
    for rdn in attributes(pattern)? {
        let mut filled: Vec<Vec<u8>> = Vec::new();
        for attribute in rdn {
            let at = own.iter().position(|a| a.kind == attribute.kind && !a.is_empty);
            match (attribute.is_empty, at) {
                (true, Some(at)) => filled.push(own.remove(at).der),
                (true, None) => {
                    changes.push(format!("{what}: the CA asks for {}, which is not known here", attribute.kind))
                }
                (false, at) => {
                    if let Some(at) = at {
                        if own.remove(at).der != attribute.der {
                            changes.push(format!("{what}: the CA's value of {} was taken", attribute.kind));
                        }
                    }
                    filled.push(attribute.der);
                }
            }
        }
        // A SET OF is sorted in DER (X.690 section 11.6).
        crate::order::sort(&mut filled);
        if !filled.is_empty() {
            rdns.push(element(0x31, &[&filled.concat()]));
        }
    }
    changes.extend(own.iter().map(|a| format!("{what}: {} was left out", a.kind)));
    Ok(Name::from_der(&sequence(&[&rdns.concat()]))?)
}

fn fill_extensions(
    pattern: &[TemplateExtension],
    wanted: &[TemplateExtension],
    changes: &mut Vec<String>,
) -> Result<Vec<TemplateExtension>, Error> {
    let mut all = Vec::new();
    for extension in pattern {
        let own = wanted.iter().find(|e| e.oid == extension.oid);
        let value = match own {
            _ if extension.oid == oid::CE_SUBJECT_ALT_NAME && !extension.value.is_empty() => {
                fill_alternative_names(&extension.value, own.map(|e| &e.value[..]), changes)?
            }
            Some(own) if extension.value.is_empty() => Some(own.value.clone()),
            None if extension.value.is_empty() => {
                changes.push(format!("extension {}: the CA asks for it, and nothing is known here", extension.oid));
                None
            }
            own => {
                if own.is_some_and(|own| own.value != extension.value) {
                    changes.push(format!("extension {}: the CA's value was taken", extension.oid));
                }
                Some(extension.value.clone())
            }
        };
        if let Some(value) = value {
            all.push(TemplateExtension { oid: extension.oid, critical: extension.critical, value });
        }
    }
    let is_new = |e: &&TemplateExtension| !pattern.iter().any(|p| p.oid == e.oid);
    changes.extend(wanted.iter().filter(is_new).map(|e| format!("extension {} was left out", e.oid)));
    Ok(all)
}

/// GeneralNames with empty ones: each is filled with one of the device's names of that kind, as long as there are some.
fn fill_alternative_names(
    pattern: &[u8],
    wanted: Option<&[u8]>,
    changes: &mut Vec<String>,
) -> Result<Option<Vec<u8>>, Error> {
    // GeneralName is told by its tag; an otherName also by its type-id, and it is empty if nothing follows that.
    type OneName = (Vec<u8>, bool, Vec<u8>);
    let read = |der: &[u8]| -> Result<Vec<OneName>, Error> {
        let mut names = Cursor::sequence(der, "SubjectAltName")?;
        let mut all = Vec::new();
        while !names.is_empty() {
            let name = names.any("a GeneralName")?;
            let mut kind = vec![name.bytes[0]];
            let mut is_empty = name.value.is_empty();
            if name.bytes[0] == 0xa0 && !is_empty {
                let mut fields = Cursor::new(name.value, "OtherName")?;
                kind.extend(encode_oid(read_oid(&mut fields)?));
                is_empty = fields.is_empty();
            }
            all.push((kind, is_empty, name.bytes.to_vec()));
        }
        Ok(all)
    };
    let mut own = wanted.map(read).transpose()?.unwrap_or_default();
    let mut names = Vec::new();
    for (kind, is_empty, bytes) in read(pattern)? {
        match own.iter().position(|(own_kind, _, own_bytes)| *own_kind == kind && (is_empty || *own_bytes == bytes)) {
            Some(at) => names.push(own.remove(at).2),
            None if is_empty => {
                changes.push(format!(
                    "alternative name of tag [{}]: the CA asks for one, none is known here",
                    kind[0] & 31
                ));
            }
            None => names.push(bytes),
        }
    }
    changes.extend(own.iter().map(|(kind, ..)| format!("an alternative name of tag [{}] was left out", kind[0] & 31)));
    Ok(if names.is_empty() { None } else { Some(sequence(&[&names.concat()])) })
}
