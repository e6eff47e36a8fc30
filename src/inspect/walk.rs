//! Lays a description over bytes and says what stands where; what does not fit is told and shown by its tags.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names::oid_name;
use super::shape::{Field, Shape, Tagging};
use super::value::Value;
use crate::asn1::der::{Cursor, Tlv};
use crate::asn1::name;
use crate::asn1::oid::Oid;
use crate::asn1::x509::{hex, read_time};

/// Deeper structures are not followed.
const DEPTH: usize = 48;
/// More nodes are not shown: a peer's message must not fill the memory.
const NODES: usize = 100_000;
/// More items of one list are not shown.
const ITEMS: usize = 200;
/// More bytes of one string are not shown.
const BYTES: usize = 256;

/// A walk over one input.
pub(super) struct Walk {
    /// Places where the bytes were not as described.
    pub(super) problems: usize,
    nodes: usize,
}

impl Walk {
    pub(super) fn new() -> Self {
        Walk { problems: 0, nodes: 0 }
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
        Value::Object(vec![("problem".into(), Value::Text(words)), ("bytes".into(), shown(bytes))])
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
            Shape::Name => Value::text(name::display(item.bytes)),
            Shape::Time => time(item.bytes).unwrap_or_else(|| self.problem("not a time".into(), item.bytes)),
            Shape::Text => Value::Text(text(item.bytes[0], item.value)),
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
            Shape::Integer => integer(value),
            Shape::Named(names) => named(names, value),
            Shape::Boolean => Value::Flag(value != [0]),
            Shape::Null => Value::Null,
            Shape::Oid => oid_of(value).map_or_else(
                || self.problem("not an OBJECT IDENTIFIER".into(), value),
                |oid| Value::Text(oid_name(oid)),
            ),
            Shape::Bits(names) => Value::Text(bits(names, value)),
            Shape::BitString => shown(value.get(1..).unwrap_or_default()),
            Shape::PublicKey => Value::Text(format!("({} bytes)", value.len().saturating_sub(1))),
            Shape::OctetString => shown(value),
            Shape::Address => Value::Text(address(value)),
            Shape::Text => Value::Text(text(0x0c, value)),
            Shape::Time => time_of(0x18, value).unwrap_or_else(|| self.problem("not a time".into(), value)),
            Shape::Name => self.items(&Shape::Any, value, oid, depth),
            Shape::Algorithm => self.algorithm(value, depth),
            Shape::InsideByOid(known) => match oid.and_then(known) {
                Some(inner) => self.inside(inner, value, oid, depth),
                None => shown(value),
            },
            Shape::Secret => Value::Text(format!("({} bytes, not shown)", value.len())),
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
            (Some(oid), [_] | [_, Tlv { bytes: [5, 0], .. }], None) => Value::Text(oid_name(oid)),
            (Some(oid), [_, parameters], None) => {
                let shape = super::tables::algorithms::parameters(oid).unwrap_or(&Shape::Any);
                let parameters = self.element(shape, *parameters, Some(oid), depth + 1);
                let algorithm = ("algorithm".to_owned(), Value::Text(oid_name(oid)));
                Value::Object(vec![algorithm, ("parameters".to_owned(), parameters)])
            }
            _ => self.problem("not an AlgorithmIdentifier".into(), value),
        }
    }

    /// By its tags alone.
    fn generic(&mut self, item: Tlv<'_>, depth: usize) -> Value {
        self.nodes += 1;
        if depth > DEPTH || self.nodes > NODES {
            return Value::text("(not shown: too much)");
        }
        match item.bytes[0] {
            0x01 => Value::Flag(item.value != [0]),
            0x02 | 0x0a => integer(item.value),
            0x03 => shown(item.value.get(1..).unwrap_or_default()),
            0x05 => Value::Null,
            0x06 => oid_of(item.value).map_or_else(|| shown(item.value), |oid| Value::Text(oid_name(oid))),
            0x17 | 0x18 => time(item.bytes).unwrap_or_else(|| shown(item.value)),
            tag if Shape::Text.fits(tag) => Value::Text(text(tag, item.value)),
            0x30 | 0x31 => self.items(&Shape::Any, item.value, None, depth),
            tag if tag & 0x20 != 0 => {
                let inner = self.items(&Shape::Any, item.value, None, depth);
                Value::Object(vec![(format!("[{}]", tag & 0x1f), inner)])
            }
            0x04 => shown(item.value),
            tag => Value::Object(vec![(format!("[{}]", tag & 0x1f), shown(item.value))]),
        }
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

fn shown(bytes: &[u8]) -> Value {
    match bytes.len() {
        0 => Value::text("(empty)"),
        n if n > BYTES => Value::Text(format!("{}... ({n} bytes)", hex(&bytes[..BYTES]))),
        _ => Value::Text(hex(bytes)),
    }
}

fn integer(value: &[u8]) -> Value {
    match small(value) {
        Some(number) => Value::Number(number),
        None => Value::Text(format!("0x{}", hex(&value[..value.len().min(BYTES)]))),
    }
}

/// Numbers that JSON readers keep exactly.
fn small(value: &[u8]) -> Option<i64> {
    if value.is_empty() || value.len() > 6 {
        return None;
    }
    let start = if value[0] & 0x80 == 0 { 0 } else { -1 };
    Some(value.iter().fold(start, |number: i64, byte| number << 8 | i64::from(*byte)))
}

fn named(names: &[(i64, &str)], value: &[u8]) -> Value {
    match small(value) {
        Some(number) => match names.iter().find(|(n, _)| *n == number) {
            Some((_, name)) => Value::Text(format!("{name} ({number})")),
            None => Value::Number(number),
        },
        None => integer(value),
    }
}

fn bits(names: &[&str], value: &[u8]) -> String {
    let content = value.get(1..).unwrap_or_default();
    let is_set = |bit: usize| content[bit / 8] & 0x80 >> (bit % 8) != 0;
    let set: Vec<String> = (0..content.len().min(64) * 8)
        .filter(|bit| is_set(*bit))
        .map(|bit| names.get(bit).map_or_else(|| format!("bit {bit}"), |name| (*name).to_owned()))
        .collect();
    if set.is_empty() { "(none)".to_owned() } else { set.join(", ") }
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

/// Control characters must not reshape the reader's terminal.
fn text(tag: u8, value: &[u8]) -> String {
    let value = &value[..value.len().min(4 * BYTES)];
    let words = match tag {
        0x1e => char::decode_utf16(value.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]])))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect(),
        0x1c => value
            .chunks_exact(4)
            .map(|c| {
                char::from_u32(u32::from_be_bytes([c[0], c[1], c[2], c[3]])).unwrap_or(char::REPLACEMENT_CHARACTER)
            })
            .collect(),
        0x14 => value.iter().map(|byte| char::from(*byte)).collect(),
        _ => String::from_utf8_lossy(value).into_owned(),
    };
    words.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn address(value: &[u8]) -> String {
    let v4 = |part: &[u8]| <[u8; 4]>::try_from(part).map(Ipv4Addr::from).map(|a| a.to_string());
    let v6 = |part: &[u8]| <[u8; 16]>::try_from(part).map(Ipv6Addr::from).map(|a| a.to_string());
    let words = match value.len() {
        4 => v4(value),
        16 => v6(value),
        8 => v4(&value[..4]).and_then(|a| v4(&value[4..]).map(|mask| format!("{a}/{mask}"))),
        32 => v6(&value[..16]).and_then(|a| v6(&value[16..]).map(|mask| format!("{a}/{mask}"))),
        _ => Ok(hex(&value[..value.len().min(BYTES)])),
    };
    words.expect("the lengths were looked at")
}
