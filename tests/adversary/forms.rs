//! A CA has more certificates than one, and a peer chooses which of them it sends: with the same key in another form, with less
//! in keyUsage, under another anchor. What is held against the peer is held against it under each.

use std::sync::Arc;

use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::client::status::StatusMemory;
use devid::crypto::algorithm::encode_oid;
use devid::crypto::{DigestAlgorithm, KeyKind, SignatureAlgorithm};
use devid::store::Store;
use devid::validation::{Crl, KeyUsage, OcspResponse, RevocationMode, RevocationScope, StatusSources, validate};

use crate::certificates::{Builder, Party, dns, now, provider};
use crate::status::{CrlBuilder, OcspBuilder, Single};
use crate::{MODES, checks};

const DAY: i64 = 86_400;

/// A device with memory, and what it believes.
struct Device {
    anchors: Vec<Party>,
    memory: StatusMemory,
}

impl Device {
    fn new(anchors: &[&Party]) -> Self {
        let store = Arc::new(Store::in_memory(provider().clone()));
        let memory = StatusMemory::new(provider().clone(), Some(store));
        Device { anchors: anchors.iter().map(|party| (*party).clone()).collect(), memory }
    }

    /// The verdict about the first of these, by what is at hand and in memory.
    fn judge(
        &self,
        sent: &[&Party],
        crls: &[&Arc<Crl>],
        ocsp: &[&Arc<OcspResponse>],
        mode: RevocationMode,
    ) -> Option<Code> {
        let anchors = self.anchors.iter().map(|party| party.certificate.clone()).collect();
        let pool: Vec<Certificate> = sent[1..].iter().map(|party| party.certificate.clone()).collect();
        let mut status = StatusSources {
            crls: crls.iter().map(|&crl| crl.clone()).collect(),
            ocsp: ocsp.iter().map(|&ocsp| ocsp.clone()).collect(),
            ..StatusSources::none()
        };
        self.memory.join(&mut status);
        let mut checks = checks(mode);
        checks.revocation.scope = RevocationScope::LeafOnly;
        let report = validate(&**provider(), &anchors, &sent[0].certificate, &pool, &status, &checks);
        report.error().map(|error| error.code())
    }
}

/// A root, and another that certifies the same CA once more; a peer of the CA.
struct Twice {
    roots: [Party; 2],
    ca: Party,
    peer: Party,
}

impl Twice {
    fn new() -> Self {
        let roots = [Party::root("R0"), Party::root("R1")];
        let ca = roots[0].ca("CA");
        Twice { peer: ca.leaf("peer"), ca, roots }
    }

    fn again(&self, change: impl FnOnce(Builder) -> Builder) -> Party {
        change(Builder::ca("CA").key(&self.ca.key)).signed_by(&self.roots[1])
    }

    fn device(&self) -> Device {
        Device::new(&[&self.roots[0], &self.roots[1]])
    }

    fn word(&self, hours: i64, change: impl FnOnce(Single) -> Single) -> Arc<OcspResponse> {
        let single = Single::good(&self.peer.certificate, &self.ca);
        let single = single.times(now().plus(-hours * 3600), Some(now().plus(9 * DAY)));
        OcspBuilder::by(&self.ca).says(change(single)).build()
    }

    fn list(&self, number: u64, hours: i64) -> CrlBuilder {
        CrlBuilder::of(&self.ca).number(number).times(now().plus(-hours * 3600), Some(now().plus(9 * DAY)))
    }
}

