//! Lays a description over bytes and says what stands where; what does not fit is told and shown by its tags.
//!
//! Bytes are shown where the structure around them is known to be public, and nowhere else: a private key with one byte
//! damaged looks like anything. So everything is read once with nothing shown but lengths; only what then fits its description
//! to the last byte, the whole or one of the [`Shape::Public`] parts, is read again with its contents.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names::oid_name;
use super::shape::{Field, Shape, Tagging};
use super::value::Value;
use crate::asn1::der::{Cursor, Tlv};
use crate::asn1::name;
use crate::asn1::oid::Oid;
use crate::asn1::x509::{hex, read_time};
use ::der::Decode;

/// Deeper structures are not followed.
const DEPTH: usize = 48;
/// More nodes are not shown: a peer's message must not fill the memory.
const NODES: usize = 100_000;
/// More items of one list are not shown.
const ITEMS: usize = 200;
/// More bytes of one string are not shown.
const BYTES: usize = 256;
/// Longer INTEGERs are no serial numbers (RFC 5280 section 4.1.2.2: 20 octets; real ones reach a few more) and are not shown.
const INTEGER_BYTES: usize = 24;
/// Longer INTEGERs are none of those whose values have names.
const NAMED_BYTES: usize = 4;
/// Longer OBJECT IDENTIFIERs without a name are not shown.
const OID_BYTES: usize = 20;

/// What is known about the bytes that are being read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// Nothing yet; a public part may be found inside.
    Unknown,
    /// A public part is being tried.
    Tried,
    /// All of it fits the description of something public.
    Public,
}

/// A walk over one input.
pub(super) struct Walk {
    /// Places where the bytes were not as described.
    pub(super) problems: usize,
    nodes: usize,
    trust: Trust,
}

impl Walk {
    pub(super) fn new() -> Self {
        Walk { problems: 0, nodes: 0, trust: Trust::Unknown }
    }

    /// A walk over bytes that fitted without a problem: contents are shown where the description says so.
    pub(super) fn over_public() -> Self {
        Walk { trust: Trust::Public, ..Walk::new() }
    }

    fn shows(&self) -> bool {
        self.trust == Trust::Public
    }

    /// A part that is public wherever it stands, if it fits to the last byte.
    fn public(&mut self, shape: &'static Shape, item: Tlv<'_>, oid: Option<Oid>, depth: usize) -> Value {
        if self.trust != Trust::Unknown {
            return self.element(shape, item, oid, depth);
        }
        let mut trial = Walk { problems: 0, nodes: self.nodes, trust: Trust::Tried };
        let hidden = trial.element(shape, item, oid, depth);
        self.problems += trial.problems;
        self.nodes = trial.nodes;
        if trial.problems > 0 {
            return hidden;
        }
        Walk { trust: Trust::Public, ..Walk::new() }.element(shape, item, oid, depth)
    }

    /// Reads the one element that `bytes` must be.
    pub(super) fn whole(&mut self, shape: &'static Shape, bytes: &[u8]) -> Value {
        let (items, broken) = elements(bytes);
        let value = match &items[..] {
            [one] => self.element(shape, *one, None, 0),
            _ => self.problem(format!("expected one element, found {}", items.len()), bytes),
        };
        match broken {
            None => value,
            Some(words) => {
                self.problems += 1;
                Value::Object(vec![("problem".into(), Value::Text(words)), ("content".into(), value)])
            }
        }
    }

    fn problem(&mut self, words: String, bytes: &[u8]) -> Value {
        self.problems += 1;
        Value::Object(vec![("problem".into(), Value::Text(words)), ("bytes".into(), counted(bytes))])
    }

