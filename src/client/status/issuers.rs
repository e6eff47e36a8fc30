//! Missing issuers by caIssuers (RFC 5280 section 4.2.2.1): candidates for the path, no more trusted than a peer's own.

use super::gather::{Hand, Want};
use super::requests::Requests;
use super::{CertificateQuery, StatusFetcher, StatusQuestion, Wanted};
use crate::asn1::distribution_point::ca_issuers_urls;
use crate::asn1::name::display;
use crate::asn1::x509::Certificate;
use crate::codes::Code;
use crate::error::Error;
use crate::validation::{Checks, Report, StatusSources, same_name, validate};

/// Most documents fetched to complete a path; the deepest PKIs in use have five certificates.
const MAX_DOCUMENTS: usize = 8;
/// Most certificates of the pool that are followed upwards.
const MAX_FOLLOWED: usize = 32;

/// A place that was asked for the issuer of a certificate.
#[derive(Clone)]
pub(super) struct Asked {
    certificate: Certificate,
    url: String,
}

impl StatusFetcher {
    /// Fetches issuers one by one until there is a path, or none more to ask for. Only where the issuer's name is not
    /// among the certificates at hand: a path that fails for another reason asks nobody. What is kept helps to find a path and
    /// stands in nobody's way: where none is found with it, or only by what was revoked meanwhile, it counts as not at hand, and
    /// its place is asked once.
    pub(super) fn find_issuers(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        question: &StatusQuestion<'_>,
        trusted: &Checks,
        mut found: Report,
    ) -> Report {
        while !found.is_valid() {
            let sources = |certificate: &Certificate| self.issuer_urls(certificate);
            let is_missing = found.error().is_some_and(|error| error.code() == Code::NoPath);
            let missing = match is_missing && hand.asked.len() < MAX_DOCUMENTS {
                true => next_missing(question, &hand.usable(), &hand.asked, &sources),
                false => None,
            };
            let came = match missing {
                Some(missing) => {
                    hand.asked.push(missing.clone());
                    self.ask_issuer(requests, hand, question, &missing, false)
                }
                // What was not kept was asked for already.
                None => {
                    let Some(kept) = hand.asked.get(hand.asked_anew).cloned() else { break };
                    hand.asked_anew += 1;
                    self.ask_issuer(requests, hand, question, &kept, true)
                }
            };
            if came {
                let none = StatusSources::none();
                found = validate(&*self.provider, question.anchors, question.leaf, &hand.usable(), &none, trusted);
            }
        }
        found
    }

    /// Gets one document to hand; `anew`: where only a kept one is. Whether one came.
    fn ask_issuer(
        &mut self,
        requests: &mut Requests<'_>,
        hand: &mut Hand,
        question: &StatusQuestion<'_>,
        asked: &Asked,
        anew: bool,
    ) -> bool {
        let Asked { certificate, url } = asked;
        let want = Want { wanted: Wanted::Issuer, url, index: None, certificate, request: None, anew };
        let before = hand.pool.len();
        self.obtain(requests, hand, question.checks, &want) && (!anew || hand.pool.len() > before)
    }

    /// Where the issuer of a certificate may be found.
    fn issuer_urls(&self, certificate: &Certificate) -> Vec<String> {
        let subject = CertificateQuery::Subject(certificate.issuer());
        let store = self.options.certificate_store.as_ref();
        let mut urls: Vec<String> =
            store.and_then(|store| subject.url(&*self.provider, store).ok()).into_iter().collect();
        if self.options.issuers {
            urls.extend(ca_issuers_urls(certificate));
        }
        urls
    }
}

/// A certificate on the way up from the leaf whose issuer is not at hand, and a URL of it that was not asked yet.
fn next_missing(
    question: &StatusQuestion<'_>,
    pool: &[Certificate],
    asked: &[Asked],
    sources: &dyn Fn(&Certificate) -> Vec<String>,
) -> Option<Asked> {
    let mut followed: Vec<&Certificate> = vec![question.leaf];
    let mut next = 0;
    while next < followed.len() && next < MAX_FOLLOWED {
        let certificate = followed[next];
        next += 1;
        if same_name(certificate.subject(), certificate.issuer())
            || question.anchors.iter().any(|anchor| same_name(anchor.subject(), certificate.issuer()))
        {
            continue;
        }
        let issuers: Vec<&Certificate> =
            pool.iter().filter(|c| same_name(c.subject(), certificate.issuer())).take(MAX_FOLLOWED).collect();
        if issuers.is_empty() {
            let is_new = |url: &String| asked.iter().all(|asked| asked.url != *url);
            if let Some(url) = sources(certificate).into_iter().find(is_new) {
                return Some(Asked { certificate: certificate.clone(), url });
            }
        }
        for issuer in issuers {
            if !followed.contains(&issuer) {
                followed.push(issuer);
            }
        }
    }
    None
}

/// Whether the issuer is among the certificates that came.
pub(super) fn check_issuers(certificate: &Certificate, came: &[Certificate]) -> Result<(), Error> {
    if came.iter().any(|c| same_name(c.subject(), certificate.issuer())) {
        return Ok(());
    }
    let found = came.first().map_or_else(|| "none".to_owned(), |c| format!("that of {}", display(c.subject())));
    let text = format!("expected the certificate of {}, found {found}", display(certificate.issuer()));
    Err(Error::new(Code::NoPath, text))
}
