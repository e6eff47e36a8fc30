//! Base64 (RFC 4648 section 4) as it stands in files: white space is free, padding is complete, and bits behind the last byte are zero.
//!
//! Two decoders that take the same texts: one whose time and memory accesses say nothing of the content, for what may be a private
//! key, and one that is ten times as quick, for what everybody may see. Which of them a block of PEM gets is decided in `pem` alone.

use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

use crate::prelude::*;

/// What a decoder answers to what is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotBase64;

/// Constant in time over the content. Nothing of it is left behind.
pub(super) fn decode_secret(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotBase64> {
    let mut characters = Zeroizing::new(Vec::with_capacity(text.len()));
    characters.extend(text.iter().filter(|c| !c.is_ascii_whitespace()));
    let mut out = Zeroizing::new(vec![0u8; characters.len() / 4 * 3 + 3]);
    let length = Base64::decode(&characters[..], &mut out).map_err(|_| NotBase64)?.len();
    out.truncate(length);
    Ok(out)
}

/// By a table: how long it takes, and which memory it touches, depends on the content.
pub(super) fn decode_public(text: &[u8]) -> Result<Vec<u8>, NotBase64> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut rest = text;
    // Characters that wait for their four, and how many they are.
    let (mut bits, mut waiting, mut padding) = (0u32, 0u8, 0u8);
    while let [first, behind @ ..] = rest {
        if let ([a, b, c, d, behind @ ..], 0, 0) = (rest, waiting, padding) {
            let [a, b, c, d] = [a, b, c, d].map(|character| VALUES[usize::from(*character)]);
            if (a | b | c | d) < 64 {
                out.extend_from_slice(&[a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d]);
                rest = behind;
                continue;
            }
        }
        rest = behind;
        match VALUES[usize::from(*first)] {
            value @ ..64 if padding == 0 => {
                (bits, waiting) = (bits << 6 | u32::from(value), waiting + 1);
                if waiting == 4 {
                    out.extend_from_slice(&bits.to_be_bytes()[1..]);
                    (bits, waiting) = (0, 0);
                }
            }
            PADDING if padding < 2 => padding += 1,
            SPACE => {}
            _ => return Err(NotBase64),
        }
    }
    match (waiting, padding) {
        (0, 0) => {}
        (2, 2) if bits & 0x0f == 0 => out.push((bits >> 4) as u8),
        (3, 1) if bits & 0x03 == 0 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        _ => return Err(NotBase64),
    }
    Ok(out)
}

const PADDING: u8 = 0x80;
const SPACE: u8 = 0x81;

/// What each character stands for.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut value = 0;
    while value < alphabet.len() {
        values[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    let mut byte = 0;
    while byte < values.len() {
        if (byte as u8).is_ascii_whitespace() {
            values[byte] = SPACE;
        }
        byte += 1;
    }
    values[b'=' as usize] = PADDING;
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &[u8]) -> Option<Vec<u8>> {
        let (secret, public) = (decode_secret(text).ok(), decode_public(text).ok());
        assert_eq!(secret.as_deref(), public.as_ref(), "{:?}", String::from_utf8_lossy(text));
        public
    }

    #[test]
    fn both_decoders_read_what_is_written_wherever_lines_end() {
        for length in 0..120usize {
            let der: Vec<u8> = (0..length).map(|i| (i * 151 + length) as u8).collect();
            let text = Base64::encode_string(&der).into_bytes();
            assert_eq!(both(&text).as_ref(), Some(&der));
            for width in 1..9 {
                for end in [&b"\n"[..], b"\r\n", b" \t"] {
                    let lines: Vec<u8> = text.chunks(width).flat_map(|line| [line, end].concat()).collect();
                    assert_eq!(both(&lines).as_ref(), Some(&der));
                }
            }
        }
    }

    /// Each way to end, each bit behind the last byte, each byte in each place: taken by both, or by neither.
    #[test]
    fn both_decoders_refuse_the_same_texts() {
        let mut taken = 0;
        for text in [&b""[..], b"QUJD", b"QUI=", b"QQ==", b"QUJDREVG", b"QUJDRE=="] {
            for place in 0..=text.len() {
                for byte in 0..=255 {
                    let inserted = [&text[..place], &[byte], &text[place..]].concat();
                    let cut = &text[..place];
                    let replaced = [cut, &[byte], text.get(place + 1..).unwrap_or_default()].concat();
                    for changed in [&inserted, &replaced, &[text, cut].concat(), cut] {
                        taken += usize::from(both(changed).is_some());
                    }
                }
            }
        }
        assert!(taken > 1000);
        for refused in
            [&b"Q"[..], b"QQ", b"QQ=", b"QR==", b"QUK=", b"=", b"====", b"QUJD====", b"QQ==QUJD", b"QU=JD", b"QU-D"]
        {
            assert_eq!(both(refused), None);
        }
        assert_eq!(both(b"Q Q=\n="), Some(b"A".to_vec()));
    }
}