    /// An element with the tag that its type gives it.
    fn element(&mut self, shape: &'static Shape, item: Tlv<'_>, oid: Option<Oid>, depth: usize) -> Value {
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Value::text("(not shown: too much)");
        }
        if !shape.fits(item.bytes[0]) {
            return self.problem(format!("expected {}, found tag {:02x}", shape.words(), item.bytes[0]), item.bytes);
        }
        match shape {
            Shape::Choice(alternatives) => {
                let chosen = alternatives.iter().find(|a| a.fits(item.bytes[0])).expect("it fits one of them");
                let value = self.tagged(chosen, item, oid, depth);
                Value::Object(vec![(chosen.name.to_owned(), value)])
            }
            Shape::ByOid(known) => match oid.and_then(known) {
                Some(shape) => self.element(shape, item, oid, depth),
                None => self.generic(item, depth),
            },
            Shape::Any => self.generic(item, depth),
            Shape::Public(of) => self.public(of, item, oid, depth),
            Shape::Name => self.name(item.bytes),
            Shape::Time => time(item.bytes).unwrap_or_else(|| self.problem("not a time".into(), item.bytes)),
            Shape::Text => self.text(item.bytes[0], item.value),
            other => self.content(other, item.value, oid, depth),
        }
    }

    /// A field: its own tag first.
    fn tagged(&mut self, field: &Field, item: Tlv<'_>, oid: Option<Oid>, depth: usize) -> Value {
        match field.tagging {
            Tagging::Plain => self.element(field.shape, item, oid, depth + 1),
            Tagging::Implicit(_) => self.content(field.shape, item.value, oid, depth + 1),
            Tagging::Explicit(_) => match &elements(item.value).0[..] {
                [inner] => self.element(field.shape, *inner, oid, depth + 1),
                _ => self.problem("expected one element under an explicit tag".into(), item.bytes),
            },
        }
    }

    /// The content of an element, whatever its tag was.
    fn content(&mut self, shape: &'static Shape, value: &[u8], oid: Option<Oid>, depth: usize) -> Value {
        match shape {
            Shape::Sequence(fields) => self.fields(fields, value, depth),
            Shape::SequenceOf(of) | Shape::SetOf(of) => self.items(of, value, oid, depth),
            Shape::Integer => self.integer(value),
            Shape::Serial => self.serial(value),
            Shape::Named(names) => self.named(names, value, NAMED_BYTES),
            Shape::Enumerated(names) => self.named(names, value, 1),
            Shape::Boolean => Value::Flag(value != [0]),
            Shape::Null => Value::Null,
            Shape::Oid => self.oid(value),
            Shape::Bits(names) => self.bits(names, value),
            Shape::BitString => self.shown(value.get(1..).unwrap_or_default()),
            Shape::PublicKey => Value::Text(format!("({} bytes)", value.len().saturating_sub(1))),
            Shape::OctetString => self.shown(value),
            Shape::Address => match address(value) {
                Some(address) if self.shows() => Value::Text(address),
                Some(_) => counted(value),
                None => self.problem("neither an IP address nor one with its mask".into(), value),
            },
            Shape::Text => self.text(0x0c, value),
            Shape::Time => time_of(0x18, value).unwrap_or_else(|| self.problem("not a time".into(), value)),
            Shape::Name => self.items(&Shape::Any, value, oid, depth),
            Shape::Algorithm => self.algorithm(value, depth),
            Shape::InsideByOid(known) => match oid.and_then(known) {
                // Not even whether it is DER.
                Some(Shape::Secret) => self.content(&Shape::Secret, value, oid, depth),
                Some(inner) => self.inside(inner, value, oid, depth),
                None => self.shown(value),
            },
            Shape::Public(of) => self.content(of, value, oid, depth),
            Shape::Hidden(_) | Shape::Secret => Value::Text(format!("({} bytes, not shown)", value.len())),
            Shape::Choice(_) | Shape::ByOid(_) | Shape::Any => self.items(&Shape::Any, value, oid, depth),
        }
    }

    fn inside(&mut self, shape: &'static Shape, value: &[u8], oid: Option<Oid>, depth: usize) -> Value {
        match &elements(value).0[..] {
            [inner] => self.element(shape, *inner, oid, depth + 1),
            _ => self.problem(format!("expected {} inside", shape.words()), value),
        }
    }

    fn fields(&mut self, fields: &'static [Field], value: &[u8], depth: usize) -> Value {
        let (items, broken) = elements(value);
        let mut found = Vec::new();
        let mut oid = None;
        let mut rest = items.into_iter().peekable();
        for field in fields {
            match rest.next_if(|item| field.fits(item.bytes[0])) {
                Some(item) => {
                    if item.bytes[0] == 0x06 && oid.is_none() {
                        oid = oid_of(item.value);
                    }
                    found.push((field.name.to_owned(), self.tagged(field, item, oid, depth)));
                }
                None if field.is_optional => {}
                None => {
                    let here = rest.peek().map_or("the end".to_owned(), |item| format!("tag {:02x}", item.bytes[0]));
                    self.problems += 1;
                    found.push((field.name.to_owned(), Value::Text(format!("(missing: found {here})"))));
                    break;
                }
            }
        }
        for item in rest {
            self.problems += 1;
            found.push(("unexpected".to_owned(), self.generic(item, depth + 1)));
        }
        if let Some(words) = broken {
            self.problems += 1;
            found.push(("unreadable".to_owned(), Value::Text(words)));
        }
        Value::Object(found)
    }

    fn items(&mut self, of: &'static Shape, value: &[u8], oid: Option<Oid>, depth: usize) -> Value {
        let (items, broken) = elements(value);
        let count = items.len();
        let mut shown: Vec<Value> =
            items.into_iter().take(ITEMS).map(|item| self.element(of, item, oid, depth + 1)).collect();
        if count > ITEMS {
            shown.push(Value::Text(format!("({} more, not shown)", count - ITEMS)));
        }
        if let Some(words) = broken {
            self.problems += 1;
            shown.push(Value::Text(format!("(unreadable: {words})")));
        }
        Value::List(shown)
    }

    fn algorithm(&mut self, value: &[u8], depth: usize) -> Value {
        let (items, broken) = elements(value);
        let oid = items.first().filter(|item| item.bytes[0] == 0x06).and_then(|item| oid_of(item.value));
        match (oid, &items[..], broken) {
            // NULL says no more than nothing.
            (Some(_), [algorithm] | [algorithm, Tlv { bytes: [5, 0], .. }], None) => self.oid(algorithm.value),
            (Some(oid), [algorithm, parameters], None) => {
                let shape = super::tables::algorithms::parameters(oid).unwrap_or(&Shape::Any);
                let parameters = self.element(shape, *parameters, Some(oid), depth + 1);
                let algorithm = ("algorithm".to_owned(), self.oid(algorithm.value));
                Value::Object(vec![algorithm, ("parameters".to_owned(), parameters)])
            }
            _ => self.problem("not an AlgorithmIdentifier".into(), value),
        }
    }

    /// By its tags and lengths alone: of what is not described nobody knows that it is public.
    fn generic(&mut self, item: Tlv<'_>, depth: usize) -> Value {
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Value::text("(not shown: too much)");
        }
        let number = item.bytes[0] & 0x1f;
        match item.bytes[0] {
            0x01 => Value::Flag(item.value != [0]),
            0x05 => Value::Null,
            0x06 => known_oid(item.value).map_or_else(|| tagged("OBJECT IDENTIFIER", item.value), Value::Text),
            0x17 | 0x18 => time(item.bytes).unwrap_or_else(|| tagged("time", item.value)),
            0x02 => tagged("INTEGER", item.value),
            0x0a => tagged("ENUMERATED", item.value),
            0x03 => tagged("BIT STRING", item.value),
            0x04 => tagged("OCTET STRING", item.value),
            tag if Shape::Text.fits(tag) => tagged("text", item.value),
            0x30 | 0x31 => self.items(&Shape::Any, item.value, None, depth),
            tag if tag & 0x20 != 0 => {
                let inner = self.items(&Shape::Any, item.value, None, depth);
                Value::Object(vec![(format!("[{number}]"), inner)])
            }
            _ => Value::Object(vec![(format!("[{number}]"), counted(item.value))]),
        }
    }

    fn shown(&self, bytes: &[u8]) -> Value {
        match bytes.len() {
            0 => Value::text("(empty)"),
            _ if !self.shows() => counted(bytes),
            n if n > BYTES => Value::Text(format!("{}... ({n} bytes)", hex(&bytes[..BYTES]))),
            _ => Value::Text(hex(bytes)),
        }
    }

    /// Versions and numbers are small. What is longer may be anything, also where it fits.
    fn integer(&self, value: &[u8]) -> Value {
        match small(value) {
            Some(number) if self.shows() || value.len() <= 2 => Value::Number(number),
            _ => counted(value),
        }
    }

    /// A serial number is shown in what is public.
    fn serial(&self, value: &[u8]) -> Value {
        match small(value) {
            None if self.shows() && value.len() <= INTEGER_BYTES => Value::Text(format!("0x{}", hex(value))),
            _ => self.integer(value),
        }
    }

    /// A value of at most so many octets, by its name. A longer one does not fit, so that nothing around it is taken for public.
    fn named(&mut self, names: &[(i64, &str)], value: &[u8], most: usize) -> Value {
        if value.is_empty() || value.len() > most {
            return self.problem(
                format!("expected a value with a name, at most {most} octets long, found {} octets", value.len()),
                value,
            );
        }
        let found = small(value).and_then(|number| names.iter().find(|(n, _)| *n == number));
        found.map_or_else(|| self.integer(value), |(number, name)| Value::Text(format!("{name} ({number})")))
    }

    fn oid(&mut self, value: &[u8]) -> Value {
        match oid_of(value) {
            None => self.problem("not an OBJECT IDENTIFIER".into(), value),
            Some(oid) if self.shows() && value.len() <= OID_BYTES => Value::Text(oid_name(oid)),
            Some(_) => known_oid(value).map_or_else(|| counted(value), Value::Text),
        }
    }

    fn bits(&mut self, names: &[&str], value: &[u8]) -> Value {
        let content = value.get(1..).unwrap_or_default();
        // Bits without a name may come with the next standard, but not by the dozen.
        if content.len() * 8 > names.len() + 32 {
            return self.problem("too many bits for what these stand for".into(), value);
        }
        let is_set = |bit: usize| content[bit / 8] & 0x80 >> (bit % 8) != 0;
        let set: Vec<String> = (0..content.len() * 8)
            .filter(|bit| is_set(*bit))
            .map(|bit| names.get(bit).map_or_else(|| format!("bit {bit}"), |name| (*name).to_owned()))
            .collect();
        Value::Text(if set.is_empty() { "(none)".to_owned() } else { set.join(", ") })
    }

    fn name(&mut self, der: &[u8]) -> Value {
        if x509_cert::name::Name::from_der(der).is_err() {
            return self.problem("not a readable name".into(), der);
        }
        if self.shows() { Value::text(name::display(der)) } else { counted(der) }
    }

    fn text(&mut self, tag: u8, value: &[u8]) -> Value {
        match text(tag, value) {
            None => self.problem("not a text of its type".into(), value),
            Some(words) if self.shows() => Value::Text(words),
            Some(_) => counted(value),
        }
    }
}

