//! What revocation costs: big CRLs (parse, verify, first and later lookups, memory), repeated validation, OCSP.
//!
//! `cargo bench --bench revocation` prints a table; `-- crl 100000` measures one list in a process of its own, so that
//! peak memory is that list's.

use std::hint::black_box;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use certificates::{Builder, Party, now, provider};
use devid::asn1::oid;
use devid::asn1::x509::Certificate;
use devid::validation::{
    Checks, Crl, CrlStream, OcspResponse, RevocationPolicy, RevocationScope, StatusSources, TrustAnchors, validate,
};
use devid_test_support::{certificates, status};
use status::{CrlBuilder, OcspBuilder, Single};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", path, count] => make(path, count.parse().expect("a count of entries")),
        ["measure", path] => measure(path),
        ["stream", path] => stream(path),
        ["crl", count] => crl(count),
        [] => {
            crl("100000");
            crl("1000000");
            ocsp();
        }
        _ => panic!("expected nothing, or: crl COUNT"),
    }
}

/// Makes the list in one process and measures it in another.
fn crl(count: &str) {
    let path = env::temp_dir().join(format!("devid-bench-{}.crl", process::id()));
    let path = path.to_str().expect("a path in UTF-8");
    for arguments in [vec!["make", path, count], vec!["measure", path], vec!["stream", path]] {
        let itself = env::current_exe().expect("this program");
        let status = process::Command::new(itself).args(arguments).status().expect("a child process");
        assert!(status.success());
    }
    for suffix in ["", ".ca", ".device"] {
        let _ = fs::remove_file(format!("{path}{suffix}"));
    }
}

/// Entries of 38 bytes: serial numbers of 19 octets and a date.
fn make(path: &str, count: u32) {
    let ca = Party::root("CA");
    let device = ca.leaf("device");
    let crl = (0..count).fold(CrlBuilder::of(&ca), |crl, n| crl.entry(&serial(n), &[]));
    fs::write(path, crl.der()).expect("a writable directory");
    fs::write(format!("{path}.ca"), ca.certificate.as_der()).expect("a writable directory");
    fs::write(format!("{path}.device"), device.certificate.as_der()).expect("a writable directory");
}

fn serial(n: u32) -> [u8; 19] {
    let mut bytes = [0u8; 19];
    let mut state = u64::from(n) + 1;
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ 0x5851_f42d_4c95_7f2d;
        chunk.copy_from_slice(&state.to_be_bytes()[..chunk.len()]);
    }
    bytes[0] = bytes[0] & 0x3f | 0x40;
    bytes
}

fn measure(path: &str) {
    let read = |suffix: &str| fs::read(format!("{path}{suffix}")).expect("a readable file");
    let certificate = |suffix: &str| Certificate::from_der(&read(suffix)).expect("a certificate");
    let (ca, device) = (certificate(".ca"), certificate(".device"));
    let anchors: TrustAnchors = std::iter::once(ca).collect();
    let mut checks = Checks::at(now());
    let valid = |status: &StatusSources, checks: &Checks| {
        assert!(validate(&**provider(), &anchors, &device, &[], status, checks).is_valid());
    };
    let plain = median(|| valid(&StatusSources::none(), &checks));
    checks.revocation = RevocationPolicy::hard_fail();
    checks.revocation.scope = RevocationScope::LeafOnly;

    let base = resident_kib("VmRSS");
    let der = read("");
    let der_len = der.len();
    let with_der = resident_kib("VmRSS");
    let (parse, crl) = time(|| Arc::new(Crl::from_der(der).expect("a list")));
    let count = crl.entry_count().expect("a whole list");
    let status = StatusSources { crls: vec![crl.clone()], ..StatusSources::none() };
    let (index, _) = time(|| crl.find(device.serial()));
    let (first, ()) = time(|| valid(&status, &checks));
    let peak = resident_kib("VmHWM");
    let repeated = median(|| valid(&status, &checks));
    let serials: Vec<[u8; 19]> = (0..200_000u32).map(|n| serial(n.wrapping_mul(2_654_435_761) % (2 * count))).collect();
    let (lookups, found) = time(|| serials.iter().filter(|s| crl.find(&s[..]) != none()).count());
    assert!(found > 50_000 && found < 150_000);

    println!("\nCRL of {count} entries, {:.1} MB of DER, ECDSA P-256", der_len as f64 / 1e6);
    println!("  parse (every entry checked)           {:>10.2} ms", millis(parse));
    println!("  index and first lookup                {:>10.2} ms", millis(index));
    println!("  first validation (hash, signature)    {:>10.2} ms", millis(first));
    println!("  all three                             {:>10.2} ms", millis(parse + index + first));
    println!("  later lookup                          {:>10.3} us", micros(lookups) / serials.len() as f64);
    println!("  validation without CRL                {:>10.2} us", micros(plain));
    println!("  validation with this CRL, repeated    {:>10.2} us", micros(repeated));
    println!(
        "  index                                 {:>10.2} bytes an entry",
        crl.index_len() as f64 / f64::from(count)
    );
    println!("  resident beside the DER, at most      {:>10} KiB", peak.saturating_sub(with_der));
    println!("  resident in all, at most              {:>10} KiB (before the list: {base})", peak);
}

