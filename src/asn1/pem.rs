//! PEM armour (RFC 7468): told from DER by content, read leniently, written strictly.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use super::der::Asn1Error;

/// One armoured block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The words between BEGIN and the dashes, such as `CERTIFICATE`.
    pub label: String,
    /// The decoded content. May hold a private key: wiped when dropped.
    pub der: Zeroizing<Vec<u8>>,
}

/// Whether the input is PEM: the first thing that is not white space or explanatory text is armour.
pub fn is_pem(input: &[u8]) -> bool {
    // DER of everything we read starts with SEQUENCE; a text that starts with '0' would have to be explanatory.
    input.first() != Some(&0x30) && find(input, b"-----BEGIN ").is_some()
}

/// Reads all blocks, skipping explanatory text around them (RFC 7468 section 2). At least one must be there.
pub fn parse(input: &[u8]) -> Result<Vec<Block>, Asn1Error> {
    let mut blocks = Vec::new();
    let mut rest = input;
    while let Some(start) = find(rest, b"-----BEGIN ") {
        let after = &rest[start + 11..];
        let label_end = find(after, b"-----").ok_or_else(|| bad("the BEGIN line has no closing dashes"))?;
        let label = std::str::from_utf8(&after[..label_end]).map_err(|_| bad("the label is not text"))?;
        let body = &after[label_end + 5..];
        let end_line = format!("-----END {label}-----");
        let body_end = find(body, end_line.as_bytes()).ok_or_else(|| bad("no END line for the BEGIN line"))?;
        let der = decode_base64(&body[..body_end])?;
        blocks.push(Block { label: label.to_owned(), der });
        rest = &body[body_end + end_line.len()..];
    }
    if blocks.is_empty() { Err(bad("no BEGIN line")) } else { Ok(blocks) }
}

/// Writes one block with lines of 64 characters.
pub fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(der.len().div_ceil(48) * 65 + 2 * label.len() + 40));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    for line in der.chunks(48) {
        let mut characters = Zeroizing::new([0u8; 64]);
        let line = Base64::encode(line, &mut *characters).expect("48 bytes make 64 characters");
        out.push_str(line);
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// Constant in time over the content: it may be a private key.
fn decode_base64(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, Asn1Error> {
    if text.contains(&b':') {
        return Err(bad("headers inside the armour (RFC 1421 encryption) are not supported; use PKCS#8"));
    }
    let mut characters = Zeroizing::new(Vec::with_capacity(text.len()));
    characters.extend(text.iter().filter(|c| !c.is_ascii_whitespace()));
    let mut out = Zeroizing::new(vec![0u8; characters.len() / 4 * 3 + 3]);
    let length = Base64::decode(&characters[..], &mut out).map_err(|_| bad("the content is not base64"))?.len();
    out.truncate(length);
    Ok(out)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn bad(rule: &'static str) -> Asn1Error {
    Asn1Error::invalid("PEM", rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_at_every_length() {
        for length in 0..200usize {
            let der: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let blocks = parse(encode("CERTIFICATE", &der).as_bytes()).unwrap();
            assert_eq!((blocks[0].label.as_str(), &blocks[0].der[..]), ("CERTIFICATE", &der[..]));
        }
    }

    #[test]
    fn blocks_are_found_between_explanations() {
        let text =
            format!("Bag Attributes\r\n  name: x\n{}\nsome words\n{}", &*encode("A", b"one"), &*encode("B C", b"two"));
        assert!(is_pem(text.as_bytes()));
        let labels: Vec<_> = parse(text.as_bytes()).unwrap().into_iter().map(|b| b.label).collect();
        assert_eq!(labels, ["A", "B C"]);
    }

    #[test]
    fn damaged_armour_is_refused_with_the_reason() {
        let reason = |text: &str| parse(text.as_bytes()).unwrap_err().to_string();
        assert!(reason("no armour at all").contains("no BEGIN line"));
        assert!(reason("-----BEGIN A-----\nQUJD\n").contains("no END line"));
        assert!(reason("-----BEGIN A-----\nQU*D\n-----END A-----").contains("not base64"));
        assert!(reason("-----BEGIN A-----\nQUJDR\n-----END A-----").contains("not base64"));
        assert!(reason("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nQUJD\n-----END A-----").contains("PKCS#8"));
    }
}