/// How much there is of what is not shown.
fn counted(bytes: &[u8]) -> Value {
    match bytes.len() {
        0 => Value::text("(empty)"),
        n => Value::Text(format!("({n} bytes)")),
    }
}

fn tagged(tag: &str, value: &[u8]) -> Value {
    Value::Text(format!("{tag} ({} bytes)", value.len()))
}

/// How many elements a SEQUENCE has; `None` where it is no whole one.
pub(super) fn count(der: &[u8]) -> Option<usize> {
    match (&elements(der).0[..], elements(der).1) {
        ([one], None) if one.bytes[0] == 0x30 => {
            let (inside, broken) = elements(one.value);
            broken.is_none().then_some(inside.len())
        }
        _ => None,
    }
}

/// The elements one after the other, and what stopped the reading. An element that was cut off is taken as far as it goes.
fn elements(bytes: &[u8]) -> (Vec<Tlv<'_>>, Option<String>) {
    let mut found = Vec::new();
    let mut cursor = match Cursor::new(bytes, "the content") {
        Ok(cursor) => cursor,
        Err(error) => return (found, Some(error.to_string())),
    };
    while !cursor.is_empty() {
        match cursor.any("an element") {
            Ok(item) => found.push(item),
            Err(error) => {
                found.extend(cut_off(&cursor, &bytes[cursor.offset()..]));
                return (found, Some(error.to_string()));
            }
        }
    }
    (found, None)
}

