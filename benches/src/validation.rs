//! Chain validation: leaf, intermediate, root; plain, with small CRLs, with a big CRL in the store; OCSP responses.

use std::sync::Arc;
use std::time::Duration;

use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::status::{CrlSubject, StatusMemory, keep_crl};
use devid::crypto::default_provider;
use devid::store::Store;
use devid::time::Time;
use devid::validation::revocation::check_path;
use devid::validation::{
    Checks, Crl, OcspResponse, PeerName, PeerRequest, Purpose, RevocationPolicy, RevocationScope, StatusSources,
    TrustAnchors, validate,
};
use rustls_pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use serde_json::{Value, json};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList, RevocationCheckDepth,
    RevocationOptionsBuilder, anchor_from_trusted_cert, ring,
};

use crate::clock::{Runner, as_json, in_turns, system_time};
use crate::crl::make_crl;
use crate::openssl::{Item, KeyType, Pki};
use crate::{Result, Settings};

const BATCH: u32 = 20;
pub const PEER: &str = "peer.example";

pub fn measure(settings: &Settings) -> Result<Value> {
    let mut rows = Vec::new();
    let mut repeated = Vec::new();
    for key_type in KeyType::ALL {
        let pki = settings.server().make_pki(key_type)?;
        let root_crl = make_crl(&pki, Item::Root, Item::RootKey, 3)?;
        let issuing_crl = make_crl(&pki, Item::Issuing, Item::IssuingKey, 3)?;
        let small = [&issuing_crl[..], &root_crl[..]];
        let mut keep = |what: &str, medians: Vec<(String, f64)>| {
            eprintln!("validate {} {what}: {medians:?}", key_type.name());
            rows.push(json!({ "key": key_type.name(), "what": what, "microseconds": as_json(&medians) }));
        };
        keep("chain", from_der(settings, &pki, &[])?);
        keep("chain and two CRLs", from_der(settings, &pki, &small)?);
        keep("chain, store kept", from_store(settings, &pki, &[])?);
        keep("chain, store kept with two CRLs", from_store(settings, &pki, &small)?);
        if key_type == KeyType::P256 {
            let big = make_crl(&pki, Item::Issuing, Item::IssuingKey, 100_000)?;
            keep("chain, store kept with a CRL of 100,000 entries", from_store(settings, &pki, &[&big, &root_crl])?);
            let lists: [(&str, &[&[u8]]); 3] =
                [("none", &[]), ("small", &small), ("100,000 entries", &[&big, &root_crl])];
            repeated = repeated_alone(settings, &pki, &lists)?;
        }
        keep("chain, status from device memory", from_device_memory(settings, &pki, &small)?);
        keep("OCSP response signed by the CA", ocsp(settings, &pki, Item::OcspByCa)?);
        keep("OCSP response, delegated responder", ocsp(settings, &pki, Item::OcspDelegated)?);
    }
    Ok(json!({ "rounds": settings.rounds(100), "batch": BATCH, "rows": rows, "repeated": as_json(&repeated) }))
}

/// Everything decoded anew each time.
fn from_der(settings: &Settings, pki: &Pki, crls: &[&[u8]]) -> Result<Vec<(String, f64)>> {
    let provider = default_provider();
    let chain = pki.chain();
    let checks = tls_checks(!crls.is_empty());
    let now = system_time();
    let mut candidates = vec![
        Runner::batch("devid", BATCH, || {
            let [leaf, issuing, root] = chain.map(Certificate::from_der);
            let mut anchors = TrustAnchors::new();
            anchors.add(root?);
            let crls = crls.iter().map(|der| Ok(Arc::new(Crl::from_der(der.to_vec())?))).collect::<Result<_>>()?;
            let status = StatusSources { crls, ..StatusSources::none() };
            let report = validate(&*provider, &anchors, &leaf?, &[issuing?], &status, &checks);
            report.error().map_or(Ok(()), |error| Err(error.into()))
        }),
        Runner::batch("rustls-webpki", BATCH, || {
            let crls = crls.iter().map(|der| Ok(OwnedCertRevocationList::from_der(der)?.into()));
            let crls: Vec<CertRevocationList<'_>> = crls.collect::<Result<_>>()?;
            Webpki::new(pki)?.check(&crls.iter().collect::<Vec<_>>(), RevocationCheckDepth::Chain)
        }),
    ];
    for openssl in &settings.openssl {
        let chain = &chain;
        candidates.push(Runner::batch(&openssl.name, BATCH, move || openssl.validate(chain, crls, now.unix())));
    }
    in_turns(settings.rounds(100), &mut candidates)
}

