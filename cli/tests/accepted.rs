//! The JSON Schema of the settings takes a value where `devid config check` takes it: each setting at the borders of its kind, and with what
//! is of another kind.

mod scene;

use devid::client::device::judge;
use devid::client::device::keys::{self, Kind};
use scene::{Scene, put};
use serde_json::Value;

const SETTINGS: &str = include_str!("../../docs/schema/settings.json");

/// The part of JSON Schema that this schema uses; another keyword is an error.
fn accepts(schema: &Value, value: &Value) -> bool {
    let number = || value.as_f64().filter(|_| value.is_number());
    let compared = |wanted: &Value, is_good: fn(&f64, &f64) -> bool| {
        number().is_none_or(|found| is_good(&found, &wanted.as_f64().unwrap()))
    };
    let matches =
        |pattern: &Value, text: &str| regex_lite::Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text);
    schema.as_object().unwrap().iter().all(|(keyword, wanted)| match keyword.as_str() {
        "$schema" | "title" | "description" => true,
        "type" => match wanted.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.is_u64(),
            other => panic!("no such type: {other}"),
        },
        "enum" => wanted.as_array().unwrap().contains(value),
        "pattern" => value.as_str().is_none_or(|text| matches(wanted, text)),
        "minimum" => compared(wanted, f64::ge),
        "maximum" => compared(wanted, f64::le),
        "exclusiveMaximum" => compared(wanted, f64::lt),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= wanted.as_u64().unwrap()),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| accepts(wanted, item))),
        "required" => {
            let has = |name: &Value| value.get(name.as_str().unwrap()).is_some();
            !value.is_object() || wanted.as_array().unwrap().iter().all(has)
        }
        "propertyNames" => {
            assert_eq!(wanted.as_object().unwrap().len(), 1, "{wanted}");
            value.as_object().is_none_or(|fields| fields.keys().all(|name| matches(&wanted["pattern"], name)))
        }
        "properties" => {
            let fits = |(name, field): (&String, &Value)| wanted.get(name).is_none_or(|one| accepts(one, field));
            value.as_object().is_none_or(|fields| fields.iter().all(fits))
        }
        "additionalProperties" => {
            let is_known = |name: &str| schema["properties"].get(name).is_some();
            let fits = |(_, field): (&String, &Value)| wanted.is_object() && accepts(wanted, field);
            value.as_object().is_none_or(|fields| fields.iter().filter(|(name, _)| !is_known(name)).all(fits))
        }
        other => panic!("this test does not know the keyword {other}"),
    })
}

/// What is tried with every setting, whatever its kind.
const ANY: &[&str] = &[
    "true",
    "\"\"",
    "\"x\"",
    "\"true\"",
    "\"3\"",
    "[]",
    "[\"x\"]",
    "[1]",
    "{}",
    "{ a = 1 }",
    "-1",
    "0",
    "1",
    "1000",
    "4294967295",
    "4294967296",
    "-0.1",
    "0.5",
    "0.999",
    "1.5",
    "\"prompt\"",
    "\"file:\"",
    "\"file:/x\"",
    "\"fd:0\"",
    "\"fd:007\"",
    "\"fd:+3\"",
    "\"fd:-1\"",
    "\"fd:4294967295\"",
    "\"fd:4294967296\"",
    "\"cred:a\"",
    "\"cred:\"",
    "\"cred:a/b\"",
    "\"env:X\"",
    "\"env:\"",
    "\"pass:x\"",
    "\"PROMPT\"",
    "\" prompt\"",
    "\"-a\"",
    "\".a\"",
    "\"_\"",
    "\"a b\"",
    "\"a/b\"",
    "\"a.b_c-d\"",
    "\"\u{e9}\"",
    "\"none\"",
];

/// Numbers about the borders of one kind.
fn about(least: u32, most: u32) -> [u64; 9] {
    let (least, most) = (u64::from(least), u64::from(most));
    [least.saturating_sub(1), least, least + 1, least + 9, most - 1, most, most + 1, most + 10, most * 10]
}

/// Where numbers have a digit more.
fn powers() -> impl Iterator<Item = u64> {
    (0..11).flat_map(|digits| [10u64.pow(digits) - 1, 10u64.pow(digits)])
}

