//! An enrolment that waits for approval, as a sequence diagram of what really went over the wire:
//!   cargo run --example trace            in text
//!   cargo run --example trace mermaid    in Mermaid's language
//! The server is the test CA with an RA in front of it, on this machine.

use devid::client::{Config, Subject, Trace, Unattended};
use devid::cmp::{MacParameters, Signer};
use devid::crypto::{KeyKind, default_provider};
use devid_testca::server::system_time;
use devid_testca::{Options, RaMode, RaServer, Server, TestCa};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start(TestCa::new(Options::default()))?;
    let (ra, root) = server.with(|ca| {
        ca.knobs.waiting = 1;
        ca.knobs.poll_reason = "an officer looks at it".to_owned();
        (ca.ra(RaMode::RaVerified, system_time()), ca.root.certificate.clone())
    });
    let ra = RaServer::start(ra, &server.cmp_url())?;

    let mut config = Config::new();
    config.server.url = Some(ra.cmp_url());
    config.enrolment_anchors.add_bytes(&root)?;
    config.protect_with_secret(b"4711", b"correct-horse-battery-staple", MacParameters::PASSWORD_BASED)?;
    let client = config.build()?;
    let key = Signer::Key(default_provider().generate_key(KeyKind::P256)?);
    let mut operation = client.enroll(key, &Subject::new().name("CN=router-7")?)?;

    let mut trace = Trace::over(Unattended);
    let outcome = client.run(&mut operation, &mut trace);
    let error = outcome.as_ref().err();
    match std::env::args().nth(1).as_deref() {
        Some("mermaid") => print!("{}", trace.to_mermaid(error)),
        _ => print!("{}", trace.to_text(error)),
    }
    outcome?;
    Ok(())
}