/// Whatever is sent of the CA: the word against its peer is found, at once and later.
#[test]
fn another_form_of_the_issuers_key_hides_nothing() {
    let world = Twice::new();
    let partner = Builder::ca("partner").constraints(&[dns("partner.example")], &[]).signed_by(&world.roots[0]);
    let by_partner = Builder::ca("CA").key(&world.ca.key).compressed().signed_by(&partner);
    let compressed = world.again(Builder::compressed);
    let (peer, ca) = (&world.peer, &world.ca);
    let chains: [&[&Party]; 6] = [
        &[peer, ca],
        &[peer, &compressed],
        &[peer, &compressed, ca],
        &[peer, ca, &compressed],
        &[peer, &by_partner, &partner],
        &[peer, &by_partner, &partner, ca],
    ];
    let (older, newer) = (world.list(7, 40).build(), world.list(8, 1).revokes(peer).build());
    let (good, bad) = (world.word(20, |s| s), world.word(1, |s| s.revoked(1)));
    for mode in MODES {
        for sent in chains {
            let judge = |crls: &[&Arc<Crl>], ocsp: &[&Arc<OcspResponse>]| world.device().judge(sent, crls, ocsp, mode);
            assert_eq!(judge(&[&older], &[&bad]), Some(Code::Revoked), "{mode:?}");
            assert_eq!(judge(&[&older, &newer], &[&good]), Some(Code::Revoked), "{mode:?}");
            assert_eq!(judge(&[&older], &[&good]), None, "{mode:?}: without a word against it, it is good");
            assert_eq!(judge(&[], &[&good]), None, "{mode:?}");

            // Met before under one form, and now under another.
            for first in chains {
                for (crls, ocsp) in [(&[&newer][..], &[][..]), (&[], &[&bad])] {
                    let device = world.device();
                    assert_eq!(device.judge(first, crls, ocsp, mode), Some(Code::Revoked));
                    assert_eq!(device.judge(sent, &[&older], &[], mode), Some(Code::Revoked), "{mode:?}");
                    assert_eq!(device.judge(sent, &[], &[&good], mode), Some(Code::Revoked), "{mode:?}");
                }
                let device = world.device();
                assert_eq!(device.judge(first, &[&world.list(8, 1).build()], &[], mode), None);
                let rollback = (mode == RevocationMode::HardFail).then_some(Code::CrlRollback);
                assert_eq!(device.judge(sent, &[&older], &[], mode), rollback, "{mode:?}: numbers are the key's");
            }
        }
    }
}

/// A label that binds an RSA key to other signatures than its lists have takes nothing away from those.
#[test]
fn what_an_rsa_key_is_labelled_with_hides_nothing() {
    let roots = [Party::root("R0"), Party::root("R1")];
    let key = provider().generate_key(KeyKind::Rsa(2048)).unwrap();
    let ca = Builder::ca("CA").key(&key).signed_by(&roots[0]);
    let bits = &key.spki()[key.spki().len() - 270..];
    let bound = SignatureAlgorithm::RsaPss { digest: DigestAlgorithm::Sha256, salt_len: 32 };
    let labels =
        [sequence(&[&encode_oid(oid::RSASSA_PSS)]), bound.to_der(), sequence(&[&encode_oid(oid::RSA_ENCRYPTION)])];
    let mut peer = Builder::leaf("peer");
    peer.algorithm = Some(bound);
    let peer = peer.signed_by(&ca);
    let list = CrlBuilder::of(&ca).number(8).revokes(&peer).build();
    let clear = CrlBuilder::of(&ca).number(8).build();
    for label in labels {
        let mut again = Builder::ca("CA").key(&key);
        again.spki = Some(sequence(&[&label, &element(0x03, &[&[0], bits])]));
        let again = again.signed_by(&roots[1]);
        for mode in MODES {
            for sent in [&[&peer, &again][..], &[&peer, &again, &ca]] {
                let device = Device::new(&[&roots[0], &roots[1]]);
                assert_eq!(device.judge(sent, &[&list], &[], mode), Some(Code::Revoked), "{mode:?}");
                assert_eq!(device.judge(sent, &[], &[], RevocationMode::SoftFail), Some(Code::Revoked));
            }
            let verdict = Device::new(&[&roots[0], &roots[1]]).judge(&[&peer, &ca], &[&clear], &[], mode);
            assert_eq!(verdict, None, "{mode:?}: the other half");
        }
    }
}

