//! A tree of DER elements, read whole and without a schema: on purpose not the decoder of the library under test, so
//! that a mistake in one is not repeated in the other.

use std::fmt;

/// Deepest nesting read.
const MAX_DEPTH: usize = 40;

/// One element.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    /// First byte of the tag; numbers above 30 are not used by any structure here and are refused.
    pub tag: u8,
    /// Tag, length, value.
    pub bytes: Vec<u8>,
    /// Where the value begins.
    header_len: usize,
    /// Elements inside, if it is constructed.
    pub children: Vec<Node>,
}

impl Node {
    /// Reads exactly one element.
    pub fn parse(bytes: &[u8]) -> Result<Node, String> {
        let (node, rest) = read(bytes, 0)?;
        if rest.is_empty() { Ok(node) } else { Err(format!("{} bytes behind the end", rest.len())) }
    }

    /// The content.
    pub fn value(&self) -> &[u8] {
        &self.bytes[self.header_len..]
    }

    /// The n-th element inside.
    pub fn at(&self, n: usize) -> Result<&Node, String> {
        self.children.get(n).ok_or_else(|| format!("element {n} is missing in {self:?}"))
    }

    /// The first element inside with this tag byte.
    pub fn tagged(&self, tag: u8) -> Option<&Node> {
        self.children.iter().find(|c| c.tag == tag)
    }

    /// The single element inside an explicit tag.
    pub fn inner(&self) -> Result<&Node, String> {
        match &self.children[..] {
            [one] => Ok(one),
            more => Err(format!("expected one element under {:02x}, found {}", self.tag, more.len())),
        }
    }

    /// Checks the tag byte.
    pub fn expect(&self, tag: u8, what: &str) -> Result<&Node, String> {
        if self.tag == tag { Ok(self) } else { Err(format!("{what}: expected tag {tag:02x}, found {:02x}", self.tag)) }
    }

    /// An INTEGER that fits.
    pub fn integer(&self) -> Result<i64, String> {
        self.expect(0x02, "INTEGER")?;
        let value = self.value();
        let minimal = match value {
            [] => false,
            [0x00, second, ..] => second & 0x80 != 0,
            [0xff, second, ..] => second & 0x80 == 0,
            _ => true,
        };
        if !minimal || value.len() > 8 {
            return Err("an INTEGER that is not in its shortest form or does not fit".to_owned());
        }
        let start = if value[0] & 0x80 != 0 { -1i64 } else { 0 };
        Ok(value.iter().fold(start, |n, b| n << 8 | i64::from(*b)))
    }

    /// Dotted form of an OBJECT IDENTIFIER.
    pub fn oid(&self) -> Result<String, String> {
        self.expect(0x06, "OBJECT IDENTIFIER")?;
        let mut arcs: Vec<u64> = Vec::new();
        let mut arc = 0u64;
        for byte in self.value() {
            arc = arc.checked_mul(128).ok_or("an arc that does not fit")? | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                if arcs.is_empty() {
                    let first = (arc / 40).min(2);
                    arcs.extend([first, arc - first * 40]);
                } else {
                    arcs.push(arc);
                }
                arc = 0;
            }
        }
        Ok(arcs.iter().map(u64::to_string).collect::<Vec<_>>().join("."))
    }

    /// Content of a BIT STRING of whole bytes.
    pub fn bits(&self) -> Result<&[u8], String> {
        self.expect(0x03, "BIT STRING")?;
        match self.value() {
            [0, rest @ ..] => Ok(rest),
            _ => Err("a BIT STRING with unused bits".to_owned()),
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:02x}, {} bytes, {} inside]", self.tag, self.bytes.len(), self.children.len())
    }
}

fn read(bytes: &[u8], depth: usize) -> Result<(Node, &[u8]), String> {
    if depth > MAX_DEPTH {
        return Err("nested too deeply".to_owned());
    }
    let [tag, first, ..] = bytes else { return Err("cut short".to_owned()) };
    if tag & 0x1f == 0x1f {
        return Err("a tag of more than one byte".to_owned());
    }
    let (length, header_len) = match first {
        0..=0x7f => (usize::from(*first), 2),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let digits = bytes.get(2..2 + count).ok_or("cut short in a length")?;
            let length = digits.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
            if digits[0] == 0 || length < 0x80 {
                return Err("a length that is not in its shortest form".to_owned());
            }
            (length, 2 + count)
        }
        _ => return Err("a length that DER does not have".to_owned()),
    };
    let end = header_len.checked_add(length).filter(|end| *end <= bytes.len()).ok_or("cut short in a value")?;
    let mut children = Vec::new();
    if tag & 0x20 != 0 {
        let mut rest = &bytes[header_len..end];
        while !rest.is_empty() {
            let (child, behind) = read(rest, depth + 1)?;
            children.push(child);
            rest = behind;
        }
    }
    Ok((Node { tag: *tag, bytes: bytes[..end].to_vec(), header_len, children }, &bytes[end..]))
}

