//! How a document is written in device memory.

use super::document::Item;
use crate::validation::Line;
use crate::validation::revoked::KeyDigest;

/// Format of a record and its version.
const MAGIC: &[u8] = b"status-2\n";
/// Without the lines of those who signed; still read.
const MAGIC_1: &[u8] = b"status-1\n";

/// What a record holds.
pub(super) struct Record<'a> {
    /// The document's key, and what the server calls this version of it.
    pub key: &'a str,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// Of each list in the document, in its order, on whose word it is.
    pub lines: Vec<Vec<Line>>,
    pub body: &'a [u8],
}

impl Record<'_> {
    /// The document's kind.
    pub fn kind(&self) -> Option<char> {
        self.key.chars().next()
    }
}

/// Writes a record: fields with their lengths, then the document.
pub(super) fn join(key: &str, etag: Option<&str>, last_modified: Option<&str>, item: &Item, body: &[u8]) -> Vec<u8> {
    let lines = lines_to_bytes(&item.lines());
    let mut record = MAGIC.to_vec();
    for field in [key, etag.unwrap_or_default(), last_modified.unwrap_or_default()].map(str::as_bytes) {
        put_field(&mut record, field);
    }
    put_field(&mut record, &lines);
    record.extend_from_slice(body);
    record
}

fn put_field(record: &mut Vec<u8>, field: &[u8]) {
    record.extend_from_slice(&(field.len() as u32).to_be_bytes());
    record.extend_from_slice(field);
}

/// Takes a record apart; `None` if it is none.
pub(super) fn split(record: &[u8]) -> Option<Record<'_>> {
    let (mut rest, has_lines) = match record.strip_prefix(MAGIC) {
        Some(rest) => (rest, true),
        None => (record.strip_prefix(MAGIC_1)?, false),
    };
    let mut field = || {
        let (len, behind) = rest.split_first_chunk::<4>()?;
        let (field, behind) = behind.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        rest = behind;
        Some(field)
    };
    let mut text = || std::str::from_utf8(field()?).ok();
    let (key, etag, last_modified) = (text()?, text()?, text()?);
    let lines = if has_lines { lines_from_bytes(field()?)? } else { Vec::new() };
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Some(Record { key, etag: known(etag), last_modified: known(last_modified), lines, body: rest })
}

/// Of each list how many lines, and of each line how many keys and their digests; one byte for a number.
fn lines_to_bytes(lines: &[Vec<Line>]) -> Vec<u8> {
    let count = |count: usize| u8::try_from(count).unwrap_or(0);
    let mut bytes = Vec::new();
    for of_list in lines {
        let of_list: Vec<&Line> = of_list.iter().filter(|line| count(line.len()) > 0).collect();
        bytes.push(count(of_list.len()));
        for line in of_list {
            bytes.push(count(line.len()));
            bytes.extend(line.iter().flatten());
        }
    }
    bytes
}

fn lines_from_bytes(mut bytes: &[u8]) -> Option<Vec<Vec<Line>>> {
    let mut lines = Vec::new();
    while let Some((count, rest)) = bytes.split_first() {
        bytes = rest;
        let mut of_list = Vec::new();
        for _ in 0..*count {
            let (len, rest) = bytes.split_first()?;
            let (digests, rest) = rest.split_at_checked(usize::from(*len) * size_of::<KeyDigest>())?;
            bytes = rest;
            of_list.push(digests.chunks_exact(size_of::<KeyDigest>()).filter_map(|key| key.try_into().ok()).collect());
        }
        lines.push(of_list);
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_were_written_and_a_part_of_them_is_refused() {
        let lines: Vec<Vec<Line>> = vec![vec![vec![[1; 8], [2; 8]], vec![[3; 8]]], vec![], vec![vec![[4; 8]]]];
        let bytes = lines_to_bytes(&lines);
        assert_eq!(lines_from_bytes(&bytes), Some(lines));
        let whole = (0..=bytes.len()).filter(|len| lines_from_bytes(&bytes[..*len]).is_some());
        assert_eq!(whole.collect::<Vec<_>>(), [0, 27, 28, bytes.len()]);
    }

    #[test]
    fn a_record_without_lines_is_still_read() {
        let mut record = MAGIC_1.to_vec();
        [&b"c http://a"[..], b"\"tag\"", b""].iter().for_each(|field| put_field(&mut record, field));
        record.extend_from_slice(b"body");
        let read = split(&record).unwrap();
        assert_eq!((read.key, read.etag.as_deref(), read.last_modified), ("c http://a", Some("\"tag\""), None));
        assert_eq!((read.lines.len(), read.body), (0, &b"body"[..]));
        assert!(split(b"status-3\n").is_none());
    }
}