/// keyUsage of the certificate that is sent takes away the power to clear, and nothing of what the CA's key has revoked.
#[test]
fn a_certificate_of_the_ca_without_crl_sign_takes_nothing_away() {
    let world = Twice::new();
    let signs_certificates = world.again(|b| b.key_usage(&[KeyUsage::KeyCertSign]));
    let unreadable = world.again(|b| b.with(oid::CE_CERTIFICATE_POLICIES, false, vec![0x04, 0x00]));
    let (peer, ca) = (&world.peer, &world.ca);
    let (revoking, clear) = (world.list(8, 1).revokes(peer).build(), world.list(8, 1).build());
    let good = world.word(20, |s| s);
    for mode in MODES {
        for sent in [
            &[peer, &signs_certificates][..],
            &[peer, &signs_certificates, ca],
            &[peer, ca, &signs_certificates],
            &[peer, &unreadable, ca],
        ] {
            for ocsp in [&[][..], &[&good]] {
                assert_eq!(world.device().judge(sent, &[&revoking], ocsp, mode), Some(Code::Revoked), "{mode:?}");
            }
            let device = world.device();
            device.judge(sent, &[&revoking], &[], mode);
            assert_eq!(device.judge(&[peer, ca], &[], &[&good], mode), Some(Code::Revoked), "it was written down");
        }
        let unknown = (mode == RevocationMode::HardFail).then_some(Code::RevocationUnknown);
        let verdict = world.device().judge(&[peer, &signs_certificates], &[&clear], &[], mode);
        assert_eq!(verdict, unknown, "{mode:?}: it clears nobody");
    }
}

/// What counts as a list counts as what was written down of it: after a change of roots, and below an intermediate.
#[test]
fn a_fact_counts_under_whatever_anchor_its_list_would_count() {
    let roots = [Party::root("R0"), Party::root("R1")];
    let middle = roots[0].ca("middle");
    let cross = Builder::ca("middle").key(&middle.key).compressed().signed_by(&roots[1]);
    let ca = middle.ca("CA");
    let peer = ca.leaf("peer");
    let signer = Builder::leaf("CA").key_usage(&[KeyUsage::CrlSign]).signed_by(&middle);
    let list = CrlBuilder::of(&signer).number(8).revokes(&peer).build();
    let from = now().plus(-20 * 3600);
    let single = Single::good(&peer.certificate, &ca).times(from, Some(now().plus(9 * DAY)));
    let good = OcspBuilder::by(&ca).says(single).build();
    let worlds: [(&Party, &[&Party]); 3] =
        [(&roots[0], &[&peer, &ca, &middle]), (&roots[1], &[&peer, &ca, &cross]), (&middle, &[&peer, &ca])];
    for mode in MODES {
        for (first, sent) in worlds {
            let device = Device::new(&[first]);
            let with_signer: Vec<&Party> = sent.iter().copied().chain([&signer]).collect();
            assert_eq!(device.judge(sent, &[], &[&good], mode), None, "{mode:?}: not known yet");
            assert_eq!(device.judge(&with_signer, &[&list], &[], mode), Some(Code::Revoked), "{mode:?}");
            for (later, sent) in worlds {
                let device = Device { anchors: vec![first.clone()], ..Device::new(&[]) };
                device.judge(&with_signer, &[&list], &[], RevocationMode::SoftFail);
                let device = Device { anchors: vec![later.clone()], ..device };
                assert_eq!(device.judge(sent, &[], &[&good], mode), Some(Code::Revoked), "{mode:?}");
                // A root that has nothing to do with those who signed has not heard it from anybody whom it believes.
                let stranger = Party::root("stranger");
                let by_stranger = Builder::ca("CA").key(&ca.key).signed_by(&stranger);
                let device = Device { anchors: vec![stranger], ..device };
                assert_eq!(device.judge(&[&peer, &by_stranger], &[], &[&good], mode), None);
            }
        }
    }
}
