//! A certificate that is revoked stays revoked, whatever one part of its list or response is like: each part is damaged in many ways
//! and the whole signed again.

use std::sync::Arc;

use devid::asn1::der::{element, sequence};
use devid::asn1::oid;
use devid::asn1::x509::assemble_signed;
use devid::validation::{Checks, Crl, CrlStream, OcspResponse, RevocationPolicy, RevocationScope, StatusSources};

use crate::certificates::{Party, extension, list, now, provider, time};
use crate::status::{CrlBuilder, INDIRECT, OcspBuilder, Single, certificate_issuer, flag, point_url, reason_code};
use crate::{World, assert_good, assert_revoked, crl_sources, ocsp_sources};

/// An element of DER as a tree.
#[derive(Clone, Debug, PartialEq)]
struct Node {
    tag: u8,
    content: Vec<u8>,
    children: Vec<Node>,
}

impl Node {
    fn read_all(mut bytes: &[u8]) -> Option<Vec<Node>> {
        let mut nodes = Vec::new();
        while let [tag, first, rest @ ..] = bytes {
            let (length, rest) = match *first {
                short @ ..=0x7f => (usize::from(short), rest),
                long @ 0x81..=0x83 => {
                    let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                    (digits.iter().fold(0, |n, d| n << 8 | usize::from(*d)), rest)
                }
                _ => return None,
            };
            let (content, behind) = rest.split_at_checked(length)?;
            let is_octets = *tag == 0x04 && content.first().is_some_and(|tag| [0x30, 0x0a, 0x04].contains(tag));
            let children =
                if tag & 0x20 != 0 || is_octets { Node::read_all(content).unwrap_or_default() } else { Vec::new() };
            nodes.push(Node { tag: *tag, content: content.to_vec(), children });
            bytes = behind;
        }
        bytes.is_empty().then_some(nodes)
    }

    fn read(der: &[u8]) -> Node {
        Node::read_all(der).expect("DER").remove(0)
    }

    fn der(&self) -> Vec<u8> {
        let content = match self.children.is_empty() {
            true => self.content.clone(),
            false => self.children.iter().flat_map(Node::der).collect(),
        };
        element(self.tag, &[&content])
    }

    fn places(&self, here: &[usize], all: &mut Vec<Vec<usize>>) {
        for (index, child) in self.children.iter().enumerate() {
            let place = [here, &[index]].concat();
            child.places(&place, all);
            all.push(place);
        }
    }

    fn at(&self, place: &[usize]) -> &Node {
        place.iter().fold(self, |node, index| &node.children[*index])
    }

    fn parent_of(&mut self, place: &[usize]) -> &mut Node {
        place[..place.len() - 1].iter().fold(self, |node, index| &mut node.children[*index])
    }
}

/// The tree with one part damaged in each of many ways; parts within `kept` are left alone, and those around them neither emptied
/// nor taken away.
fn damaged(root: &Node, kept: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let mut places = Vec::new();
    root.places(&[], &mut places);
    let mut all = Vec::new();
    for place in places {
        let found = root.at(&place);
        let is_within = (1..=place.len()).any(|depth| kept.contains(&root.at(&place[..depth]).der()));
        if is_within {
            continue;
        }
        let (der, content) = (found.der(), element(0x30, &[&found.der()])[2..].to_vec());
        let is_around = kept.iter().any(|kept| der.windows(kept.len()).any(|part| part == &kept[..]));
        let raw = |tag: u8, content: &[u8]| Node { tag, content: content.to_vec(), children: Vec::new() };
        let whole = found.children.iter().flat_map(Node::der).collect::<Vec<u8>>();
        let inside = if found.children.is_empty() { found.content.clone() } else { whole };
        let mut ways: Vec<(&str, Vec<Node>)> = vec![
            ("as a SET", vec![raw(0x31, &inside)]),
            ("as a UTF8String", vec![raw(0x0c, &inside)]),
            ("as [9]", vec![raw(0xa9, &inside)]),
            ("as GraphicString", vec![raw(0x19, &inside)]),
            ("with bytes behind", vec![raw(found.tag, &[&inside[..], &[5, 0]].concat())]),
            ("with text behind", vec![raw(found.tag, &[&inside[..], b"\n"].concat())]),
            ("twice", vec![found.clone(), found.clone()]),
            ("with a NULL behind", vec![found.clone(), raw(5, &[])]),
        ];
        if !is_around {
            ways.extend([
                ("taken away", Vec::new()),
                ("empty", vec![raw(found.tag, &[])]),
                ("as NULL", vec![raw(5, &[])]),
                ("cut short", vec![raw(found.tag, &inside[..inside.len().saturating_sub(1)])]),
                ("with zeros", vec![raw(found.tag, &vec![0; inside.len()])]),
                ("with ones", vec![raw(found.tag, &vec![0xff; inside.len()])]),
                ("changed", vec![raw(found.tag, &inside.iter().map(|byte| byte ^ 0x15).collect::<Vec<u8>>())]),
            ]);
        }
        let _ = content;
        for (way, nodes) in ways {
            let mut changed = root.clone();
            let index = place[place.len() - 1];
            changed.parent_of(&place).children.splice(index..=index, nodes);
            if changed.parent_of(&place).children.is_empty() {
                changed.parent_of(&place).content = Vec::new();
            }
            all.push((format!("{place:?} {:02x} {way}", found.tag), changed.der()));
        }
    }
    all
}

