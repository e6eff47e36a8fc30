//! Revocation lists of every size: made here, read by everyone.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use devid::asn1::der::{element, sequence};
use devid::asn1::x509::Certificate;
use devid::crypto::{SignatureAlgorithm, default_provider, keys};
use devid::time::Time;
use devid::validation::crl::Found;
use devid::validation::{Checks, Crl, RevocationPolicy, RevocationScope, StatusSources, TrustAnchors};
use serde_json::{Value, json};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use crate::clock::{Runner, as_json, cpu_ns_of, in_turns, system_time};
use crate::openssl::{Item, KeyType, Pki};
use crate::validation::Webpki;
use crate::{Result, Settings};

const DAY: i64 = 86_400;
/// With it an entry has 38 bytes.
const SERIAL_LEN: usize = 19;

/// The serial number of the nth entry of a list: 19 octets without pattern.
pub fn serial(index: u64) -> [u8; SERIAL_LEN] {
    let mut out = [0; SERIAL_LEN];
    for (word, chunk) in out.chunks_mut(8).enumerate() {
        // splitmix64
        let mut z = (index * 3 + word as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes()[..chunk.len()]);
    }
    out[0] = out[0] & 0x3f | 0x40;
    out
}

/// A list with `entry_count` entries, none of which is a certificate of the PKI.
pub fn make_crl(pki: &Pki, issuer: Item, issuer_key: Item, entry_count: u64) -> Result<Vec<u8>> {
    let provider = default_provider();
    let certificate = Certificate::from_der(pki.item(issuer))?;
    let key = keys::load_private_key(&*provider, pki.item(issuer_key), None)?;
    let algorithm: SignatureAlgorithm = key.kind().default_signature();
    let now = system_time();
    let time = |at: Time| element(0x17, &[&at.to_generalized_time().as_bytes()[2..]]);
    let revoked_at = time(now.plus(-DAY));
    let entries: Vec<u8> =
        (0..entry_count).flat_map(|index| sequence(&[&element(0x02, &[&serial(index)]), &revoked_at])).collect();
    let list = if entries.is_empty() { Vec::new() } else { sequence(&[&entries]) };

    let key_id = certificate.subject_key_identifier().ok_or("the issuer has a key identifier")?;
    let authority_key_id = element(0x04, &[&sequence(&[&element(0x80, &[key_id])])]);
    let number = element(0x04, &[&element(0x02, &[&[7]])]);
    let extensions = sequence(&[
        &sequence(&[&element(0x06, &[&[0x55, 0x1d, 0x23]]), &authority_key_id]),
        &sequence(&[&element(0x06, &[&[0x55, 0x1d, 0x14]]), &number]),
    ]);
    let tbs = sequence(&[
        &element(0x02, &[&[1]]),
        &algorithm.to_der(),
        certificate.subject(),
        &time(now.plus(-3600)),
        &time(now.plus(7 * DAY)),
        &list,
        &element(0xa0, &[&extensions]),
    ]);
    let signature = key.sign(&algorithm, &tbs)?;
    Ok(sequence(&[&tbs, &algorithm.to_der(), &element(0x03, &[&[0], &signature])]))
}

fn is_listed(crl: &Crl, serial: &[u8]) -> bool {
    matches!(crl.find(serial), Found::Entries(entries) if !entries.is_empty())
}

