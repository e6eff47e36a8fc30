//! JSON Schema of `devid.toml`, from the table of settings: what it refuses is refused by `devid config check`, and what is refused for
//! a value's form by that is refused by it.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::settings::{keys, keys::Kind};

/// As device memory takes names.
const NAME: &str = "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$";

/// The same for a part of a setting's name, between dots.
const NAME_IN_SETTINGS: &str = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$";

/// The whole schema.
pub fn schema() -> Value {
    let mut root = object();
    for key in keys::ALL {
        insert(&mut root, &key.path.split('.').collect::<Vec<_>>(), key);
    }
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("devid.toml");
    root
}

fn object() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

fn insert(into: &mut Value, path: &[&str], key: &keys::Key) {
    let [first, rest @ ..] = path else { return };
    if *first == "*" {
        if !into["additionalProperties"].is_object() {
            into["additionalProperties"] = object();
            into["propertyNames"] = json!({ "pattern": NAME_IN_SETTINGS });
        }
        return insert(&mut into["additionalProperties"], rest, key);
    }
    if rest.is_empty() && key.is_required {
        match into["required"].as_array_mut() {
            Some(required) => required.push(json!(first)),
            None => into["required"] = json!([first]),
        }
    }
    let Some(properties) = into["properties"].as_object_mut() else { return };
    if rest.is_empty() {
        properties.insert((*first).to_owned(), value_schema(key));
        return;
    }
    if key.is_listed && rest.len() == 1 {
        let list = properties.entry(*first).or_insert_with(|| json!({ "type": "array", "items": object() }));
        return insert(&mut list["items"], rest, key);
    }
    insert(properties.entry(*first).or_insert_with(object), rest, key);
}

fn value_schema(key: &keys::Key) -> Value {
    let mut schema = match key.kind {
        Kind::Text | Kind::Path => json!({ "type": "string" }),
        Kind::Name => json!({ "type": "string", "pattern": NAME }),
        Kind::NumberOf(numbers) => json!({ "enum": numbers }),
        Kind::Span(least, most) => json!({ "type": "string", "pattern": span_pattern(least, most) }),
        Kind::Secret => json!({ "type": "string", "pattern": secret_pattern() }),
        Kind::Number(least) => json!({ "type": "integer", "minimum": least, "maximum": u32::MAX }),
        Kind::Share => json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1 }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Paths | Kind::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Kind::OneOf(names) => json!({ "enum": names }),
    };
    if !key.may_be_empty {
        schema["minItems"] = json!(1);
    }
    schema["description"] = json!(key.meaning);
    schema
}

/// Sources of secrets, as they are written.
fn secret_pattern() -> String {
    let descriptor = numbers(0, u32::MAX);
    format!("^(file:[\\s\\S]+|fd:0*({descriptor})|cred:[^/]+|env:[\\s\\S]+|prompt)$")
}

/// Spans of so many seconds or more, up to so many, in each unit.
fn span_pattern(least: u32, most: u32) -> String {
    let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let spans = units.map(|(unit, seconds)| format!("({}){unit}", numbers(least.div_ceil(seconds), most / seconds)));
    format!("^0*({})$", spans.join("|"))
}

/// A regular expression for the numbers of a range, in decimal without zeros before them.
fn numbers(least: u32, most: u32) -> String {
    let mut parts = Vec::new();
    let (mut from, most) = (u64::from(least), u64::from(most));
    while from <= most {
        // The longest run that begins there and whose last digits are free.
        let mut free = 1;
        while from % (free * 10) == 0 && from + free * 10 - 1 <= most && from >= free * 10 {
            free *= 10;
        }
        // Its last digit that is not free goes up to 9, or as far as there is room.
        let digit = from / free % 10;
        let room = (most + 1 - from) / free;
        let last = digit + (9 - digit).min(room.saturating_sub(1));
        parts.push(run(from / free / 10, digit, last, free.ilog10()));
        from += (last - digit + 1) * free;
    }
    parts.join("|")
}

/// Numbers that begin so, then have a digit of these, then so many free ones.
fn run(begin: u64, digit: u64, last: u64, free: u32) -> String {
    let mut part = if begin > 0 { begin.to_string() } else { String::new() };
    let _ = if digit == last { write!(part, "{digit}") } else { write!(part, "[{digit}-{last}]") };
    match free {
        0 => {}
        1 => part.push_str("[0-9]"),
        _ => drop(write!(part, "[0-9]{{{free}}}")),
    }
    part
}