/// Our validation with root, intermediate and CRLs kept from one to the next; the leaf comes anew.
fn ours_kept<'a>(name: &str, pki: &'a Pki, crls: &[&[u8]]) -> Result<Runner<'a>> {
    let provider = default_provider();
    let chain = pki.chain();
    let checks = tls_checks(!crls.is_empty());
    let mut anchors = TrustAnchors::new();
    anchors.add(Certificate::from_der(chain[2])?);
    let pool = [Certificate::from_der(chain[1])?];
    let kept = crls.iter().map(|der| Ok(Arc::new(Crl::from_der(der.to_vec())?))).collect::<Result<_>>()?;
    let status = StatusSources { crls: kept, ..StatusSources::none() };
    Ok(Runner::batch(name, BATCH, move || {
        let leaf = Certificate::from_der(chain[0])?;
        let report = validate(&*provider, &anchors, &leaf, &pool, &status, &checks);
        report.error().map_or(Ok(()), |error| Err(error.into()))
    }))
}

/// What CRLs cost a store that is kept, in turns with nobody else: the rivals, which read a list of 4 MB from end to end
/// each time, leave nothing of ours in the processor's caches.
fn repeated_alone(settings: &Settings, pki: &Pki, lists: &[(&str, &[&[u8]])]) -> Result<Vec<(String, f64)>> {
    let runners = lists.iter().map(|(name, crls)| ours_kept(name, pki, crls));
    in_turns(settings.rounds(100), &mut runners.collect::<Result<Vec<_>>>()?)
}

/// Root, intermediate and CRLs kept, by us and the rivals in turns.
fn from_store(settings: &Settings, pki: &Pki, crls: &[&[u8]]) -> Result<Vec<(String, f64)>> {
    let chain = pki.chain();
    let now = system_time();
    let kept = crls.iter().map(|der| Ok(OwnedCertRevocationList::from_der(der)?.into()));
    let kept: Vec<CertRevocationList<'_>> = kept.collect::<Result<_>>()?;
    let kept: Vec<&CertRevocationList<'_>> = kept.iter().collect();
    let mut candidates = vec![
        ours_kept("devid", pki, crls)?,
        Runner::batch("rustls-webpki", BATCH, || Webpki::new(pki)?.check(&kept, RevocationCheckDepth::Chain)),
    ];
    for openssl in &settings.openssl {
        let store = openssl.make_store(&chain, crls)?;
        let leaf = chain[0];
        candidates.push(Runner::batch(&openssl.name, BATCH, move || store.validate(leaf, now.unix())));
    }
    in_turns(settings.rounds(100), &mut candidates)
}

/// The same with CRLs that were fetched before and wait in device memory, and the peer's key opened behind the verdict.
fn from_device_memory(settings: &Settings, pki: &Pki, crls: &[&[u8]]) -> Result<Vec<(String, f64)>> {
    let provider = default_provider();
    let chain = pki.chain();
    let checks = tls_checks(true);
    let now = system_time();
    let mut anchors = TrustAnchors::new();
    anchors.add(Certificate::from_der(chain[2])?);
    let pool = [Certificate::from_der(chain[1])?];
    let store = Arc::new(Store::in_memory(provider.clone()));
    let leaf = Certificate::from_der(chain[0])?;
    for (certificate, crl) in [&leaf, &pool[0]].into_iter().zip(crls) {
        keep_crl(
            &provider,
            &store,
            crl,
            &CrlSubject { certificate, intermediates: &pool, anchors: &anchors, at: now },
        )?;
    }
    let memory = Arc::new(StatusMemory::new(provider.clone(), Some(store)));
    let none = StatusSources::none();
    let kept = crls.iter().map(|der| Ok(OwnedCertRevocationList::from_der(der)?.into()));
    let kept: Vec<CertRevocationList<'_>> = kept.collect::<Result<_>>()?;
    let kept: Vec<&CertRevocationList<'_>> = kept.iter().collect();
    let mut candidates = vec![
        Runner::batch("devid", BATCH, || {
            let leaf = Certificate::from_der(chain[0])?;
            let request = PeerRequest {
                anchors: &anchors,
                certificate: &leaf,
                pool: &pool,
                status: &none,
                checks: checks.clone(),
                purpose: Purpose::For(checks.extended_key_usages.clone()),
                names: checks.names.clone(),
                use_until: None,
            };
            let (report, peer) = memory.open_peer(&provider, request)?;
            match (report.error(), peer) {
                (None, Some(_)) => Ok(()),
                (error, _) => Err(format!("{error:?}").into()),
            }
        }),
        Runner::batch("rustls-webpki", BATCH, || Webpki::new(pki)?.check(&kept, RevocationCheckDepth::Chain)),
    ];
    for openssl in &settings.openssl {
        let store = openssl.make_store(&chain, crls)?;
        let leaf = chain[0];
        candidates.push(Runner::batch(&openssl.name, BATCH, move || store.validate(leaf, now.unix())));
    }
    in_turns(settings.rounds(100), &mut candidates)
}