fn both_modes() -> [Checks; 2] {
    [RevocationPolicy::soft_fail(), RevocationPolicy::hard_fail()].map(|mut revocation| {
        revocation.scope = RevocationScope::LeafOnly;
        Checks { revocation, ..Checks::at(now()) }
    })
}

#[track_caller]
fn assert_refused(world: &World, status: &StatusSources, what: &str) {
    for checks in both_modes() {
        let report = world.check(status, &checks);
        assert!(!report.is_valid(), "{what}: valid, {:?}", report.findings());
    }
}

fn signed_list(issuer: &Party, tbs: &[u8]) -> Vec<u8> {
    let algorithm = issuer.key.kind().default_signature();
    assemble_signed(tbs, &algorithm.to_der(), &issuer.key.sign(&algorithm, tbs).unwrap())
}

/// A list that revokes the device among others, with all that lists have.
fn full_list(world: &World) -> CrlBuilder {
    let neighbour = |n: u8| [0x41, n, 0x5a];
    let mut list = CrlBuilder::of(&world.ca).number(7);
    for n in 0..3 {
        list = list.entry(&neighbour(n), &[reason_code(1)]);
    }
    list.revokes_for(&world.device, 1).entry(&neighbour(9), &[])
}

fn serial_of(world: &World) -> Vec<u8> {
    element(0x02, &[world.device.certificate.serial()])
}

