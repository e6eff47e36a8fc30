//! `request` and `import`: enrolment without a network.

use devid::client::run::system_time;
use devid::client::{Import, RequestOptions, request_into, warnings_of};
use devid::cmp::Difference;
use devid::cms::Pkcs12;
use devid::cms::pkcs12::is_pkcs12;
use devid::crypto::default_provider;
use devid::store::Identity;
use devid::validation::TrustAnchors;
use serde_json::json;

use super::{hooks, status};
use crate::arguments::{Import as ImportCommand, Request};
use crate::device::{Device, read_file, subject};
use crate::failure::{Exit, Failure};
use crate::output::{Output, of_others};
use crate::settings::{Settings, Source};

/// A PKCS#10 request; its key is kept before it goes out.
pub fn request(command: &Request, device: &Device, output: Output) -> Result<Exit, Failure> {
    let name = device.name(command.name.as_deref())?;
    let identity = device.identity(&name);
    let _busy = device.busy(&name, "devid request")?;
    // The same request again, if it is out: two keys for one name would fit no certificate for sure.
    let request = match device.store.pending_request(&name)? {
        Some(request) => request,
        None => {
            let subject = subject(device, &name)?;
            let key = device.new_key(&name, &identity)?;
            let to = device.destination(&name, &identity);
            request_into(to, &key, None, &subject, &RequestOptions::default())?
        }
    };
    let text = request.to_pem();
    match &command.output {
        Some(path) => {
            std::fs::write(path, &text).map_err(|e| Failure::file(path, &e))?;
            output.result("request", "", json!({ "name": name, "file": path }));
        }
        None => output.result("request", &text, json!({ "name": name, "pem": text })),
    }
    output.say(&format!("{name}: the key waits in device memory; devid import takes the certificate"));
    Ok(Exit::Done)
}

/// Whether the file brings the factory's identity: under its name, which no identity of the settings has.
pub fn is_factory(command: &ImportCommand, settings: &Settings) -> bool {
    let factory = settings.factory_name();
    command.name.as_deref() == Some(factory) && !settings.identity.contains_key(factory)
}

/// The factory's identity comes with its key. Its maker's PKI is not the owner's, so no enrolment anchor stands above it: whoever puts it in
/// vouches for what is in the file, as `init` has it.
fn factory_anchors(input: &[u8], password: Option<&str>) -> Result<TrustAnchors, Failure> {
    let Some(password) = password.filter(|_| is_pkcs12(input)) else {
        let words = "the factory's identity comes with its key: a PKCS#12 file and --password are expected";
        return Err(Failure::Own(Exit::Input, words.to_owned()));
    };
    let held = Pkcs12::open(&*default_provider(), input, password).map_err(devid::Error::from)?.certificates;
    let mut anchors = TrustAnchors::new();
    let (tops, rest): (Vec<_>, Vec<_>) = held.into_iter().partition(|one| one.is_self_issued());
    // Without a root the certificates are all there is to go by.
    let all = if tops.is_empty() { rest } else { tops };
    all.into_iter().for_each(|anchor| anchors.add(anchor));
    Ok(anchors)
}

/// Takes it into device memory; how it differs from what was asked for.
pub fn take_in(command: &ImportCommand, device: &Device) -> Result<(Identity, Vec<Difference>), Failure> {
    let password =
        command.password.as_deref().map(Source::parse).transpose().map_err(|e| Failure::usage(e.message()))?;
    let password = password.map(|source| source.read_password("the password of the file")).transpose()?;
    let mut config = device.config(false)?;
    let input = read_file(&command.file)?;
    let mut identity_of_factory = None;
    if is_factory(command, &device.settings) {
        config.enrolment_anchors = factory_anchors(&input, password.as_ref().map(|password| password.as_str()))?;
        identity_of_factory = Some("idevid");
    }
    let named = command.name.clone().or_else(|| device.name(None).ok());
    let identity = device.identity(named.as_deref().unwrap_or_default());
    let _busy = named.as_deref().map(|name| device.busy(name, "devid import")).transpose()?;
    let purpose = identity_of_factory.unwrap_or(&identity.purpose);
    let mut import = Import::new(&device.store, &config.enrolment_anchors, purpose, system_time());
    import.intermediates = &config.intermediates;
    import.acceptance = config.acceptance;
    import.checks.allow_weak = config.tolerance.allow_weak;
    import.name = command.name.as_deref();
    import.password = password.as_ref().map(|password| password.as_str());
    Ok(import.run_telling(&input)?)
}

/// A certificate that came back.
pub fn import(command: &ImportCommand, device: &Device, output: Output) -> Result<Exit, Failure> {
    let (kept, differences) = take_in(command, device)?;
    for difference in &differences {
        output.say(&format!("  differs from the request: {difference}"));
    }
    let warnings = warnings_of(&kept);
    for warning in &warnings {
        output.say(&format!("  warning: {}", of_others(warning)));
    }
    let behind = hooks::behind(device, &kept.name, &hooks::Failed::new(), output);
    let mut document = status::document(device, &kept.name)?;
    document["did"] = json!("installed");
    document["exports"] = behind.exports;
    output.result(
        "import",
        &status::line(device, &kept.name)?,
        json!({ "changed": true, "identities": [document], "warnings": warnings }),
    );
    Ok(if behind.is_good { Exit::Done } else { Exit::Hook })
}
