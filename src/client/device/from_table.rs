//! Settings out of a table of TOML, and where in its text a value stands.
//!
//! The deserializers of `toml` are general: they would be compiled for each structure and type of the settings, once for a text and once for
//! a table, and be a fifteenth of the library. This one has the value at hand already and looks at nothing else.

use std::fmt;
use std::slice;

use serde::de::{self, DeserializeSeed, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};
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
    /// Whether it is the name that is wrong, and not its value.
    is_name: bool,
}

impl Misfit {
    pub fn new(words: String) -> Self {
        Misfit { words, inward: Vec::new(), is_name: false }
    }

    /// Of a name that no setting has.
    pub fn of_name(words: String) -> Self {
        Misfit { is_name: true, ..Misfit::new(words) }
    }

    /// The same, seen from the table or list that holds it.
    pub fn below(mut self, name: impl ToString) -> Self {
        self.inward.push(name.to_string());
        self
    }

    /// Where the value, or the name that is wrong, begins in the text that the table was read from, in bytes.
    pub fn start(&self, text: &str) -> Option<usize> {
        let root = DeTable::parse(text).ok()?;
        let mut path = self.inward.iter().rev();
        let (mut start, mut here) = in_table(root.get_ref(), path.next()?)?;
        for name in path {
            (start, here) = match here.get_ref() {
                DeValue::Table(table) => in_table(table, name)?,
                DeValue::Array(items) => {
                    let item = items.get(name.parse::<usize>().ok()?)?;
                    (item.span().start, item)
                }
                _ => return None,
            };
        }
        Some(if self.is_name { start } else { here.span().start })
    }
}

/// Where the name of an entry begins, and its value.
fn in_table<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<(usize, &'t toml::Spanned<DeValue<'i>>)> {
    table.iter().find(|(key, _)| key.get_ref() == name).map(|(key, value)| (key.span().start, value))
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

impl<'t> Held<'t> {
    /// As visitors tell it of themselves.
    fn misfit(self, expected: &dyn Expected) -> Misfit {
        let found = match self {
            Held::Table(_) | Held::Value(Value::Table(_)) => Unexpected::Map,
            Held::Value(Value::Array(_)) => Unexpected::Seq,
            Held::Value(Value::String(text)) => Unexpected::Str(text),
            Held::Value(Value::Integer(number)) => Unexpected::Signed(*number),
            Held::Value(Value::Float(number)) => Unexpected::Float(*number),
            Held::Value(Value::Boolean(switch)) => Unexpected::Bool(*switch),
            Held::Value(Value::Datetime(date)) => {
                return de::Error::invalid_type(Unexpected::Str(&date.to_string()), expected);
            }
        };
        de::Error::invalid_type(found, expected)
    }

    fn table<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Held::Table(table) | Held::Value(Value::Table(table)) => {
                visitor.visit_map(Entries { entries: table.iter(), value: None })
            }
            Held::Value(_) => Err(self.misfit(&visitor)),
        }
    }

    fn list<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Held::Value(Value::Array(items)) => visitor.visit_seq(Elements { items: items.iter(), next: 0 }),
            _ => Err(self.misfit(&visitor)),
        }
    }

    fn text<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Held::Value(Value::String(text)) => visitor.visit_borrowed_str(text),
            // No setting is a date; where one is text, a date is text without its quotes.
            Held::Value(Value::Datetime(date)) => visitor.visit_string(date.to_string()),
            _ => Err(self.misfit(&visitor)),
        }
    }

    fn number<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Held::Value(Value::Integer(number)) => visitor.visit_i64(*number),
            Held::Value(Value::Float(number)) => visitor.visit_f64(*number),
            _ => Err(self.misfit(&visitor)),
        }
    }
}

/// Methods that lead to one of `Held`. A visitor is asked only for what it wants: what it would do with all else is code as well,
/// once for each structure of the settings.
macro_rules! by_kind {
    ($($asked:ident => $kind:ident,)+) => {
        $(fn $asked<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.$kind(visitor)
        })+
    };
}

impl<'t> Deserializer<'t> for Held<'t> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Held::Table(_) | Held::Value(Value::Table(_)) => self.table(visitor),
            Held::Value(Value::Array(_)) => self.list(visitor),
            Held::Value(Value::String(_) | Value::Datetime(_)) => self.text(visitor),
            Held::Value(Value::Integer(_) | Value::Float(_)) => self.number(visitor),
            Held::Value(Value::Boolean(switch)) => visitor.visit_bool(*switch),
        }
    }

    fn deserialize_bool<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Held::Value(Value::Boolean(switch)) => visitor.visit_bool(*switch),
            _ => Err(self.misfit(&visitor)),
        }
    }

    // What is not set is not in the table: what is there is some.
    fn deserialize_option<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'t>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.table(visitor)
    }

    fn deserialize_enum<V: Visitor<'t>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        match self {
            Held::Value(Value::String(text)) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(self.misfit(&visitor)),
        }
    }

    by_kind! {
        deserialize_map => table, deserialize_seq => list, deserialize_str => text, deserialize_string => text,
        deserialize_char => text, deserialize_identifier => text, deserialize_i8 => number, deserialize_i16 => number,
        deserialize_i32 => number, deserialize_i64 => number, deserialize_u8 => number, deserialize_u16 => number,
        deserialize_u32 => number, deserialize_u64 => number, deserialize_f32 => number, deserialize_f64 => number,
    }

    forward_to_deserialize_any! {
        <V: Visitor<'t>>
        i128 u128 bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
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
