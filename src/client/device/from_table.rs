//! Settings out of a table of TOML, and where in its text a value stands.
//!
//! The deserializers of `toml` are general: they would be compiled for each structure and type of the settings, once for a text and once for
//! a table, and be a fifteenth of the library. This one has the value at hand already and looks at nothing else.

use std::fmt;
use std::slice;

use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// A value that is not what its setting takes.
#[derive(Debug)]
pub(super) struct Misfit {
    /// What was expected, and what was found.
    pub words: String,
    /// The names that lead to it, the innermost first; in a list, the place of the element, from zero.
    inward: Vec<String>,
}

impl Misfit {
    pub fn new(words: String) -> Self {
        Misfit { words, inward: Vec::new() }
    }

    /// The same, seen from the table or list that holds it.
    pub fn below(mut self, name: impl ToString) -> Self {
        self.inward.push(name.to_string());
        self
    }

    /// Where the value begins in the text that the table was read from, in bytes.
    pub fn start(&self, text: &str) -> Option<usize> {
        let root = DeTable::parse(text).ok()?;
        let mut path = self.inward.iter().rev();
        let mut here = in_table(root.get_ref(), path.next()?)?;
        for name in path {
            here = match here.get_ref() {
                DeValue::Table(table) => in_table(table, name)?,
                DeValue::Array(items) => items.get(name.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(here.span().start)
    }
}

fn in_table<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<&'t toml::Spanned<DeValue<'i>>> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(words: T) -> Self {
        Misfit::new(words.to_string())
    }
}

/// Reads what a table holds.
pub(super) fn from_table<'t, T: Deserialize<'t>>(table: &'t Table) -> Result<T, Misfit> {
    T::deserialize(Held::Table(table))
}

/// What is read from: the table of all settings, or a value in it.
#[derive(Clone, Copy)]
enum Held<'t> {
    Table(&'t Table),
    Value(&'t Value),
}

impl<'t> Deserializer<'t> for Held<'t> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let table = match self {
            Held::Table(table) | Held::Value(Value::Table(table)) => table,
            Held::Value(Value::Array(items)) => return visitor.visit_seq(Elements { items: items.iter(), next: 0 }),
            Held::Value(Value::String(text)) => return visitor.visit_borrowed_str(text),
            Held::Value(Value::Integer(number)) => return visitor.visit_i64(*number),
            Held::Value(Value::Float(number)) => return visitor.visit_f64(*number),
            Held::Value(Value::Boolean(switch)) => return visitor.visit_bool(*switch),
            // No setting is a date; where one is text, a date is text without its quotes.
            Held::Value(Value::Datetime(date)) => return visitor.visit_string(date.to_string()),
        };
        visitor.visit_map(Entries { entries: table.iter(), value: None })
    }

    // What is not set is not in the table: what is there is some.
    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self {
            Held::Value(Value::String(text)) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// The names of a table and their values.
struct Entries<'t> {
    entries: toml::map::Iter<'t, String, Value>,
    value: Option<(&'t str, &'t Value)>,
}

impl<'t> MapAccess<'t> for Entries<'t> {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'t>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        self.value = self.entries.next().map(|(name, value)| (name.as_str(), value));
        self.value.map(|(name, _)| seed.deserialize(name.into_deserializer())).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((name, value)) = self.value.take() else {
            return Err(de::Error::custom("a value is asked for before its name"));
        };
        seed.deserialize(Held::Value(value)).map_err(|misfit| misfit.below(name))
    }
}

/// The elements of a list.
struct Elements<'t> {
    items: slice::Iter<'t, Value>,
    next: usize,
}

impl<'t> SeqAccess<'t> for Elements<'t> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'t>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some(item) = self.items.next() else { return Ok(None) };
        self.next += 1;
        seed.deserialize(Held::Value(item)).map(Some).map_err(|misfit| misfit.below(self.next - 1))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}
