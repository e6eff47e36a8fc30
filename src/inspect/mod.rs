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

use value::Value;
use walk::Walk;

use crate::asn1::pem;
use crate::{Code, Error};

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

/// Shows what `input` is: PEM, with one block or several, or DER. Each structure appears under its ASN.1 name (`PKIMessage`,
/// `Certificate`, ...); one that fits no description best is shown by its tags, as `DER`.
///
/// At most 200 items of a list and 256 bytes of a string are shown. [`Code::Der`] if the input is neither PEM nor begins
/// like DER, [`Code::Limit`] if it is larger than 64 MiB.
pub fn inspect(input: &[u8], format: Format) -> Result<String, Error> {
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
            only.decode()?;
        }
        for block in blocks.iter().take(MAX_BLOCKS) {
            // What its label calls a private key is never shown by its tags, however broken it is.
            let is_key = block.label.contains("PRIVATE KEY") && !block.label.contains("ENCRYPTED");
            found.push(match block.decode() {
                Ok(der) if is_key => private_key(&der),
                Ok(der) => named(&der),
                Err(error) => {
                    Value::Object(vec![(block.label.to_owned(), Value::Text(format!("(not shown: {error})")))])
                }
            });
        }
    } else if input.first() == Some(&0x30) {
        found.push(named(input));
    } else {
        return Err(Error::new(Code::Der, "neither PEM nor DER: expected a BEGIN line or a SEQUENCE"));
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

/// The structure that the bytes fit best, under its name.
fn named(der: &[u8]) -> Value {
    let (problems, name, value) = best_of(tables::WHOLE, der);
    let mut generic = Walk::new();
    let by_tags = generic.whole(&shape::Shape::Any, der);
    // A structure of its own is not made to look like a broken one of ours.
    let (name, value) = if problems > 3 && generic.problems == 0 { ("DER", by_tags) } else { (name, value) };
    Value::Object(vec![(name.to_owned(), value)])
}

fn private_key(der: &[u8]) -> Value {
    match best_of(&tables::PRIVATE_KEYS, der) {
        (0, name, value) => Value::Object(vec![(name.to_owned(), value)]),
        _ => Value::Text(format!("(a broken private key of {} bytes, not shown)", der.len())),
    }
}

/// The description with the fewest problems: how many, its name, and what it made of the bytes.
fn best_of<'a>(descriptions: &[(&'a str, &'static shape::Shape)], der: &[u8]) -> (usize, &'a str, Value) {
    let mut best: Option<(usize, &str, Value)> = None;
    for (name, shape) in descriptions {
        let mut walk = Walk::new();
        let value = walk.whole(shape, der);
        if best.as_ref().is_none_or(|(problems, ..)| walk.problems < *problems) {
            best = Some((walk.problems, name, value));
        }
        if walk.problems == 0 {
            break;
        }
    }
    match best.expect("there are descriptions") {
        // A key is public in no part: with a byte damaged, its secret may stand where its version belongs.
        (0, name, value) if tables::PRIVATE_KEYS.iter().any(|(key, _)| *key == name) => (0, name, value),
        (0, name, _) => {
            let (_, shape) = descriptions.iter().find(|(known, _)| *known == name).expect("it is one of them");
            (0, name, Walk::over_public().whole(shape, der))
        }
        broken => broken,
    }
}