/// What is left of an element whose length goes beyond the end.
fn cut_off<'a>(cursor: &Cursor<'a>, rest: &'a [u8]) -> Option<Tlv<'a>> {
    let length = *rest.get(1)?;
    let header_len = 2 + if length & 0x80 == 0 { 0 } else { usize::from(length & 0x7f) };
    let value = rest.get(header_len..)?;
    Some(Tlv { tag: cursor.peek()?, bytes: rest, value })
}

/// Numbers that JSON readers keep exactly.
fn small(value: &[u8]) -> Option<i64> {
    if value.is_empty() || value.len() > 6 {
        return None;
    }
    let start = if value[0] & 0x80 == 0 { 0 } else { -1 };
    Some(value.iter().fold(start, |number: i64, byte| number << 8 | i64::from(*byte)))
}

fn oid_of(value: &[u8]) -> Option<Oid> {
    Oid::from_bytes(value).ok()
}

fn time(bytes: &[u8]) -> Option<Value> {
    let mut cursor = Cursor::new(bytes, "a time").ok()?;
    read_time(&mut cursor, "time").ok().map(|time| Value::Text(time.to_string()))
}

fn time_of(tag: u8, value: &[u8]) -> Option<Value> {
    time(&crate::asn1::der::element(tag, &[value]))
}