pub fn measure(settings: &Settings) -> Result<Value> {
    let pki = settings.server().make_pki(KeyType::P256)?;
    let issuing = pki.item(Item::Issuing);
    let mut rows = Vec::new();
    for (entry_count, rounds) in [(100_000, 15), (1_000_000, 5)] {
        if settings.is_short && entry_count > 100_000 {
            continue;
        }
        let der = make_crl(&pki, Item::Issuing, Item::IssuingKey, entry_count)?;
        let absent = pki.item(Item::Leaf);
        let absent = Certificate::from_der(absent)?.serial().to_vec();
        let ours = |der: &[u8]| -> Result<Crl> { Ok(Crl::from_der(der.to_vec())?) };

        let mut candidates = vec![
            Runner::new("devid", || {
                cpu_ns_of(|| {
                    let crl = Arc::new(ours(&der)?);
                    believe(&crl, pki.item(Item::Leaf), issuing)?;
                    Ok(crl)
                })
                .map(|(spent, _)| spent)
            }),
            Runner::new("rustls-webpki", || {
                cpu_ns_of(|| {
                    let crl = CertRevocationList::Owned(OwnedCertRevocationList::from_der(&der)?);
                    Webpki::new(&pki)?.check_leaf_by(&crl)?;
                    Ok(crl)
                })
                .map(|(spent, _)| spent)
            }),
        ];
        for openssl in &settings.openssl {
            let (der, absent) = (&der, &absent);
            candidates.push(Runner::new(&openssl.name, move || {
                let (spent, listed) = cpu_ns_of(|| {
                    let crl = openssl.read_crl(der, issuing)?;
                    let listed = crl.is_listed(absent);
                    Ok((crl, listed))
                })?;
                if listed.1 { Err("an entry was found that is not there".into()) } else { Ok(spent) }
            }));
        }
        let first = in_turns(settings.rounds(rounds), &mut candidates)?;
        drop(candidates);
        eprintln!("crl {entry_count} first: {first:?}");

        let lookups = later_lookups(settings, &der, issuing, entry_count)?;
        eprintln!("crl {entry_count} later: {lookups:?}");
        let memory = memory(settings, &pki, &der)?;
        eprintln!("crl {entry_count} memory: {memory}");
        rows.push(json!({
            "entries": entry_count, "der_bytes": der.len(), "first_microseconds": as_json(&first),
            "lookup_microseconds": as_json(&lookups), "memory": memory,
        }));
    }
    Ok(json!({ "rows": rows }))
}

/// One lookup in a list that has been asked before; every second serial number is on it.
fn later_lookups(settings: &Settings, der: &[u8], issuing: &[u8], entry_count: u64) -> Result<Vec<(String, f64)>> {
    const BATCH: u64 = 2000;
    let asked: Vec<_> =
        (0..BATCH).map(|n| (serial(n * 7919 % entry_count + n % 2 * entry_count), n % 2 == 0)).collect();
    let all = |is_listed: &dyn Fn(&[u8]) -> bool| -> Result<i64> {
        let (spent, right) = cpu_ns_of(|| Ok(asked.iter().all(|(serial, expected)| is_listed(serial) == *expected)))?;
        if right { Ok(spent / BATCH as i64) } else { Err("a lookup answered wrongly".into()) }
    };
    let ours = Crl::from_der(der.to_vec())?;
    let theirs = CertRevocationList::Owned(OwnedCertRevocationList::from_der(der)?);
    let mut candidates = vec![
        Runner::new("devid", || all(&|serial| is_listed(&ours, serial))),
        Runner::new("rustls-webpki", || all(&|serial| theirs.find_serial(serial).is_ok_and(|found| found.is_some()))),
    ];
    let all = &all;
    for openssl in &settings.openssl {
        let crl = openssl.read_crl(der, issuing)?;
        candidates.push(Runner::new(&openssl.name, move || all(&|serial| crl.is_listed(serial))));
    }
    in_turns(settings.rounds(20), &mut candidates)
}

/// Memory that each needs for one list: every candidate in a process of its own.
fn memory(settings: &Settings, pki: &Pki, der: &[u8]) -> Result<Value> {
    let directory = std::env::temp_dir().join(format!("devid-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = (|| -> Result<Value> {
        std::fs::write(directory.join("crl"), der)?;
        std::fs::write(directory.join("issuer"), pki.item(Item::Issuing))?;
        std::fs::write(directory.join("leaf"), pki.item(Item::Leaf))?;
        let mut found = serde_json::Map::new();
        let names = ["devid", "devid, mapped", "rustls-webpki"].into_iter().map(str::to_owned);
        for name in names.chain(settings.openssl.iter().map(|o| o.name.clone())) {
            let mut child = Command::new(std::env::current_exe()?);
            for openssl in &settings.openssl {
                child.arg("--openssl").arg(format!("{}={}", openssl.name, openssl.path));
            }
            let output = child.args(["crl-once", &name]).arg(&directory).output()?;
            if !output.status.success() {
                return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr)).into());
            }
            found.insert(name, serde_json::from_slice(&output.stdout)?);
        }
        Ok(Value::Object(found))
    })();
    std::fs::remove_dir_all(&directory)?;
    result
}

