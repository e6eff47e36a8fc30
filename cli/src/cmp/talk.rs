//! The transaction: steps, messages in files, waits.

use std::path::{Path, PathBuf};

use devid::asn1::cmp::{BodyType, CertOrEncCert, PkiBody, PkiMessage};
use devid::asn1::name::{Name, display};
use devid::asn1::x509::Certificate;
use devid::client::run::{feed, sleep_unless, system_time};
use devid::client::{Client, Config};
use devid::cmp::{Action, Operation, Signer};
use devid::limits::Limits;
use devid::validation::same_name;
use devid::{Code, Error, Time};

use super::options::{Options, items};
use super::{Cmd, client, results, wanted};
use crate::attendant::{cancel, describe};
use crate::failure::Failure;
use crate::output::{Output, of_others, span};

/// The present, or what -attime says it is.
pub fn now(options: &Options) -> Time {
    options.number("attime").map_or_else(system_time, Time::from_unix)
}

/// What came, in the order of its coming.
#[derive(Default)]
pub struct Heard {
    /// Messages that were believed.
    pub messages: Vec<PkiMessage>,
}

/// Runs an operation to its end and writes what came of it.
pub fn run(
    options: &Options,
    cmd: Cmd,
    config: &Config,
    (client, operation, key): (Client, Operation, Option<Signer>),
    output: Output,
) -> Result<(), Failure> {
    if let Some(path) = options.path("reqout_only") {
        let mut operation = operation;
        operation.step(now(options))?;
        let message = operation.output().ok_or_else(|| Failure::usage("there is no request to write"))?;
        return results::write(&path, message);
    }
    let expected_sender = wanted::name(options, "expect_sender", Output { quiet: true, ..output })?;
    let mut talk = Talk {
        options,
        expected_sender: expected_sender.filter(|name| !name.is_null()),
        config,
        believes: client::believes_the_answer(options, cmd),
        requests: Files::of(options, "reqout"),
        answers: Files::of(options, "rspout"),
        heard: Heard::default(),
        client,
        operation,
        key,
        output,
    };
    talk.go()?;
    results::save(options, cmd, &talk.operation, &talk.heard, config, output)
}

struct Talk<'a> {
    options: &'a Options,
    expected_sender: Option<Name>,
    config: &'a Config,
    /// A certificate is believed to be the CA's because the answer was.
    believes: bool,
    requests: Files,
    answers: Files,
    heard: Heard,
    client: Client,
    operation: Operation,
    key: Option<Signer>,
    output: Output,
}