/// The name of an identifier that has one.
fn known_oid(value: &[u8]) -> Option<String> {
    let oid = oid_of(value)?;
    Some(oid_name(oid)).filter(|name| *name != oid.to_string())
}

/// The beginning of a text; `None` for bytes that are no text of their type. Control characters must not reshape the reader's
/// terminal.
fn text(tag: u8, value: &[u8]) -> Option<String> {
    let units = value.chunks(2).map(|c| <[u8; 2]>::try_from(c).map_or(0xd800, u16::from_be_bytes));
    let wide = value.chunks(4).map(|c| <[u8; 4]>::try_from(c).ok().map(u32::from_be_bytes));
    let words: String = match tag {
        0x1e => char::decode_utf16(units).collect::<Result<_, _>>().ok()?,
        0x1c => wide.map(|c| char::from_u32(c?)).collect::<Option<_>>()?,
        0x14 => value.iter().map(|byte| char::from(*byte)).collect(),
        _ => std::str::from_utf8(value).ok()?.to_owned(),
    };
    let cut = words.chars().take(4 * BYTES);
    Some(cut.map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect())
}

fn address(value: &[u8]) -> Option<String> {
    let v4 = |part: &[u8]| <[u8; 4]>::try_from(part).map(Ipv4Addr::from);
    let v6 = |part: &[u8]| <[u8; 16]>::try_from(part).map(Ipv6Addr::from);
    // RFC 4632 section 3.1: ones, then zeros.
    let is_mask = |mask: &[u8]| {
        let bits = mask.iter().fold(0u128, |bits, byte| bits << 8 | u128::from(*byte)) << (128 - 8 * mask.len());
        bits.leading_ones() + bits.trailing_zeros() >= 128
    };
    let (half, _) = value.split_at(value.len() / 2);
    match value.len() {
        4 => v4(value).ok().map(|a| a.to_string()),
        16 => v6(value).ok().map(|a| a.to_string()),
        8 if is_mask(&value[4..]) => Some(format!("{}/{}", v4(half).ok()?, v4(&value[4..]).ok()?)),
        32 if is_mask(&value[16..]) => Some(format!("{}/{}", v6(half).ok()?, v6(&value[16..]).ok()?)),
        _ => None,
    }
}
