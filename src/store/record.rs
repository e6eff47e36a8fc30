//! Small text records with a check line, and blobs with a check header: a reader notices every damaged byte.

use zeroize::Zeroizing;

use super::error::{StoreError, StoreErrorKind};
use crate::asn1::x509::hex;
use crate::crypto::{DigestAlgorithm, Provider};

/// Folder and kind of the records that are wrapped blobs.
pub(super) type RecordFolder = (&'static str, &'static str);
pub(super) const OPERATION: RecordFolder = ("operation", "operation");
pub(super) const BLOB: RecordFolder = ("blob", "blob");
pub(super) const NUMBER: RecordFolder = ("number", "number");
/// The blob that says who is revoked. A guard like the numbers: damage is not mended by taking it away, and a factory reset leaves it.
pub const REVOKED_RECORD: &str = "revoked";

/// Numbers that only tell that something has changed: what is kept of status data, and the record of who is revoked. Unlike all others they
/// guard nothing by themselves.
pub(super) const MARKS: [&str; 2] = ["status-mark", "revoked-mark"];

/// Whether a blob or number of this name is the library's own, and not a program's to put there.
pub fn is_own_record(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        REVOKED_RECORD,
        "revoked-mark",
        "bearers",
        "clock-seen",
        "clock-boot",
        "device-id",
        "forgotten-keys",
        "refused-pins",
    ];
    const PREFIXES: [&str; 7] = ["status-", "crl-", "crt-", "cre-", "renewal-", "export-", "changed-"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Lines of `name value` between a first line `devid-<kind> 1` and a last line `check <SHA-256>`.
#[derive(Debug)]
pub(super) struct Record {
    fields: Vec<(String, String)>,
}

impl Record {
    pub(super) fn new() -> Self {
        Record { fields: Vec::new() }
    }

    /// Adds a field. Values are made by this room: no line breaks.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.fields.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn encode(&self, kind: &str, provider: &dyn Provider) -> Result<Vec<u8>, StoreError> {
        let mut text = format!("devid-{kind} 1\n");
        for (name, value) in &self.fields {
            text.push_str(&format!("{name} {value}\n"));
        }
        let check = digest_hex(provider, &[text.as_bytes()])?;
        text.push_str(&format!("check {check}\n"));
        Ok(text.into_bytes())
    }

    pub(super) fn parse(bytes: &[u8], kind: &str, place: &str, provider: &dyn Provider) -> Result<Self, StoreError> {
        let damaged = |what: &str| StoreError::corrupt(place, what);
        let text = std::str::from_utf8(bytes).map_err(|_| damaged("not text"))?;
        let at = text.rfind("check ");
        let (body, check) = text.split_at(at.unwrap_or(text.len()));
        let is_whole = |body: &str| Ok(check == format!("check {}\n", digest_hex(provider, &[body.as_bytes()])?));
        check_version(text, kind, place, |behind| match behind.strip_suffix(check) {
            Some(behind) => is_whole(&format!("devid-{kind} 1{behind}")),
            None => Ok(false),
        })?;
        if at.is_none() {
            return Err(damaged("the check line is missing"));
        }
        if !is_whole(body)? {
            return Err(damaged("the check line does not match the lines before it"));
        }
        let fields = body
            .lines()
            .skip(1)
            .map(|line| line.split_once(' ').map(|(n, v)| (n.to_owned(), v.to_owned())))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| damaged("a line is not a name and a value"))?;
        Ok(Record { fields })
    }

    pub(super) fn field(&self, name: &str, place: &str) -> Result<&str, StoreError> {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_str()).ok_or_else(|| StoreError::corrupt(place, format!("the line {name} is missing")))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(n, _)| n == name)
    }

    pub(super) fn number<T: std::str::FromStr>(&self, name: &str, place: &str) -> Result<T, StoreError> {
        let value = self.field(name, place)?;
        value.parse().map_err(|_| {
            StoreError::corrupt(place, format!("the line {name} holds {}, not a number", crate::words::quoted(value)))
        })
    }
}

/// Bytes behind a line `devid-<kind> 1 <length> <SHA-256>`.
pub(super) fn wrap(kind: &str, bytes: &[u8], provider: &dyn Provider) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let header = format!("devid-{kind} 1 {} {}\n", bytes.len(), digest_hex(provider, &[bytes])?);
    let mut out = Zeroizing::new(Vec::with_capacity(header.len() + bytes.len()));
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(bytes);
    Ok(out)
}

