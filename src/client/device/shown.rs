//! Settings as they may be shown to people.

use toml::Value;

use super::loading::Loaded;
use crate::words;

impl Loaded {
    /// What is set, without a login or a PIN in a URI: who has put one there is told so elsewhere, and not by repeating it.
    pub fn shown(&self) -> toml::Table {
        self.table.iter().map(|(name, value)| (name.clone(), shown(value))).collect()
    }
}

fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(words::uri(text)),
        Value::Array(items) => Value::Array(items.iter().map(shown).collect()),
        Value::Table(table) => Value::Table(table.iter().map(|(name, value)| (name.clone(), shown(value))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_login_and_no_pin_is_shown_at_any_depth() {
        let text = r#"
            [ca]
            server = "http://user:geheim@ca.example/pkix"
            [[peers.list]]
            places = ["pkcs11:token=a;object=b?pin-value=geheim", "CN=a"]
        "#;
        let table: toml::Table = toml::from_str(text).unwrap();
        let shown = shown(&Value::Table(table)).to_string();
        assert!(!shown.contains("geheim"), "{shown}");
        assert!(shown.contains("ca.example/pkix") && shown.contains("object=b") && shown.contains("CN=a"), "{shown}");
    }
}
