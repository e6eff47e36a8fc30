//! `config`: the settings themselves.

use serde_json::{Value, json};

use super::settings_schema;
use crate::arguments::{Arguments, Config, ConfigAction};
use crate::failure::{Exit, Failure};
use crate::output::{Output, print};
use crate::settings::{Loaded, judge, keys};

pub fn run(command: &Config, arguments: &Arguments, output: Output) -> Result<Exit, Failure> {
    let loaded = || arguments.load();
    match &command.action {
        ConfigAction::Show => {
            let loaded = loaded()?;
            let table = loaded.shown();
            let text = toml::to_string_pretty(&table).map_err(|e| Failure::settings(e.to_string()))?;
            output.result("config show", &text, json!({ "files": loaded.files, "settings": table }));
        }
        ConfigAction::Check => return check(&loaded()?, output),
        ConfigAction::Explain { key: None } => explain_all(keys::ALL.iter().collect(), output),
        ConfigAction::Explain { key: Some(table) } if keys::within(table).next().is_some() => {
            explain_all(keys::within(table).collect(), output);
        }
        ConfigAction::Explain { key: Some(name) } => {
            let key = keys::find(name).ok_or_else(|| {
                let near = keys::nearest(name).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                Failure::usage(format!("unknown setting {name}{near}"))
            })?;
            let mut text =
                format!("{}\n  {}\n  value:   {}\n  default: {}", key.path, key.meaning, key.kind.words(), key.default);
            if key.needs != keys::Need::Nothing {
                text += &format!("\n  needs:   {}", key.needs.words());
            }
            output.result("config explain", &text, told(key));
        }
        ConfigAction::Schema { output: false } => print(&format!("{:#}\n", settings_schema::schema())),
        ConfigAction::Schema { output: true } => print(OUTPUT_SCHEMA),
    }
    Ok(Exit::Done)
}

fn explain_all(settings: Vec<&keys::Key>, output: Output) {
    let rows: Vec<String> = settings.iter().map(|key| format!("{:<40} {}", key.path, key.meaning)).collect();
    let all: Vec<Value> = settings.into_iter().map(told).collect();
    output.result("config explain", &rows.join("\n"), json!({ "settings": all }));
}

/// Everything that is wrong, by the door that enrolment goes through. What fails later for the settings' sake fails here.
fn check(loaded: &Loaded, output: Output) -> Result<Exit, Failure> {
    let files: Vec<String> = loaded.files.iter().map(|path| path.display().to_string()).collect();
    let from = if files.is_empty() { "no settings file; defaults and options".to_owned() } else { files.join(", ") };
    let judged = judge(loaded);
    let (wrong, doubtful): (Vec<_>, Vec<_>) = judged.iter().partition(|one| one.fails);
    if let [first, more @ ..] = &wrong[..] {
        let mut words = format!("{from}: {}", first.words);
        words.extend(more.iter().map(|one| format!("\n  and {}", one.words)));
        words.extend(doubtful.iter().map(|one| format!("\n  warning: {}", one.words)));
        return Err(Failure::settings(words));
    }
    let mut lines = vec![if files.is_empty() { format!("{from} are good") } else { format!("{from}: good") }];
    lines.extend(doubtful.iter().map(|one| format!("warning: {}", one.words)));
    let warnings: Vec<&str> = doubtful.iter().map(|one| one.words.as_str()).collect();
    output.result("config check", &lines.join("\n"), json!({ "files": files, "warnings": warnings }));
    Ok(Exit::Done)
}

/// JSON Schema of what commands print with `--json`.
const OUTPUT_SCHEMA: &str = include_str!("../../../docs/schema/output.json");

fn told(key: &keys::Key) -> Value {
    let needs = (key.needs != keys::Need::Nothing).then(|| key.needs.words());
    json!({ "key": key.path, "meaning": key.meaning, "value": key.kind.words(), "default": key.default, "needs": needs })
}