/// Reads one list from a file, verifies it, looks up one serial number; answers what memory that took.
pub fn once(settings: &Settings, candidate: &str, directory: &str) -> Result<Value> {
    let path = |name: &str| Path::new(directory).join(name);
    let issuer = std::fs::read(path("issuer"))?;
    let leaf = std::fs::read(path("leaf"))?;
    let before = Memory::now()?;
    let wanted = serial(1);
    match candidate {
        "devid" => {
            let crl = Arc::new(Crl::from_der(std::fs::read(path("crl"))?)?);
            believe(&crl, &leaf, &issuer)?;
            finish(is_listed(&crl, &wanted), before)
        }
        "devid, mapped" => {
            let crl = Arc::new(Crl::from_bytes(Arc::new(Mapped::open(&path("crl"))?))?);
            believe(&crl, &leaf, &issuer)?;
            finish(is_listed(&crl, &wanted), before)
        }
        "rustls-webpki" => {
            // Its signature check is part of a path's and needs no memory of its own.
            let der = std::fs::read(path("crl"))?;
            let crl = CertRevocationList::Owned(OwnedCertRevocationList::from_der(&der)?);
            finish(crl.find_serial(&wanted)?.is_some(), before)
        }
        name => {
            let openssl = settings.openssl.iter().find(|o| o.name == name).ok_or("no candidate of that name")?;
            let der = std::fs::read(path("crl"))?;
            let crl = openssl.read_crl(&der, &issuer)?;
            finish(crl.is_listed(&wanted), before)
        }
    }
}

/// Our check of the list by itself: the status of a certificate of the issuer, which is anchor here.
fn believe(crl: &Arc<Crl>, leaf: &[u8], issuer: &[u8]) -> Result<()> {
    let path = [Certificate::from_der(leaf)?, Certificate::from_der(issuer)?];
    let mut anchors = TrustAnchors::new();
    anchors.add(path[1].clone());
    let mut checks = Checks::at(system_time());
    checks.revocation = RevocationPolicy { scope: RevocationScope::LeafOnly, ..RevocationPolicy::hard_fail() };
    let status = StatusSources { crls: vec![Arc::clone(crl)], ..StatusSources::none() };
    let provider = default_provider();
    let outcome = devid::validation::revocation::check_path(&*provider, &path, &anchors, &[], &status, &checks);
    match outcome.findings.iter().find(|finding| finding.fatal) {
        Some(finding) => Err(finding.text.clone().into()),
        None => Ok(()),
    }
}

fn finish(listed: bool, before: Memory) -> Result<Value> {
    let after = Memory::now()?;
    if !listed {
        return Err("an entry was not found".into());
    }
    Ok(json!({
        "peak_kib": after.peak_kib - before.peak_kib,
        "anonymous_kib": after.anonymous_kib - before.anonymous_kib,
    }))
}

/// Of this process, from `/proc/self/status`.
struct Memory {
    peak_kib: i64,
    anonymous_kib: i64,
}

impl Memory {
    fn now() -> Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| -> Result<i64> {
            let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such line in /proc/self/status")?;
            let value = line.split_whitespace().nth(1).ok_or("a line without a value")?;
            Ok(value.parse()?)
        };
        Ok(Memory { peak_kib: field("VmHWM:")?, anonymous_kib: field("RssAnon:")? })
    }
}

/// A file in memory without being in memory.
struct Mapped {
    data: *mut std::ffi::c_void,
    len: usize,
}

impl Mapped {
    fn open(path: &Path) -> Result<Self> {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let file = std::fs::File::open(path)?;
        let len = usize::try_from(file.metadata()?.len())?;
        // SAFETY: a private mapping for reading of a file that nobody changes meanwhile.
        let data = unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ, MapFlags::PRIVATE, &file, 0) }?;
        Ok(Mapped { data, len })
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: mapped for this long as long as `self` lives.
        unsafe { std::slice::from_raw_parts(self.data.cast::<u8>(), self.len) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped in `open`; no slice outlives `self`.
        let _ = unsafe { rustix::mm::munmap(self.data, self.len) };
    }
}

// SAFETY: memory that nobody writes.
unsafe impl Send for Mapped {}
unsafe impl Sync for Mapped {}