/// Leaf, issuer and response decoded, the response verified, its answer for the leaf taken. webpki has no OCSP.
fn ocsp(settings: &Settings, pki: &Pki, response: Item) -> Result<Vec<(String, f64)>> {
    let provider = default_provider();
    let chain = pki.chain();
    let response = pki.item(response);
    let mut checks = Checks::at(system_time());
    checks.revocation = RevocationPolicy { scope: RevocationScope::LeafOnly, ..RevocationPolicy::hard_fail() };
    let mut candidates = vec![Runner::batch("devid", BATCH, || {
        let [leaf, issuing, _] = chain.map(Certificate::from_der);
        let path = [leaf?, issuing?];
        let mut anchors = TrustAnchors::new();
        anchors.add(path[1].clone());
        let ocsp = vec![Arc::new(OcspResponse::from_der(response)?)];
        let status = StatusSources { ocsp, ..StatusSources::none() };
        let outcome = check_path(&*provider, &path, &anchors, &[], &status, &checks);
        match outcome.findings.into_iter().find(|finding| finding.fatal) {
            Some(finding) => Err(finding.text.into()),
            None => Ok(()),
        }
    })];
    for openssl in &settings.openssl {
        let chain = &chain;
        candidates.push(Runner::batch(&openssl.name, BATCH, move || openssl.ocsp(chain, response)));
    }
    in_turns(settings.rounds(100), &mut candidates)
}

fn tls_checks(with_status: bool) -> Checks {
    let mut checks =
        Checks::at(system_time()).for_purpose(oid::KP_SERVER_AUTH).with_name(PeerName::Dns(PEER.to_owned()));
    if with_status {
        checks.revocation = RevocationPolicy::hard_fail();
    }
    checks
}

/// rustls-webpki over the ring provider.
pub struct Webpki<'a> {
    leaf: CertificateDer<'a>,
    intermediates: [CertificateDer<'a>; 1],
    root: CertificateDer<'a>,
}

const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[ring::ECDSA_P256_SHA256, ring::RSA_PKCS1_2048_8192_SHA256];

impl<'a> Webpki<'a> {
    pub fn new(pki: &'a Pki) -> Result<Self> {
        let [leaf, issuing, root] = pki.chain().map(CertificateDer::from);
        Ok(Webpki { leaf, intermediates: [issuing], root })
    }

    pub fn check_leaf_by(&self, crl: &CertRevocationList<'_>) -> Result<()> {
        self.check(&[crl], RevocationCheckDepth::EndEntity)
    }

    pub fn check(&self, crls: &[&CertRevocationList<'_>], depth: RevocationCheckDepth) -> Result<()> {
        let leaf = EndEntityCert::try_from(&self.leaf)?;
        let anchors = [anchor_from_trusted_cert(&self.root)?];
        let revocation = match crls {
            [] => None,
            crls => Some(RevocationOptionsBuilder::new(crls).map_err(|_| "no CRLs")?.with_depth(depth).build()),
        };
        let now = as_unix_time(system_time());
        let usage = KeyUsage::server_auth();
        leaf.verify_for_usage(ALGORITHMS, &anchors, &self.intermediates, now, usage, revocation, None)?;
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(PEER)?)?;
        Ok(())
    }
}

fn as_unix_time(time: Time) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(time.unix().unsigned_abs()))
}
