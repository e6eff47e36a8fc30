//! Documents of several lists or responses: each that is there is read, or the document is refused, or the report tells. What one of them
//! revokes is revoked, whatever the form and the order.

use std::sync::Arc;

use base64ct::{Base64, Encoding};
use devid::Code;
use devid::asn1::der::{element, sequence};
use devid::asn1::{oid, pem};
use devid::client::crl_file::add_crl_file;
use devid::validation::{Checks, Crl, CrlStream, OcspResponse, Report, RevocationMode, StatusSources};

use crate::certificates::provider;
use crate::status::{CrlBuilder, OcspBuilder, Single};
use crate::{World, assert_good, assert_revoked, assert_unknown};

type Form = (&'static str, fn(&str, &[Vec<u8>]) -> Vec<u8>);

/// Writes one beside another that it breaks.
type Beside<'a> = Box<dyn Fn(&[u8], &[u8]) -> Vec<u8> + 'a>;

fn blocks(label: &str, ders: &[Vec<u8>]) -> Vec<u8> {
    ders.iter().map(|der| pem::encode(label, der).to_string()).collect::<String>().into_bytes()
}

/// SignedData of these lists alone.
fn bundle(lists: &[Vec<u8>]) -> Vec<u8> {
    let data = sequence(&[&element(0x06, &[oid::CMS_DATA.as_bytes()])]);
    let signed = sequence(&[&[2, 1, 1], &[0x31, 0], &data, &element(0xa1, &[&lists.concat()]), &[0x31, 0]]);
    sequence(&[&element(0x06, &[oid::CMS_SIGNED_DATA.as_bytes()]), &element(0xa0, &[&signed])])
}

const FORMS: [Form; 8] = [
    ("DER", |_, ders| ders.concat()),
    ("DER with line ends between", |_, ders| ders.join(&b"\r\n"[..])),
    ("DER with zeros between", |_, ders| ders.join(&b"\0\0"[..])),
    ("base64", |_, ders| Base64::encode_string(&ders.concat()).into_bytes()),
    ("blocks", blocks),
    ("blocks in a mail", |label, ders| [b"Hello,\n", &blocks(label, ders)[..], b"\nYours\n"].concat()),
    ("one block", |label, ders| blocks(label, &[ders.concat()])),
    ("blocks of two", |label, ders| {
        let halves: Vec<Vec<u8>> = ders.chunks(2).map(|two| two.concat()).collect();
        blocks(label, &halves)
    }),
];

/// Forms that lists alone have.
const BUNDLES: [Form; 4] = [
    ("PKCS#7", |_, ders| bundle(ders)),
    ("PKCS#7 in PEM", |_, ders| blocks("PKCS7", &[bundle(ders)])),
    ("PKCS#7 one behind the other", |_, ders| ders.iter().flat_map(|der| bundle(std::slice::from_ref(der))).collect()),
    ("lists and PKCS#7", |_, ders| [&ders[0], &bundle(&ders[1..])[..]].concat()),
];

/// DER and PEM in one file.
const MIXED: [Form; 2] = [
    ("DER, then PEM", |label, ders| [&ders[0], &blocks(label, &ders[1..])[..]].concat()),
    ("PEM, then DER", |label, ders| [blocks(label, &ders[..1]), ders[1..].concat()].concat()),
];

/// All orders of up to three things, each given `others` and one that revokes.
fn orders(others: &[Vec<u8>; 2], revoking: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let [one, two] = others.each_ref().map(|other| &other[..]);
    [vec![revoking], vec![one, revoking], vec![revoking, one]]
        .into_iter()
        .chain([[revoking, one, two], [one, revoking, two], [one, two, revoking], [two, one, revoking]].map(Vec::from))
        .map(|order| order.into_iter().map(<[u8]>::to_vec).collect())
        .collect()
}

fn modes() -> [Checks; 2] {
    let hard = World::leaf_checks();
    let mut soft = hard.clone();
    soft.revocation.mode = RevocationMode::SoftFail;
    [hard, soft]
}

fn texts(report: &Report) -> String {
    report.findings().iter().map(|finding| finding.text.clone()).collect::<Vec<_>>().join(" / ")
}

struct Documents {
    world: World,
    label: &'static str,
    /// About the device, without it; and of another issuer.
    others: [Vec<u8>; 2],
    revoking: Vec<u8>,
    add: fn(&mut StatusSources, &[u8]) -> Result<(), devid::asn1::Asn1Error>,
}

fn lists() -> Documents {
    let world = World::new();
    Documents {
        label: "X509 CRL",
        others: [CrlBuilder::of(&world.ca).number(1).der(), CrlBuilder::of(&world.root).der()],
        revoking: CrlBuilder::of(&world.ca).number(2).revokes_for(&world.device, 1).der(),
        add: |status, bytes| status.add_crls(Arc::new(bytes.to_vec())),
        world,
    }
}

fn responses() -> Documents {
    let world = World::new();
    let good = Single::good(&world.device.certificate, &world.ca);
    let other = Single::good(&world.ca.certificate, &world.root);
    Documents {
        label: "OCSP RESPONSE",
        others: [OcspBuilder::by(&world.ca).says(good.clone()).der(), OcspBuilder::by(&world.root).says(other).der()],
        revoking: OcspBuilder::by(&world.ca).says(good.revoked(1)).der(),
        add: |status, bytes| status.add_ocsp(bytes),
        world,
    }
}

impl Documents {
    fn read(&self, document: &[u8]) -> StatusSources {
        let mut status = StatusSources::none();
        (self.add)(&mut status, document).unwrap();
        status
    }
}

#[test]
fn what_one_of_several_revokes_is_revoked_in_every_form_and_order() {
    for (documents, forms) in [(lists(), [&FORMS[..], &BUNDLES].concat()), (responses(), FORMS.to_vec())] {
        let Documents { world, label, others, revoking, .. } = &documents;
        for order in orders(others, revoking) {
            for (form, write) in &forms {
                let status = documents.read(&write(label, &order));
                assert_eq!(status.crls.len() + status.ocsp.len(), order.len(), "{label} {form}");
                assert_eq!(status.unread, None, "{label} {form}");
                for checks in modes() {
                    assert_revoked(&world.check(&status, &checks));
                }
            }
        }
        // The twin: the same without the one that revokes.
        for (_, write) in &forms {
            for checks in modes() {
                assert_good(&world.check(&documents.read(&write(label, others)), &checks));
            }
        }
    }
}

#[test]
fn der_and_pem_in_one_file_are_told() {
    for documents in [lists(), responses()] {
        let Documents { world, label, others: [good, _], revoking, .. } = &documents;
        for (form, write) in MIXED {
            for order in [[good, revoking], [revoking, good]] {
                let status = documents.read(&write(label, &order.map(Clone::clone)));
                for (checks, is_hard) in modes().into_iter().zip([true, false]) {
                    let report = world.check(&status, &checks);
                    match order[0] == revoking {
                        true => assert_revoked(&report),
                        false if is_hard => assert_unknown(&report, "a file is one or the other"),
                        false => assert!(texts(&report).contains("a file is one or the other"), "{form}"),
                    }
                }
            }
        }
    }
}

#[test]
fn one_that_cannot_be_read_beside_another_is_told_with_its_place_and_takes_nothing_from_it() {
    for documents in [lists(), responses()] {
        let Documents { world, label, others: [good, _], revoking, .. } = &documents;
        let block = |der: &[u8]| pem::encode(label, der).to_string();
        let cut = |der: &[u8]| der[..der.len() - 9].to_vec();
        let lines = |der: &[u8]| block(der).lines().map(str::to_owned).collect::<Vec<_>>();
        let broken: [fn(Vec<String>) -> Vec<String>; 3] = [
            |mut lines| {
                lines[1].replace_range(..1, "*");
                lines
            },
            |mut lines| {
                lines.remove(2);
                lines
            },
            |mut lines| {
                lines.pop();
                lines
            },
        ];
        let mut cases: Vec<(Beside<'_>, &str)> = vec![
            (Box::new(|whole, odd| [whole, &cut(odd)].concat()), "behind others, from byte"),
            (Box::new(|whole, odd| [block(whole), block(&cut(odd))].concat().into_bytes()), "block 2"),
            (Box::new(|whole, odd| [block(&cut(odd)), block(whole)].concat().into_bytes()), "block 1"),
            (Box::new(|whole, odd| block(&[whole, &cut(odd)].concat()).into_bytes()), "behind others, from byte"),
        ];
        for how in broken {
            cases.push((
                Box::new(move |whole, odd| [block(whole), how(lines(odd)).join("\n")].concat().into_bytes()),
                "block 2",
            ));
        }
        for (write, place) in &cases {
            let status = documents.read(&write(good, revoking));
            let [hard, soft] = modes().map(|checks| world.check(&status, &checks));
            assert_unknown(&hard, place);
            assert!(texts(&soft).contains(place), "{place}: {}", texts(&soft));
            // What can be read counts.
            let status = documents.read(&write(revoking, good));
            modes().iter().for_each(|checks| assert_revoked(&world.check(&status, checks)));
            // Alone it is refused.
            assert!((documents.add)(&mut StatusSources::none(), &cut(revoking)).is_err());
        }
    }
}

#[test]
fn what_is_of_another_kind_is_skipped_and_padding_is_none() {
    for documents in [lists(), responses()] {
        let Documents { world, label, others: [good, _], .. } = &documents;
        let block = |label: &str, der: &[u8]| pem::encode(label, der).to_string();
        let odd = block("CERTIFICATE", &[0x30, 3, 2, 1]).replace("MAMC", "****");
        let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END RSA PRIVATE KEY-----\n";
        for document in [
            [good, &b"\r\n\0"[..]].concat(),
            [good, &b"more"[..]].concat(),
            [odd, key.to_owned(), block(label, good)].concat().into_bytes(),
            [&b"0 of them:\n"[..], block(label, good).as_bytes(), b"0 more\n"].concat(),
        ] {
            let status = documents.read(&document);
            assert_eq!(status.unread, None);
            modes().iter().for_each(|checks| assert_good(&world.check(&status, checks)));
        }
    }
}

#[test]
fn who_takes_one_refuses_several() {
    let Documents { world, others: [good, _], revoking, .. } = lists();
    for both in [[&good[..], &revoking].concat(), [&good[..], b"\n", &revoking].concat()] {
        assert!(Crl::from_der(both.clone()).unwrap_err().to_string().contains("another one behind it"));
        for chunk in [1, 100, 1 << 20] {
            let mut stream = CrlStream::new(provider().clone(), &[world.device.certificate.serial()]).unwrap();
            let read = both.chunks(chunk).try_for_each(|chunk| stream.feed(chunk));
            let read = read.and_then(|()| stream.finish().map(drop));
            assert!(read.unwrap_err().to_string().contains("another list behind the first"));
        }
    }
    let broken = [&blocks("X509 CRL", &[good])[..], &blocks("X509 CRL", &[revoking[..99].to_vec()])].concat();
    assert!(Crl::many_from_bytes(&broken).unwrap_err().to_string().contains("block 2"));
    let Documents { label, others: [good, _], revoking, .. } = responses();
    assert!(OcspResponse::from_der(&[&good[..], &revoking].concat()).is_err());
    for both in [[&good[..], &revoking].concat(), blocks(label, &[good.clone(), revoking.clone()])] {
        let error = OcspResponse::from_document(&both).unwrap_err().to_string();
        assert!(error.contains("2 of them in one document"), "{error}");
    }
}

#[test]
fn a_file_of_several_lists_is_read_with_and_without_an_index() {
    let documents = lists();
    let Documents { world, label, others: [good, _], revoking, .. } = &documents;
    let folder = tempfile_folder();
    let (file, index) = (folder.join("lists"), folder.join("index"));
    for (form, write) in [&FORMS[..], &BUNDLES].concat() {
        for order in [[good, revoking], [revoking, good]] {
            std::fs::write(&file, write(label, &order.map(Clone::clone))).unwrap();
            for index in [None, Some(&*index), Some(&*index)] {
                let mut status = StatusSources::none();
                add_crl_file(&mut status, &file, index).unwrap();
                assert_eq!(status.crls.len(), 2, "{form}");
                assert_revoked(&world.check(&status, &World::leaf_checks()));
            }
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}

fn tempfile_folder() -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("devid-documents-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A code is what a program reads.
#[test]
fn the_code_of_what_could_not_be_read_is_that_of_an_unknown_status() {
    let documents = lists();
    let cut = documents.revoking[..documents.revoking.len() - 9].to_vec();
    let status = documents.read(&[&documents.others[0][..], &cut].concat());
    let report = documents.world.check(&status, &World::leaf_checks());
    assert_eq!(report.error().map(|error| error.code()), Some(Code::RevocationUnknown));
}
