//! The inspector: any message, certificate, request, CRL or OCSP response as readable text or JSON.
//!
//! It shows what is there, also where a structure is broken, and judges nothing: no signature is checked and nothing becomes
//! trusted by being shown. Bytes appear only inside structures that are known to be public and fit to the last byte; of what
//! is broken, unknown or encrypted there are tags and lengths, because a key with one byte damaged looks like anything. Secrets
//! (private keys, registration tokens, authenticators, challenge passwords) appear as their length only, and so do public keys,
//! which are for those who have validated the certificate. Broken places are named "problem", "unexpected" or "(missing...)"
//! and never stop the rest.

mod names;
mod shape;
mod tables;
mod value;
mod walk;

use tables::Described;
use value::Value;
use walk::Walk;

use crate::asn1::ber;
use crate::asn1::kind::{self, Kind};
use crate::asn1::pem::{self, Block};
use crate::features::{self, needs};
use crate::{Code, Error};

use zeroize::Zeroizing;

/// How the result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Indented lines.
    Text,
    /// One line of JSON (RFC 8259).
    Json,
}

/// Larger inputs are refused.
const MAX_BYTES: usize = 64 << 20;
/// More PEM blocks are not shown.
const MAX_BLOCKS: usize = 100;

/// Shows what `input` is: PEM, with one block or several, DER, BER, or base64 without armour. Each structure appears under its ASN.1
/// name (`PKIMessage`, `Certificate`, ...): the one that it fits, otherwise the one that its PEM label or its first elements say.
/// What is none of those is shown by its tags, as `DER`.
///
/// At most 200 items of a list and 256 bytes of a string are shown. [`Code::Der`] if the input is neither PEM nor begins
/// like DER, [`Code::Limit`] if it is larger than 64 MiB.
pub fn inspect(input: &[u8], format: Format) -> Result<String, Error> {
    needs(features::INSPECT)?;
    if input.len() > MAX_BYTES {
        return Err(Error::new(
            Code::Limit,
            format!("{} bytes to inspect; at most {MAX_BYTES} are taken", input.len()),
        ));
    }
    let mut found = Vec::new();
    if pem::is_pem(input) {
        let blocks = pem::parse(input)?;
        if let [only] = &blocks[..] {
            if !only.is_encrypted_traditional() {
                only.decode()?;
            }
        }
        found.extend(blocks.iter().take(MAX_BLOCKS).map(armoured));
    } else {
        // A key may stand there as well: what was decoded is wiped.
        let der = Zeroizing::new(pem::without_armour(input).into_owned());
        if der.first() != Some(&0x30) && Kind::of_der(&der) != Some(kind::PARAMETERS) {
            let found = kind::told(input).map_or_else(String::new, |words| format!(", found {words}"));
            return Err(Error::new(
                Code::Der,
                format!("neither PEM nor DER: expected a BEGIN line or a SEQUENCE{found}"),
            ));
        }
        found.push(named(&der, None));
    }
    let value = match found.len() {
        1 => found.remove(0),
        _ => Value::List(found),
    };
    Ok(match format {
        Format::Text => value.to_lines(),
        Format::Json => value.to_json(),
    })
}

/// A block of PEM under its label.
fn armoured(block: &Block<'_>) -> Value {
    let not_shown = |why: String| Value::Object(vec![(block.label.to_owned(), Value::Text(why))]);
    if block.is_encrypted_traditional() {
        return not_shown("(not shown: a private key under a password, by headers of RFC 1421)".to_owned());
    }
    let decoded = if block.is_certificate() { block.decode_certificate() } else { block.decode() };
    match decoded {
        // What its label calls a private key is never shown by its tags, however broken it is.
        Ok(der) if block.label.contains("PRIVATE KEY") && !block.label.contains("ENCRYPTED") => private_key(&der),
        Ok(der) => named(&der, Some(block.label)),
        Err(error) => not_shown(format!("(not shown: {error})")),
    }
}

/// The structure that the bytes are, under its name.
fn named(input: &[u8], label: Option<&str>) -> Value {
    let definite = definite(input);
    let der = definite.as_ref().map_or(input, |der| &der[..]);
    let labelled = label.map_or(&[][..], tables::of_label);
    let kind = Kind::of_der(der);
    let fitting = [labelled, tables::WHOLE].into_iter().map(|described| best_of(described, der));
    if let Some((_, name, value)) = fitting.flatten().find(|(problems, ..)| *problems == 0) {
        return Value::Object(vec![(name.to_owned(), value)]);
    }
    let by_kind = kind.map_or(&[][..], tables::of_kind);
    let broken = [labelled, by_kind].into_iter().find_map(|described| best_of(described, der));
    match broken {
        Some((_, name, value)) => Value::Object(vec![(name.to_owned(), value)]),
        None => unknown(der, kind.or_else(|| Kind::of_label(label?))),
    }
}

/// BER as DER, which the descriptions are of; `None` where it is DER, or nothing that can be brought to it.
fn definite(input: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let problems = |der: &[u8]| {
        let mut walk = Walk::new();
        walk.whole(&shape::Shape::Any, der);
        walk.problems
    };
    if problems(input) == 0 {
        return None;
    }
    ber::with_definite_lengths(input).ok().filter(|der| problems(der) == 0)
}

/// What no description fits, by its tags.
fn unknown(der: &[u8], kind: Option<Kind>) -> Value {
    let what = match (kind, walk::count(der)) {
        (Some(kind), _) => kind.words().to_owned(),
        (None, Some(1)) => "a SEQUENCE of 1 element, not known".to_owned(),
        (None, Some(count)) => format!("a SEQUENCE of {count} elements, not known"),
        (None, None) => "not known".to_owned(),
    };
    let content = Walk::new().whole(&shape::Shape::Any, der);
    let fields = vec![("what".to_owned(), Value::Text(what)), ("content".to_owned(), content)];
    Value::Object(vec![("DER".to_owned(), Value::Object(fields))])
}

fn private_key(der: &[u8]) -> Value {
    match best_of(&tables::PRIVATE_KEYS, der) {
        Some((0, name, value)) => Value::Object(vec![(name.to_owned(), value)]),
        _ => Value::Text(format!("(a broken private key of {} bytes, not shown)", der.len())),
    }
}

/// The description with the fewest problems: how many, its name, and what it made of the bytes.
fn best_of(descriptions: &[Described], der: &[u8]) -> Option<(usize, &'static str, Value)> {
    let mut best: Option<(usize, Described, Value)> = None;
    for described in descriptions {
        let mut walk = Walk::new();
        let value = walk.whole(described.1, der);
        if best.as_ref().is_none_or(|(problems, ..)| walk.problems < *problems) {
            best = Some((walk.problems, *described, value));
        }
        if walk.problems == 0 {
            break;
        }
    }
    let (problems, (name, shape), value) = best?;
    // A key is public in no part: with a byte damaged, its secret may stand where its version belongs.
    let is_shown = problems == 0 && tables::PRIVATE_KEYS.iter().all(|(key, _)| *key != name);
    let value = if is_shown { Walk::over_public().whole(shape, der) } else { value };
    Some((problems, name, value))
}