/// The bytes again, or what is wrong with them.
pub(super) fn unwrap<'a>(
    stored: &'a [u8],
    kind: &str,
    place: &str,
    provider: &dyn Provider,
) -> Result<&'a [u8], StoreError> {
    let end = stored.iter().take(200).position(|b| *b == b'\n');
    let (header, bytes) = stored.split_at(end.ok_or_else(|| StoreError::corrupt(place, "no header line"))? + 1);
    let header = String::from_utf8_lossy(header);
    let expected = format!("devid-{kind} 1 {} {}\n", bytes.len(), digest_hex(provider, &[bytes])?);
    check_version(&header, kind, place, |behind| Ok(format!("devid-{kind} 1{behind}") == expected))?;
    if header != expected {
        return Err(StoreError::corrupt(place, "length or SHA-256 in the header line do not match the content"));
    }
    Ok(bytes)
}

/// The version that a record says it has. `is_first`: whether a record of version 1 would be whole with this behind its version: then
/// it is one, and a byte of the version alone is damaged. What later versions write, they check together with the version.
fn check_version(
    text: &str,
    kind: &str,
    place: &str,
    is_first: impl Fn(&str) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let Some(rest) = text.strip_prefix(&format!("devid-{kind} ")) else {
        return Err(StoreError::corrupt(place, format!("expected a first line devid-{kind} 1")));
    };
    let version = rest.split([' ', '\n']).next().unwrap_or("");
    if version == "1" {
        return Ok(());
    }
    // The byte of the version, or the one behind it.
    let mut later = rest.chars();
    later.next();
    let behind_one = later.as_str();
    later.next();
    let behind_two = later.as_str();
    if is_first(behind_one)? || is_first(&format!(" {behind_two}"))? || is_first(&format!("\n{behind_two}"))? {
        return Err(StoreError::corrupt(place, "the version in the first line is not what was written"));
    }
    let detail = format!("version {} of devid-{kind}; this library knows version 1", crate::words::quoted(version));
    Err(StoreError::new(StoreErrorKind::Version, place, detail))
}

pub(super) fn digest_hex(provider: &dyn Provider, parts: &[&[u8]]) -> Result<String, StoreError> {
    provider
        .digest(DigestAlgorithm::Sha256, parts)
        .map(|value| hex(&value))
        .map_err(|e| StoreError::new(StoreErrorKind::Io, "", format!("SHA-256: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::default_provider;

    #[test]
    fn every_damaged_byte_of_a_record_or_blob_is_noticed() {
        let provider = default_provider();
        let record = Record::new().with("current", 7).with("words", "a b c").encode("test", &*provider).unwrap();
        let parsed = Record::parse(&record, "test", "x", &*provider).unwrap();
        assert_eq!((parsed.number::<u32>("current", "x").unwrap(), parsed.field("words", "x").unwrap()), (7, "a b c"));
        assert!(parsed.has("current") && parsed.has("words") && !parsed.has("last"));
        let blob = wrap("blob", b"content", &*provider).unwrap();
        assert_eq!(unwrap(&blob, "blob", "x", &*provider).unwrap(), b"content");

        for (position, bit) in (0..record.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
            let mut damaged = record.clone();
            damaged[position] ^= 1 << bit;
            let kind = Record::parse(&damaged, "test", "x", &*provider).unwrap_err().kind;
            assert_eq!(kind, StoreErrorKind::Corrupt, "byte {position}: no newer version");
            assert!(Record::parse(&record[..position], "test", "x", &*provider).is_err(), "cut at {position}");
        }
        for (position, bit) in (0..blob.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
            let mut damaged = blob.to_vec();
            damaged[position] ^= 1 << bit;
            let kind = unwrap(&damaged, "blob", "x", &*provider).unwrap_err().kind;
            assert_eq!(kind, StoreErrorKind::Corrupt, "byte {position}: no newer version");
            assert!(unwrap(&blob[..position], "blob", "x", &*provider).is_err(), "cut at {position}");
        }
        // The dark twins: newer versions, whose checks are their own.
        let newer = b"devid-blob 2 whatever\n";
        assert_eq!(unwrap(newer, "blob", "x", &*provider).unwrap_err().kind, StoreErrorKind::Version);
        let body = "devid-test 2\ncurrent 7\n";
        let newer = format!("{body}check {}\n", digest_hex(&*provider, &[body.as_bytes()]).unwrap());
        let kind = Record::parse(newer.as_bytes(), "test", "x", &*provider).unwrap_err().kind;
        assert_eq!(kind, StoreErrorKind::Version);
    }
}
