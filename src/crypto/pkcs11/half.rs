//! The public half of a private key. In a token nothing ties the two together for sure: CKA_ID and CKA_LABEL may be empty or
//! shared (PKCS#11 2.40 4.7), the public object may be missing or another key's. So an object is taken by what it holds.

use ::der::Tag;
use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::super::keys::same_public_key;
use super::super::public_key::encode_spki;
use super::super::{KeyKind, PublicKey};
use super::TokenError;
use super::token::Token;
use super::uri::TokenUri;
use crate::asn1::der::{Cursor, element, sequence};
use crate::asn1::oid::{self, Oid};
use crate::asn1::x509::Certificate;

/// Most objects looked at.
const MAX_CANDIDATES: usize = 64;

/// A key's kind and SubjectPublicKeyInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Half {
    pub kind: KeyKind,
    pub spki: Vec<u8>,
}

/// A private key as its token describes it.
pub(super) struct Described {
    pub handle: ObjectHandle,
    pub id: Vec<u8>,
    pub label: Vec<u8>,
    pub asks_always: bool,
    is_rsa: bool,
}

/// An object that may hold the public half.
struct Candidate {
    half: Half,
    fits_fully: bool,
}

impl Described {
    pub fn read(token: &Token, session: &Session, handle: ObjectHandle) -> Result<Self, TokenError> {
        let wanted =
            [AttributeType::KeyType, AttributeType::Id, AttributeType::Label, AttributeType::AlwaysAuthenticate];
        let mut found = Described { handle, id: Vec::new(), label: Vec::new(), asks_always: false, is_rsa: false };
        let attributes = session.get_attributes(handle, &wanted);
        for attribute in attributes.map_err(|error| token.failed("reading the key", &error))? {
            match attribute {
                Attribute::KeyType(KeyType::RSA) => found.is_rsa = true,
                Attribute::KeyType(KeyType::EC) => {}
                Attribute::KeyType(other) => {
                    return Err(TokenError::Unsupported(format!("keys of type {other} in tokens")));
                }
                Attribute::Id(id) => found.id = id,
                Attribute::Label(label) => found.label = label,
                Attribute::AlwaysAuthenticate(asks) => found.asks_always = asks,
                _ => {}
            }
        }
        Ok(found)
    }

    /// The public half: what the private object says of itself; else the twin or the certificate that fits by id, type
    /// and label; else the one that `proves` itself by checking a signature.
    pub fn public_half(
        &self,
        token: &Token,
        session: &Session,
        proves: impl Fn(&Half) -> Result<bool, TokenError>,
    ) -> Result<Half, TokenError> {
        if let Some(own) = self.own_half(token, session)? {
            return Ok(own);
        }
        let candidates = self.candidates(token, session)?;
        let mut halves = distinct(candidates.iter().filter(|c| c.fits_fully));
        if let [only] = halves.as_slice() {
            return Ok(only.clone());
        }
        if halves.is_empty() {
            halves = distinct(candidates.iter());
        }
        let mut proven = Vec::new();
        for half in &halves {
            if proves(half)? {
                proven.push(half.clone());
            }
        }
        match (proven.len(), halves.len()) {
            (1, _) => Ok(proven.remove(0)),
            (_, 0) => Err(TokenError::NotFound(
                "the token holds neither the public half of the key nor a certificate over it".to_owned(),
            )),
            (_, count) => Err(TokenError::NotFound(format!(
                "of {count} public keys and certificates with the key's id or label, none is the key's own"
            ))),
        }
    }

    /// The public objects that are this key's: the same value, and the same non-empty id or the same label.
    pub fn twins(&self, token: &Token, session: &Session, half: &Half) -> Result<Vec<ObjectHandle>, TokenError> {
        let mut twins = Vec::new();
        for object in self.namesakes(token, session, ObjectClass::PUBLIC_KEY)? {
            if self.value(token, session, object)?.is_some_and(|value| value.spki == half.spki) {
                twins.push(object);
            }
        }
        Ok(twins)
    }

    fn own_half(&self, token: &Token, session: &Session) -> Result<Option<Half>, TokenError> {
        // PKCS#11 2.40 4.9: CKA_PUBLIC_KEY_INFO may be empty, and older tokens do not know it.
        for attribute in session.get_attributes(self.handle, &[AttributeType::PublicKeyInfo]).unwrap_or_default() {
            if let Attribute::PublicKeyInfo(spki) = attribute {
                if let Some(half) = of_spki(&spki) {
                    return Ok(Some(half));
                }
            }
        }
        self.value(token, session, self.handle)
    }

    fn candidates(&self, token: &Token, session: &Session) -> Result<Vec<Candidate>, TokenError> {
        let mut found = Vec::new();
        for (class, is_key) in [(ObjectClass::PUBLIC_KEY, true), (ObjectClass::CERTIFICATE, false)] {
            for object in self.namesakes(token, session, class)? {
                let half = if is_key { self.value(token, session, object)? } else { certified(session, object) };
                let Some(half) = half.filter(|half| matches!(half.kind, KeyKind::Rsa(_)) == self.is_rsa) else {
                    continue;
                };
                let names = session.get_attributes(object, &[AttributeType::Id, AttributeType::Label]);
                let (mut id, mut label) = (Vec::new(), Vec::new());
                for attribute in names.unwrap_or_default() {
                    match attribute {
                        Attribute::Id(value) => id = value,
                        Attribute::Label(value) => label = value,
                        _ => {}
                    }
                }
                // A certificate's label is its own; a non-empty id ties it to the key (PKCS#11 2.40 4.6.3).
                let fits_fully = id == self.id && if is_key { label == self.label } else { !id.is_empty() };
                found
                    .push(Candidate { half, fits_fully: fits_fully && !(self.id.is_empty() && self.label.is_empty()) });
            }
        }
        Ok(found)
    }