/// The same list in one pass, read from the file piece by piece.
fn stream(path: &str) {
    let read = |suffix: &str| fs::read(format!("{path}{suffix}")).expect("a readable file");
    let certificate = |suffix: &str| Certificate::from_der(&read(suffix)).expect("a certificate");
    let (ca, device) = (certificate(".ca"), certificate(".device"));
    let anchors: TrustAnchors = std::iter::once(ca).collect();
    let mut checks = Checks::at(now());
    checks.revocation = RevocationPolicy::hard_fail();
    checks.revocation.scope = RevocationScope::LeafOnly;
    let mut file = fs::File::open(path).expect("a readable file");
    let mut chunk = vec![0u8; 16 * 1024];
    // The first use of the provider sets up tables of its own: they are not the list's.
    let plain = Checks::at(now());
    assert!(validate(&**provider(), &anchors, &device, &[], &StatusSources::none(), &plain).is_valid());
    let before = resident_kib("VmHWM");
    let (took, ()) = time(|| {
        let mut stream = CrlStream::new(provider().clone(), &[device.serial()]).expect("one serial number");
        loop {
            let count = file.read(&mut chunk).expect("a readable file");
            if count == 0 {
                break;
            }
            stream.feed(&chunk[..count]).expect("a list");
        }
        let status = StatusSources { crls: vec![Arc::new(stream.finish().expect("a list"))], ..StatusSources::none() };
        assert!(validate(&**provider(), &anchors, &device, &[], &status, &checks).is_valid());
    });
    println!("  in one pass, chunks of 16 KiB         {:>10.2} ms", millis(took));
    println!("  resident for the pass, at most        {:>10} KiB", resident_kib("VmHWM").saturating_sub(before));
}

fn none() -> devid::validation::crl::Found {
    devid::validation::crl::Found::Entries(Vec::new())
}

fn ocsp() {
    let ca = Party::root("CA");
    let device = ca.leaf("device");
    let responder = Builder::leaf("Responder")
        .purposes(&[oid::KP_OCSP_SIGNING])
        .with(oid::OCSP_NOCHECK, false, vec![5, 0])
        .signed_by(&ca);
    let anchors: TrustAnchors = std::iter::once(ca.certificate.clone()).collect();
    let plain_checks = Checks::at(now());
    let mut checks = plain_checks.clone();
    checks.revocation = RevocationPolicy::hard_fail();
    let plain = median(|| {
        black_box(validate(&**provider(), &anchors, &device.certificate, &[], &StatusSources::none(), &plain_checks));
    });
    println!("\nOCSP, ECDSA P-256 (a validation without status costs {:.2} us)", micros(plain));
    for (name, builder) in
        [("by the CA", OcspBuilder::by(&ca)), ("by a delegated responder", OcspBuilder::delegated(&responder))]
    {
        let der = builder.says(Single::good(&device.certificate, &ca)).der();
        let took = median(|| {
            let response = Arc::new(OcspResponse::from_der(&der).expect("a response"));
            let status = StatusSources { ocsp: vec![response], ..StatusSources::none() };
            assert!(validate(&**provider(), &anchors, &device.certificate, &[], &status, &checks).is_valid());
        });
        println!("  {name}: parse + verify {:>22.2} us", micros(took.saturating_sub(plain)));
    }
}

/// Time on the CPU where the system tells it, which other work on the machine disturbs less; else time passed.
fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let (on_cpu, start) = (nanos_on_cpu(), Instant::now());
    let result = black_box(work());
    let passed = start.elapsed();
    match (on_cpu, nanos_on_cpu()) {
        // What the system counts is coarse: short work is timed by the clock.
        (Some(before), Some(after)) if passed > Duration::from_millis(2) => {
            (Duration::from_nanos(after - before), result)
        }
        _ => (passed, result),
    }
}

fn nanos_on_cpu() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..501).map(|_| time(&mut work).0).collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// A line of /proc/self/status, in KiB; zero where there is none.
fn resident_kib(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
