//! Header lines that an old server folds: the line break and the space behind it are read as spaces (RFC 9112 section 5.2,
//! a MUST for user agents), before the HTTP library, which refuses them, sees them.

/// Follows the bytes of one answer up to the end of its header.
#[derive(Debug, Default)]
pub(super) struct Folding {
    is_past_header: bool,
    /// Bytes of the current line, without its end.
    line_len: usize,
    /// A line end at the end of what came: the next byte tells whether the line goes on. At most two bytes.
    held: Vec<u8>,
}

impl Folding {
    /// What came last and was not passed on; it comes first in the next [`Self::pass`].
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// No more will come: what is held stands as it is.
    pub fn end(&mut self) {
        self.held.clear();
    }

    /// Unfolds in place. Answers how many bytes are ready; the rest is held.
    pub fn pass(&mut self, bytes: &mut [u8]) -> usize {
        self.held.clear();
        let mut at = 0;
        while at < bytes.len() && !self.is_past_header {
            let end_len = match bytes[at..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                [b'\r'] => return self.hold(bytes, at),
                _ => {
                    self.line_len += 1;
                    at += 1;
                    continue;
                }
            };
            if self.line_len == 0 {
                self.is_past_header = true;
                break;
            }
            match bytes.get(at + end_len) {
                None => return self.hold(bytes, at),
                Some(b' ' | b'\t') => bytes[at..at + end_len].fill(b' '),
                Some(_) => self.line_len = 0,
            }
            at += end_len;
        }
        bytes.len()
    }

    fn hold(&mut self, bytes: &[u8], at: usize) -> usize {
        self.held.extend_from_slice(&bytes[at..]);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when the bytes arrive in pieces of this size.
    fn unfolded(answer: &[u8], piece: usize) -> Vec<u8> {
        let mut folding = Folding::default();
        let mut out = Vec::new();
        for chunk in answer.chunks(piece) {
            let mut bytes = [folding.held(), chunk].concat();
            let ready = folding.pass(&mut bytes);
            out.extend_from_slice(&bytes[..ready]);
        }
        out.extend_from_slice(folding.held());
        out
    }

    #[test]
    fn folded_lines_are_one_line_and_the_body_stays_as_it_is() {
        let cases: [(&[u8], &[u8]); 4] = [
            (
                b"HTTP/1.1 200 OK\r\nA: 1\r\n\t2\r\nB: 3\r\n\r\nx\r\n y",
                b"HTTP/1.1 200 OK\r\nA: 1  \t2\r\nB: 3\r\n\r\nx\r\n y",
            ),
            (b"HTTP/1.0 200 OK\nA: 1\n 2\n\nx\n y", b"HTTP/1.0 200 OK\nA: 1  2\n\nx\n y"),
            (b"HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n 3\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: 1   2   3\r\n\r\n"),
            (b"HTTP/1.1 200 OK\r\n\r\n \r\n", b"HTTP/1.1 200 OK\r\n\r\n \r\n"),
        ];
        for (answer, expected) in cases {
            for piece in 1..=answer.len() {
                assert_eq!(unfolded(answer, piece), expected, "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn an_answer_that_ends_early_loses_nothing() {
        let answer = b"HTTP/1.1 200 OK\r\nA: 1\r\n";
        for end in 0..answer.len() {
            assert_eq!(unfolded(&answer[..end], 3), &answer[..end]);
        }
    }
}