#[track_caller]
fn damaged_lists_revoke(world: &World, good: &CrlBuilder, least: usize) {
    let der = good.clone().der();
    assert_revoked(&world.by_crls(&[Arc::new(Crl::from_der(der.clone()).unwrap())]));
    let tbs = Node::read(&der).children.remove(0);
    let kept = [serial_of(world), world.ca.certificate.subject().to_vec()];
    let all = damaged(&tbs, &kept);
    assert!(all.len() > least, "{} ways", all.len());
    for (what, tbs) in all {
        let der = signed_list(&world.ca, &tbs);
        let crl = Crl::from_der(der.clone()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_refused(world, &crl_sources(&[Arc::new(crl)]), &what);
        // The reader in one pass: what it takes, it takes in the same sense.
        let mut stream = CrlStream::new(provider().clone(), &[world.device.certificate.serial()]).unwrap();
        if let Ok(crl) = stream.feed(&der).and_then(|()| stream.finish()) {
            assert_refused(world, &crl_sources(&[Arc::new(crl)]), &format!("in one pass: {what}"));
        }
    }
}

#[test]
fn a_list_with_any_part_damaged_revokes_whom_it_lists() {
    let world = World::new();
    damaged_lists_revoke(&world, &full_list(&world), 300);
}

#[test]
fn so_does_one_for_a_distribution_point_and_a_big_one_with_an_index() {
    let url = "http://ca.example/a.crl";
    let world = World::with_device(|builder| {
        let point = crate::status::points(&[&[point_url(url)]]);
        builder.with(oid::CE_CRL_DISTRIBUTION_POINTS, false, point)
    });
    damaged_lists_revoke(&world, &full_list(&world).scope(&[point_url(url), flag(1)]), 300);
    let entries = |world: &World, own: Vec<u8>| {
        let mut list = CrlBuilder::of(&world.ca);
        for n in 0..100u8 {
            list = list.entry(&[0x20, n, 1], &[]);
        }
        list.raw_entry(sequence(&[])).raw_entry(vec![0x05, 0x00]).raw_entry(own).entry(&[0x20, 200, 1], &[])
    };
    let serial = serial_of(&world);
    for own in [
        sequence(&[&serial]),
        sequence(&[&element(0x04, &[world.device.certificate.serial()])]),
        element(0x31, &[&serial, &time(now())]),
        [&[0x30, 0x82, 0, serial.len() as u8], &serial[..]].concat(),
    ] {
        assert_refused(&world, &crl_sources(&[entries(&world, own).build()]), "a big list");
    }
    // The dark twin: the same list without it.
    let without = entries(&world, sequence(&[&[2, 1, 7], &time(now())])).build();
    assert_good(&world.by_crls(&[without]));
}

#[test]
fn so_does_an_indirect_one() {
    let world = World::new();
    let own = world.ca.certificate.subject();
    let stranger = Party::root("Stranger");
    let list = CrlBuilder::of(&world.ca)
        .scope(&[flag(INDIRECT)])
        .entry(&[0x41, 1, 1], &[certificate_issuer(stranger.certificate.subject())])
        .entry(world.device.certificate.serial(), &[reason_code(1), certificate_issuer(own)]);
    damaged_lists_revoke(&world, &list, 200);
}

#[test]
fn reasons_that_take_back_need_a_sound_entry_in_a_delta() {
    let world = World::new();
    let serial = world.device.certificate.serial();
    for extensions in [vec![reason_code(8)], vec![reason_code(8), reason_code(1)]] {
        assert_revoked(&world.by_crls(&[CrlBuilder::of(&world.ca).entry(serial, &extensions).build()]));
    }
    let held = CrlBuilder::of(&world.ca).entry(serial, &[reason_code(6)]).build();
    let lifted =
        |extensions: &[Vec<u8>]| CrlBuilder::of(&world.ca).number(2).delta_to(1).entry(serial, extensions).build();
    assert_good(&world.by_crls(&[held.clone(), lifted(&[reason_code(8)])]));
    assert_revoked(&world.by_crls(&[held, lifted(&[reason_code(8), reason_code(1)])]));
}

#[test]
fn what_stands_around_a_list_or_response_says_nothing() {
    use base64ct::{Base64, Encoding};
    let world = World::new();
    let list = |entries: &CrlBuilder| entries.clone().der();
    let revoking = list(&full_list(&world));
    let clear = list(&CrlBuilder::of(&world.ca));
    let around = |der: &[u8]| {
        let base64 = Base64::encode_string(der).into_bytes();
        [[der, b"\n"].concat(), [der, b"\r\n\0"].concat(), [der, b"more"].concat(), base64]
    };
    for der in around(&revoking) {
        let lists: Vec<_> = Crl::many_from_bytes(&der).unwrap().into_iter().map(Arc::new).collect();
        assert_revoked(&world.by_crls(&lists));
    }
    for der in around(&clear) {
        let lists: Vec<_> = Crl::many_from_bytes(&der).unwrap().into_iter().map(Arc::new).collect();
        assert_good(&world.by_crls(&lists));
    }
    let says = |single: Single| OcspBuilder::by(&world.ca).says(single).der();
    let good = Single::good(&world.device.certificate, &world.ca);
    for behind in [&b"\n"[..], b"\0", b"more"] {
        let read = |der: Vec<u8>| Arc::new(OcspResponse::from_der(&[&der[..], behind].concat()).unwrap());
        assert_revoked(&world.by_ocsp(read(says(good.clone().revoked(1)))));
        assert_good(&world.by_ocsp(read(says(good.clone()))));
    }
}

/// The algorithm inside the signature and the one beside it: either may be the odd one.
#[test]
fn two_algorithms_clear_nobody_and_revoke() {
    let world = World::new();
    let with_null = sequence(&[&[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], &[5, 0]]);
    for inner in [with_null, sequence(&[&[0x06, 3, 0x2a, 3, 4]]), element(0x04, &[b"none"])] {
        let revoking = CrlBuilder { inner_algorithm: Some(inner.clone()), ..full_list(&world) };
        assert_refused(&world, &crl_sources(&[revoking.build()]), "two algorithms");
        let clear = CrlBuilder { inner_algorithm: Some(inner), ..CrlBuilder::of(&world.ca) }.build();
        assert!(!world.by_crls(&[clear]).is_valid());
    }
}

#[test]
fn a_response_with_any_part_damaged_revokes_of_whom_it_says_so() {
    let world = World::new();
    let neighbour = world.ca.leaf("neighbour");
    let single = Single::good(&world.device.certificate, &world.ca).revoked(1);
    let single = single.with(devid::asn1::oid::Oid::new("1.2.3").unwrap(), false, vec![5, 0]);
    let response =
        OcspBuilder::by(&world.ca).says(Single::good(&neighbour.certificate, &world.ca)).says(single).nonce(&[7; 16]);
    let whole = Node::read(&response.der());
    // OCSPResponse, responseBytes, ResponseBytes, response, BasicOCSPResponse.
    let basic = whole.children[1].children[0].children[1].children[0].clone();
    let tbs = basic.children[0].clone();
    let cert_id = tbs.children[2].children[1].children[0].clone();
    let mut kept: Vec<Vec<u8>> = cert_id.children[1..].iter().map(Node::der).collect();
    kept.push(cert_id.children[0].children[0].der());
    kept.push(tbs.children[0].der());
    let mut ways = damaged(&tbs, &kept);
    assert!(ways.len() > 150, "{} ways", ways.len());
    ways.push(("as it was".to_owned(), tbs.der()));
    for (what, tbs) in ways {
        let algorithm = world.ca.key.kind().default_signature();
        let signature = element(0x03, &[&[0], &world.ca.key.sign(&algorithm, &tbs).unwrap()]);
        let basic = sequence(&[&tbs, &algorithm.to_der(), &signature]);
        let bytes = sequence(&[&whole.children[1].children[0].children[0].der(), &element(0x04, &[&basic])]);
        let der = sequence(&[&[0x0a, 1, 0], &element(0xa0, &[&bytes])]);
        let response = OcspResponse::from_der(&der).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_refused(&world, &ocsp_sources(&[Arc::new(response)]), &what);
    }
}

/// The dark twin: what is odd about a response that says good clears nobody, unless it decides nothing.
#[test]
fn an_odd_response_clears_nobody() {
    let world = World::new();
    let good = Single::good(&world.device.certificate, &world.ca);
    assert_good(&world.by_ocsp(OcspBuilder::by(&world.ca).says(good.clone()).build()));
    let twice = OcspBuilder::by(&world.ca).nonce(&[1; 32]).with(oid::OCSP_NONCE, false, vec![4, 1, 2]);
    assert!(!world.by_ocsp(twice.says(good.clone()).build()).is_valid());
    let odd = Single { status: vec![0x83, 0x00], ..good.clone() };
    assert_revoked(&world.by_ocsp(OcspBuilder::by(&world.ca).says(odd).build()));
    let undecided = Single { status: vec![0x80, 0x01, 0x00], ..good };
    assert!(OcspResponse::from_der(&OcspBuilder::by(&world.ca).says(undecided).der()).is_err());
}

#[test]
fn an_odd_list_clears_nobody() {
    let world = World::new();
    let number = |n| extension(oid::CE_CRL_NUMBER, false, &[2, 1, n]);
    let field = |extensions: Vec<u8>| element(0xa0, &[&extensions]);
    let times = [time(now().plus(-10)), time(now().plus(10))].concat();
    let algorithm = world.ca.key.kind().default_signature().to_der();
    for rest in [
        field(list([number(1), number(2)])),
        field(list([extension(oid::CE_ISSUING_DISTRIBUTION_POINT, true, &sequence(&[]))])),
        field(list([extension(oid::CE_DELTA_CRL_INDICATOR, true, &[5, 0])])),
        element(0xa1, &[]),
    ] {
        let tbs = sequence(&[&[2, 1, 1], &algorithm, world.ca.certificate.subject(), &times, &rest]);
        let crl = Arc::new(Crl::from_der(signed_list(&world.ca, &tbs)).unwrap());
        assert!(!world.by_crls(&[crl]).is_valid());
    }
}