    /// Objects of a class with the key's id or its label, each if it is not empty.
    fn namesakes(&self, token: &Token, session: &Session, class: ObjectClass) -> Result<Vec<ObjectHandle>, TokenError> {
        let mut found = Vec::new();
        if !self.id.is_empty() {
            found = token.objects(session, class, None, Some(&self.id))?;
        }
        if !self.label.is_empty() {
            for object in token.objects(session, class, Some(&self.label), None)? {
                if !found.contains(&object) {
                    found.push(object);
                }
            }
        }
        found.truncate(MAX_CANDIDATES);
        Ok(found)
    }

    /// The public value that an object holds, if it is of the key's type and holds one.
    fn value(&self, token: &Token, session: &Session, object: ObjectHandle) -> Result<Option<Half>, TokenError> {
        let what = match self.is_rsa {
            true => [AttributeType::Modulus, AttributeType::PublicExponent],
            false => [AttributeType::EcParams, AttributeType::EcPoint],
        };
        let (mut first, mut second) = (None, None);
        let read: Result<_, Error> = session.get_attributes(object, &what);
        let attributes = match read {
            Ok(attributes) => attributes,
            Err(error) if object == self.handle => return Err(token.failed("reading the key", &error)),
            // Another key's object is no obstacle.
            Err(_) => return Ok(None),
        };
        for attribute in attributes {
            match attribute {
                Attribute::Modulus(value) | Attribute::EcParams(value) if !value.is_empty() => first = Some(value),
                Attribute::PublicExponent(value) | Attribute::EcPoint(value) if !value.is_empty() => {
                    second = Some(value);
                }
                _ => {}
            }
        }
        match (first, second) {
            (Some(first), Some(second)) if self.is_rsa => Ok(Some(rsa(&first, &second))),
            (Some(first), Some(second)) => ec(&first, &second).map(Some),
            _ => Ok(None),
        }
    }
}

/// Whether a public object that the URI names holds this SubjectPublicKeyInfo.
pub(super) fn is_shown(token: &Token, session: &Session, uri: &TokenUri, spki: &[u8]) -> Result<bool, TokenError> {
    let Some(wanted) = of_spki(spki) else { return Ok(false) };
    let (id, label) = (uri.id.clone().unwrap_or_default(), uri.object.clone().unwrap_or_default().into_bytes());
    let by_id = Some(id.as_slice()).filter(|id| !id.is_empty());
    let by_label = Some(label.as_slice()).filter(|label| by_id.is_none() && !label.is_empty());
    for handle in token.objects(session, ObjectClass::PUBLIC_KEY, by_label, by_id)?.into_iter().take(MAX_CANDIDATES) {
        let is_rsa = matches!(wanted.kind, KeyKind::Rsa(_));
        let described = Described { handle, id: id.clone(), label: label.clone(), asks_always: false, is_rsa };
        // One of another type is another key's.
        let value = described.value(token, session, handle).ok().flatten();
        if value.is_some_and(|half| same_public_key(&half.spki, &wanted.spki)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn distinct<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Vec<Half> {
    let mut halves: Vec<Half> = Vec::new();
    for candidate in candidates {
        if !halves.contains(&candidate.half) {
            halves.push(candidate.half.clone());
        }
    }
    halves
}

pub(super) fn of_spki(spki: &[u8]) -> Option<Half> {
    let kind = PublicKey::from_spki(spki).ok()?.kind();
    Some(Half { kind, spki: spki.to_vec() })
}

fn certified(session: &Session, object: ObjectHandle) -> Option<Half> {
    let attributes = session.get_attributes(object, &[AttributeType::Value]).ok()?;
    attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::Value(der) => of_spki(Certificate::from_der(&der).ok()?.spki()),
        _ => None,
    })
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Half {
    let significant = |number: &[u8]| number[number.iter().take_while(|b| **b == 0).count()..].to_vec();
    let integer = |number: &[u8]| match number.first() {
        None | Some(0x80..) => element(0x02, &[&[0], number]),
        _ => element(0x02, &[number]),
    };
    let (modulus, exponent) = (significant(modulus), significant(exponent));
    let leading = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let kind = KeyKind::Rsa(modulus.len() as u32 * 8 - leading);
    Half { kind, spki: encode_spki(kind, &sequence(&[&integer(&modulus), &integer(&exponent)])) }
}

/// CKA_EC_POINT is a DER OCTET STRING; some tokens give the point bare.
fn ec(parameters: &[u8], point: &[u8]) -> Result<Half, TokenError> {
    let curves = [
        (KeyKind::P256, oid::CURVE_P256, 65),
        (KeyKind::P384, oid::CURVE_P384, 97),
        (KeyKind::P521, oid::CURVE_P521, 133),
    ];
    let named = |curve: Oid| parameters == element(0x06, &[curve.as_bytes()]);
    let Some((kind, _, len)) = curves.into_iter().find(|(_, curve, _)| named(*curve)) else {
        return Err(TokenError::Unsupported("keys on curves other than P-256, P-384 and P-521 in tokens".to_owned()));
    };
    let unwrapped = |bytes| {
        let mut content = Cursor::new(bytes, "CKA_EC_POINT").ok()?;
        let point = content.expect(Tag::OctetString, "a point").ok()?.value;
        content.finish().ok()?;
        Some(point)
    };
    let point = if point.len() == len { Some(point) } else { unwrapped(point) };
    match point.filter(|point| point.len() == len && point[0] == 4) {
        Some(point) => Ok(Half { kind, spki: encode_spki(kind, point) }),
        None => Err(TokenError::Failed("the token's public key is not an uncompressed point".to_owned())),
    }
}