/// Writes an element.
pub fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        n @ 0..=0x7f => out.push(n as u8),
        n => {
            let digits: Vec<u8> = n.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
            out.push(0x80 | digits.len() as u8);
            out.extend(digits);
        }
    }
    out.extend(content);
    out
}

/// Writes a SEQUENCE.
pub fn seq(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, parts)
}

/// Writes an INTEGER.
pub fn int(number: i64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let mut start = 0;
    while start < 7
        && ((bytes[start] == 0 && bytes[start + 1] & 0x80 == 0)
            || (bytes[start] == 0xff && bytes[start + 1] & 0x80 != 0))
    {
        start += 1;
    }
    tlv(0x02, &[&bytes[start..]])
}

/// Writes an OBJECT IDENTIFIER from its dotted form.
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|a| a.parse().expect("a number")).collect();
    let mut content = Vec::new();
    let mut push = |arc: u64| {
        let mut digits = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            digits.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        content.extend(digits.into_iter().rev());
    };
    push(arcs[0] * 40 + arcs[1]);
    arcs[2..].iter().for_each(|arc| push(*arc));
    tlv(0x06, &[&content])
}

/// Writes an OCTET STRING.
pub fn octets(value: &[u8]) -> Vec<u8> {
    tlv(0x04, &[value])
}

/// Writes a BIT STRING of whole bytes.
pub fn bits(value: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], value])
}

/// Writes a UTF8String.
pub fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, &[text.as_bytes()])
}

/// Writes a GeneralizedTime.
pub fn generalized_time(unix: i64) -> Vec<u8> {
    tlv(0x18, &[civil(unix).as_bytes()])
}

/// Writes a Time: UTCTime through 2049.
pub fn time(unix: i64) -> Vec<u8> {
    let text = civil(unix);
    if text.as_str() < "2050" { tlv(0x17, &[&text.as_bytes()[2..]]) } else { tlv(0x18, &[text.as_bytes()]) }
}

/// Seconds since 1970 of `YYYYMMDDHHMMSSZ`.
pub fn unix_of(text: &str) -> Result<i64, String> {
    let number = |range: std::ops::Range<usize>| -> Result<i64, String> {
        text.get(range).and_then(|t| t.parse().ok()).ok_or_else(|| format!("{text} is no time"))
    };
    if text.len() != 15 || !text.ends_with('Z') {
        return Err(format!("{text} is not in the form YYYYMMDDHHMMSSZ"));
    }
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let mut days = day - 1;
    for m in 1..month {
        days += month_days(year, m);
    }
    days += (1970..year).map(|y| if is_leap(y) { 366 } else { 365 }).sum::<i64>();
    days -= (year..1970).map(|y| if is_leap(y) { 366 } else { 365 }).sum::<i64>();
    Ok(days * 86_400 + number(8..10)? * 3600 + number(10..12)? * 60 + number(12..14)?)
}

fn civil(unix: i64) -> String {
    let (mut days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let mut year = 1970;
    while days < 0 {
        year -= 1;
        days += if is_leap(year) { 366 } else { 365 };
    }
    while days >= if is_leap(year) { 366 } else { 365 } {
        days -= if is_leap(year) { 366 } else { 365 };
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    format!("{year:04}{month:02}{:02}{:02}{:02}{:02}Z", days + 1, second / 3600, second / 60 % 60, second % 60)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for number in [0, 1, -1, 127, 128, 255, 256, -128, -129, i64::MAX, i64::MIN] {
            assert_eq!(Node::parse(&int(number)).unwrap().integer(), Ok(number));
        }
        for dotted in ["1.2.840.113549.1.1.11", "2.5.29.15", "2.16.840.1.101.3.4.2.1", "1.3.6.1.5.5.7.3.28"] {
            assert_eq!(Node::parse(&oid(dotted)).unwrap().oid().unwrap(), dotted);
        }
        for unix in [0, 951_782_400, 1_796_000_000, 253_402_300_799, -1] {
            assert_eq!(unix_of(&civil(unix)), Ok(unix));
        }
    }

    #[test]
    fn malformed_input_is_refused() {
        for bad in
            [&[0x30u8, 0x80, 0, 0][..], &[0x30, 0x81, 0x05, 0, 0, 0, 0, 0], &[0x30, 0x02, 0x05], &[0x1f, 0x81, 0], &[]]
        {
            assert!(Node::parse(bad).is_err(), "{bad:02x?}");
        }
    }
}