impl Talk<'_> {
    fn go(&mut self) -> Result<(), Failure> {
        let begun = std::time::Instant::now();
        let most = self.options.number("total_timeout").filter(|seconds| *seconds > 0);
        let mut exchange = self.client.exchange()?;
        loop {
            if let Some(most) = most {
                if begun.elapsed().as_secs() >= most as u64 {
                    return Err(Error::new(Code::Timeout, format!("{most} seconds (-total_timeout) are over")).into());
                }
            }
            match self.operation.step(now(self.options))? {
                Action::Send { message, body } => {
                    self.requests.write(message)?;
                    self.output.say(&format!("sending {body}"));
                    let sent = exchange.exchange(message, self.client.exchange_limits());
                    let reply = sent.map_err(|error| {
                        let error = devid::transport::diagnose(error);
                        self.client.with_path(error.context(&format!("sending {body}")))
                    })?;
                    self.output.say(&format!("received {}", describe(&reply.body).unwrap_or_default()));
                    self.answers.write(&reply.body)?;
                    let came = PkiMessage::from_der(reply.body.clone(), &Limits::default()).ok();
                    came.as_ref().map_or(Ok(()), |came| self.check_sender(came))?;
                    if let (true, Some(came)) = (self.believes, &came) {
                        self.believe_issuer(came)?;
                    }
                    feed(&mut self.operation, &reply)?;
                    self.heard.messages.extend(came);
                }
                Action::Wait { seconds, .. } => {
                    self.output.say(&format!("the CA asks to wait {}", span(u64::from(seconds))));
                    sleep_unless(Some(cancel()), seconds)?;
                }
                // Whoever writes scripts with these options takes what the CA issues, over the right key.
                Action::Accept(issued) => {
                    let differs = issued.differences.iter().map(|one| format!("differs from the request: {one}"));
                    let words: Vec<String> = issued.warnings().into_iter().chain(differs).collect();
                    words.iter().for_each(|words| self.output.say(&format!("warning: {}", of_others(words))));
                    self.operation.accept()?;
                }
                Action::Sign(_) => return Err(Error::new(Code::Signer, "a key signs elsewhere").into()),
                Action::Done(_) => return Ok(()),
            }
        }
    }

    /// `-expect_sender`, where a MAC protects answers and no signer stands for the sender: the client's settings look at signers.
    fn check_sender(&self, came: &PkiMessage) -> Result<(), Failure> {
        let Some(expected) = self.expected_sender.as_ref().filter(|_| self.options.is_on("secret")) else {
            return Ok(());
        };
        let sender = came.sender();
        match sender.as_ref().is_some_and(|sender| same_name(sender, expected.as_der())) {
            true => Ok(()),
            false => {
                let found = sender.map_or("no directoryName".to_owned(), |sender| display(&sender));
                let words = format!("the sender of the answer: expected {expected} (-expect_sender), found {found}");
                Err(Error::new(Code::Protocol, words).into())
            }
        }
    }

    /// Without -out_trusted the issuer that came along becomes the anchor of this one certificate, before the answer is
    /// looked at: whether the answer is believed at all is decided by -trusted, -srvcert or the secret.
    fn believe_issuer(&mut self, came: &PkiMessage) -> Result<(), Failure> {
        let limits = Limits::default();
        if !matches!(came.body_type(), BodyType::IP | BodyType::CP | BodyType::KUP) {
            return Ok(());
        }
        let Ok(PkiBody::CertRep(answer)) = came.body(&limits) else { return Ok(()) };
        let issued = answer.responses.iter().find_map(|response| match &response.certified_key_pair {
            Some(pair) => match &pair.cert_or_enc_cert {
                CertOrEncCert::Certificate(certificate) => Some(certificate.clone()),
                CertOrEncCert::Encrypted(_) | CertOrEncCert::Unreadable { .. } => None,
            },
            None => None,
        });
        let Some(issued) = issued else { return Ok(()) };
        let known = came.extra_certs().iter().chain(&answer.ca_pubs).chain(&self.config.intermediates);
        let issuers: Vec<Certificate> =
            known.filter(|one| same_name(one.subject(), issued.issuer())).cloned().collect();
        if issuers.is_empty() {
            return Ok(());
        }
        let mut config = self.config.clone();
        for issuer in issuers {
            config.enrolment_anchors.add(issuer);
        }
        let saved = self.operation.save()?;
        self.client = config.build()?;
        self.operation = match &self.key {
            Some(key) => self.client.restore(key.clone(), &saved)?,
            None => self.client.restore_keyless(&saved)?,
        };
        // What is restored says first what it has said already; the answer to it is here.
        self.operation.step(now(self.options))?;
        Ok(())
    }
}

/// Names of files, one for each message; the last is used no further.
struct Files(std::vec::IntoIter<PathBuf>);

impl Files {
    fn of(options: &Options, name: &'static str) -> Self {
        let paths: Vec<PathBuf> = options.text(name).into_iter().flat_map(items).map(PathBuf::from).collect();
        Files(paths.into_iter())
    }

    fn write(&mut self, message: &[u8]) -> Result<(), Failure> {
        match self.0.next() {
            Some(path) => results::write(Path::new(&path), message),
            None => Ok(()),
        }
    }
}