/// Values for a kind; and more of them, that only the reader looks at.
fn values(kind: Kind) -> (Vec<String>, Vec<String>) {
    let mut values: Vec<String> = ANY.iter().map(ToString::to_string).collect();
    let mut more = Vec::new();
    match kind {
        Kind::Number(least) => {
            values.extend(about(least, u32::MAX).map(|n| n.to_string()));
            more.extend(powers().map(|n| n.to_string()));
        }
        Kind::NumberOf(numbers) => values.extend(numbers.iter().flat_map(|&n| about(n, n)).map(|n| n.to_string())),
        Kind::Span(least, most) => {
            for (unit, seconds) in [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)] {
                let numbers = about(least.div_ceil(seconds), most / seconds);
                values.extend(numbers.map(|n| format!("\"{n}{unit}\"")));
                more.extend(numbers.into_iter().chain(powers()).map(|n| format!("\"00{n}{unit}\"")));
            }
            let odd = ["15", "1w", "1.5h", "-3s", "+3s", "15 m", "s", "1S", "1s ", "15ms"];
            values.extend(odd.map(|text| format!("\"{text}\"")));
        }
        Kind::OneOf(names) => values.extend(names.iter().flat_map(|name| {
            [name.to_string(), name.to_uppercase(), name.to_lowercase(), format!("{name} ")]
                .map(|name| format!("\"{name}\""))
        })),
        Kind::Name => values.extend([64, 65].map(|length| format!("\"{}\"", "a".repeat(length)))),
        Kind::Text | Kind::Share | Kind::Switch | Kind::Secret | Kind::Path | Kind::Paths | Kind::Texts => {}
    }
    (values, more)
}

fn has_bounds(kind: Kind) -> bool {
    !matches!(kind, Kind::Text | Kind::Path | Kind::Paths | Kind::Texts | Kind::Secret | Kind::Switch)
}

/// Whether a refusal is about this setting beside another one, or about what both are for.
fn names_another(words: &str, setting: &str) -> bool {
    let is_own = words.contains(&format!("{setting}: "));
    let others: Vec<String> = keys::ALL.iter().map(|key| key.path.replace('*', "device")).collect();
    let mut words = words.split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)));
    !is_own || words.any(|word| word != setting && others.iter().any(|other| word == other))
}

#[test]
fn the_schema_takes_what_the_reader_takes_for_each_setting() {
    let (scene, schema) = (Scene::new("accepted"), serde_json::from_str(SETTINGS).unwrap());
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    for key in keys::ALL {
        let (judged, more) = values(key.kind);
        for (value, is_judged) in
            judged.iter().map(|value| (value, true)).chain(more.iter().map(|value| (value, false)))
        {
            let mut table = scene.good();
            put(&mut table, key.path, scene::value(value));
            let loaded = scene.load(&table);
            let by_schema = accepts(&schema, &serde_json::to_value(&table).unwrap());
            // What stands in files, or beside another setting, which is named then, no schema tells; the form and its bounds it does.
            let mut words = match &loaded {
                Err(error) => vec![error.message().to_owned()],
                Ok(loaded) if is_judged && has_bounds(key.kind) => {
                    judge(loaded).into_iter().filter(|one| one.fails).map(|one| one.words).collect()
                }
                Ok(_) => Vec::new(),
            };
            words.retain(|words| !by_schema || !names_another(words, &key.path.replace('*', "device")));
            if by_schema != words.is_empty() {
                wrong.push(format!("{} = {value}: schema {by_schema}, reader {words:?}", key.path));
            }
            if by_schema { taken += 1 } else { refused += 1 }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(taken > 500 && refused > 3000, "{taken} {refused}");
}

#[test]
fn the_schema_takes_the_names_that_the_reader_takes_and_asks_for_what_belongs_together() {
    let (scene, schema): (_, Value) = (Scene::new("accepted-names"), serde_json::from_str(SETTINGS).unwrap());
    let both = |text: &str| {
        let table: toml::Table = text.parse().unwrap();
        let by_schema = accepts(&schema, &serde_json::to_value(&table).unwrap());
        let loaded = scene.load(&table);
        assert_eq!(by_schema, loaded.is_ok(), "{text}: {:?}", loaded.err().map(|e| e.to_string()));
        by_schema
    };
    let longest = "a".repeat(64);
    for name in ["device", "a", "_", "7", "A-b_c", &longest] {
        assert!(both(&format!("[identity.\"{name}\"]\nsubject = \"CN=a\"\n")), "{name}");
    }
    for name in ["", "-a", ".a", "a.b", "a b", "a/b", "\u{e9}", &format!("{longest}a")] {
        assert!(!both(&format!("[identity.\"{name}\"]\nsubject = \"CN=a\"\n")), "{name}");
    }
    for text in [
        "[sa]\nserver = \"x\"\n",
        "[ca]\nsever = \"x\"\n",
        "[ca]\nlogin = []\n",
        "[identity]\na = 1\n",
        "[identity.a]\nexport = [1]\n",
        "[[identity.a.export]]\nlayout = \"pem\"\n",
        "[[identity.a.export]]\nfolder = \"/x\"\n",
        "[[ca.general-info]]\nhex = \"0500\"\n",
        "[identity.a.hardware-module]\ntype = \"1.2.3\"\n",
        "[ca.proxy]\nuser = \"me\"\n",
    ] {
        assert!(!both(text), "{text}");
    }
    assert!(both("[[identity.a.export]]\nlayout = \"pem\"\nfolder = \"/x\"\n[[ca.general-info]]\noid = \"1.2.3\"\n"));
    assert!(both(""));
}
