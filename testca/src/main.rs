//! The test CA as a program: see `--help` and docs/testca.md.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use devid_testca::coap::{CoapOptions, CoapServer};
use devid_testca::server::system_time;
use devid_testca::tls::{TlsOptions, TlsServer};
use devid_testca::{KeyType, Knobs, Options, RaMode, RaServer, Server, TestCa};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("devid-testca: {text}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let mut options = Options::default();
    let mut knobs = Knobs::default();
    let (mut is_tls, mut is_mutual_tls, mut is_coap) = (false, false, false);
    let (mut port, mut directory, mut until_stdin_closes) = (0u16, None::<PathBuf>, false);
    let mut ra_mode = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument.clone(), None),
        };
        let mut value = || inline.clone().or_else(|| arguments.next()).ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--help" | "-h" => {
                print!("{}", help());
                return Ok(());
            }
            "--port" => port = value()?.parse().map_err(|_| "--port needs a number".to_owned())?,
            "--dir" => directory = Some(value()?.into()),
            "--tls" => is_tls = true,
            "--coap" => is_coap = true,
            "--tls-client-auth" => (is_tls, is_mutual_tls) = (true, true),
            "--until-stdin-closes" => until_stdin_closes = true,
            "--ra" => {
                let name = value()?;
                let mode = RaMode::from_name(&name).ok_or(format!("--ra: {name} is no way to pass requests on"))?;
                ra_mode = Some(mode);
            }
            "--ca-key" => options.ca_key = key_type(&value()?)?,
            "--signer-key" => options.signer_key = key_type(&value()?)?,
            "--secret" => {
                let text = value()?;
                let (reference, secret) = text.split_once(':').ok_or("--secret needs REFERENCE:SECRET")?;
                if secret.is_empty() {
                    return Err("--secret: the secret is empty".to_owned());
                }
                options.secrets = vec![(reference.to_owned(), secret.as_bytes().to_vec())];
            }
            _ => match name.strip_prefix("--") {
                Some(knob) => knobs.set(knob, inline.as_deref().unwrap_or(""))?,
                None => return Err(format!("unknown argument {argument}; see --help")),
            },
        }
    }
    let mut ca = TestCa::new(options);
    ca.knobs = knobs;
    let server = Server::start_at(ca, port).map_err(|e| format!("port {port}: {e}"))?;
    let ra = match ra_mode {
        Some(mode) => {
            let ra = server.with(|ca| ca.ra(mode, system_time()));
            Some(RaServer::start(ra, &server.cmp_url()).map_err(|e| format!("the RA: {e}"))?)
        }
        None => None,
    };
    let ra_shown = ra.as_ref().map_or_else(String::new, |ra| format!(",\"ra\":\"{}\"", ra.cmp_url()));
    let shown = match &directory {
        Some(directory) => {
            server.with(|ca| ca.write_material(directory)).map_err(|e| format!("{}: {e}", directory.display()))?;
            format!(",\"dir\":{:?}", directory.display().to_string())
        }
        None => String::new(),
    };
    let options = server.with(|ca| TlsOptions {
        client_anchors: match is_mutual_tls {
            true => vec![ca.root.certificate.clone(), ca.supplier_root.certificate.clone()],
            false => Vec::new(),
        },
        ..TlsOptions::default()
    });
    // Kept until the end: it stops when it is dropped.
    let tls = is_tls.then(|| TlsServer::start(&server, options)).transpose().map_err(|e| format!("HTTPS: {e}"))?;
    let https = tls.as_ref().map_or_else(String::new, |tls| format!(",\"https\":\"{}\"", tls.url()));
    let coap = is_coap.then(|| CoapServer::start(&server, CoapOptions::default())).transpose();
    let coap = coap.map_err(|e| format!("CoAP: {e}"))?;
    let coap_shown = coap.as_ref().map_or_else(String::new, |coap| format!(",\"coap\":\"{}\"", coap.url()));
    let url = server.url();
    println!(
        "{{\"ready\":true,\"port\":{},\"url\":\"{url}\",\"cmp\":\"{url}/cmp\",\"ocsp\":\"{url}/ocsp\",\"crl\":\"{url}/crl/issuing.crl\",\"control\":\"{url}/control\"{https}{coap_shown}{ra_shown}{shown}}}",
        server.port()
    );
    io::stdout().flush().map_err(|e| e.to_string())?;
    if until_stdin_closes {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

fn key_type(name: &str) -> Result<KeyType, String> {
    KeyType::from_name(name).ok_or_else(|| format!("{name} is none of p256, p384, rsa2048, ed25519"))
}

fn help() -> String {
    let mut text = String::from(
        "devid-testca: a certification authority for tests: CMP, CRL and OCSP over HTTP on 127.0.0.1\n\n\
         Prints one line of JSON when it is ready and runs until it is killed.\n\n\
         --port N                listen there; 0 (default) lets the system choose\n\
         --dir DIR               write roots, an IDevID, peers, CRLs and a secret into DIR\n\
         --secret REF:SECRET     the reference value and its secret (4711:correct-horse-battery-staple)\n\
         --ca-key TYPE           keys of the CAs: p256, p384, rsa2048, ed25519\n\
         --signer-key TYPE       key of the CMP signer\n\
         --ra WAY                an RA in front of the CA, with a URL of its own (\"ra\" in the line of JSON); it passes\n\
         \x20                       requests on as WAY says: forward, nested, batch, replace, ra-verified\n\
         --tls                   HTTPS too, on another port, by a certificate of the issuing CA for localhost\n\
         --tls-client-auth       the same, for clients with a certificate of the supplier or the operator only\n\
         --coap                  CoAP too, on a UDP port (\"coap\" in the line of JSON)\n\
         --until-stdin-closes    stop when standard input closes\n\n\
         Paths: POST /cmp, /pkix/, /.well-known/cmp...; POST and GET /ocsp; GET /crl/issuing.crl, /crl/root.crl,\n\
         /ca/issuing.crt, /ca/root.crt; POST /control with lines KNOB=VALUE, reset, forget, revoke=SERIAL[,REASON],\n\
         secret=REF:SECRET, secret-octets=HEX:SECRET; GET /control tells what was received.\n\n\
         Knobs, as --KNOB[=VALUE] here or KNOB=VALUE at /control, with their defaults:\n",
    );
    for (name, default, meaning) in Knobs::table() {
        text.push_str(&format!("  {name} [{default}]\n      {meaning}\n"));
    }
    text
}
