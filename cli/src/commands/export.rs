//! `export`: an identity for other software, once. Lasting exports stand in the settings.

use devid::client::certificates::ReadAs;
use serde_json::json;

use crate::arguments::Export;
use crate::device::{Device, read_certificates};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::settings::{self, Source};

pub fn run(command: &Export, device: &Device, output: Output) -> Result<Exit, Failure> {
    let password =
        command.password.as_deref().map(Source::parse).transpose().map_err(|e| Failure::usage(e.message()))?;
    let wanted = settings::Export {
        layout: command.layout.clone(),
        folder: command.folder.clone(),
        anchors: Vec::new(),
        password,
        scrypt: command.scrypt,
        owner: command.owner.clone(),
        then: Vec::new(),
    };
    device.check_known(&command.name)?;
    let mut plan = device.export_of(|key| format!("--{key}"), &wanted)?;
    plan.anchors = read_certificates(&command.anchors, ReadAs::Anchors, output)?;
    let exported = device.store.export(&command.name, &plan)?;
    let files: Vec<String> = exported.files.iter().map(|path| path.display().to_string()).collect();
    output.result("export", &files.join("\n"), json!({ "generation": exported.generation, "files": files }));
    Ok(Exit::Done)
}
