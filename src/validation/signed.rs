//! Remembering which keys a signed object was checked with, and who was found to be its signer.

use core::sync::atomic::{AtomicBool, Ordering};

use super::revoked::KeyDigest;
use crate::asn1::x509::Certificate;
use crate::crypto::CryptoError;
use crate::prelude::*;
use crate::sync::Lock;

/// Most certificates remembered of an object's signer and the path above it.
const MAX_CERTIFICATES: usize = 8;
/// Most lines remembered of one object: a CA has one, or one more for each CA that has certified it beside.
const MAX_LINES: usize = 4;

/// On whose word something is: digests of the keys from an anchor down to the one that signed it.
pub(crate) type Line = Vec<KeyDigest>;

/// Who was found entitled to sign an object, and the certificates that it takes to find that out again where they are not
/// part of the path that is judged. They are no more trusted than any helper: what is remembered is with whom to try.
#[derive(Debug, Default)]
pub(super) struct Entitled {
    is_found: AtomicBool,
    signers: Lock<Vec<Certificate>>,
    lines: Lock<Vec<Line>>,
}

impl Entitled {
    /// A signer was found entitled, over these certificates, and in this line where somebody keeps it.
    pub(super) fn note(&self, signers: &[Certificate], line: Option<Line>) {
        self.is_found.store(true, Ordering::Relaxed);
        self.bring(signers);
        self.bring_lines(line);
    }

    /// In these lines it was found entitled before. A shorter one takes the place of the longest: whoever certifies a CA once
    /// more makes longer ones.
    pub(super) fn bring_lines(&self, lines: impl IntoIterator<Item = Line>) {
        self.lines.with(|known| {
            for line in lines {
                if line.is_empty() || known.contains(&line) {
                    continue;
                }
                if known.len() < MAX_LINES {
                    known.push(line);
                } else if let Some(longest) = known.iter_mut().max_by_key(|known| known.len()) {
                    if line.len() < longest.len() {
                        *longest = line;
                    }
                }
            }
        });
    }

    pub(super) fn lines(&self) -> Vec<Line> {
        self.lines.with(|known| known.clone())
    }

    /// These certificates were kept with the object. Whether its signer is entitled is still to be found out.
    pub(super) fn bring(&self, signers: &[Certificate]) {
        self.signers.with(|known| {
            for signer in signers {
                if known.len() < MAX_CERTIFICATES && !known.contains(signer) {
                    known.push(signer.clone());
                }
            }
        });
    }

    pub(super) fn is_found(&self) -> bool {
        self.is_found.load(Ordering::Relaxed)
    }

    pub(super) fn signers(&self) -> Vec<Certificate> {
        self.signers.with(|known| known.clone())
    }
}

/// Most keys remembered per object: an issuer has one, during a key change two.
const MAX_KEYS: usize = 4;

/// Which keys made the signature of one object, and which did not.
///
/// Keyed by the bytes of the key itself, not by a name or a place in memory: nothing else may stand in for it.
#[derive(Debug, Default)]
pub(super) struct SignatureMemory {
    checked: Lock<Vec<Checked>>,
}

#[derive(Debug)]
struct Checked {
    spki: Box<[u8]>,
    allow_weak: bool,
    outcome: Result<(), CryptoError>,
}

impl SignatureMemory {
    /// The outcome of an earlier check under the same key and the same rule about weak algorithms, or that of `check`.
    ///
    /// The check itself happens outside the lock: nobody waits for a signature of another's.
    pub(super) fn recall_or(
        &self,
        spki: &[u8],
        allow_weak: bool,
        check: impl FnOnce() -> Result<(), CryptoError>,
    ) -> Result<(), CryptoError> {
        let is_it = |c: &&Checked| *c.spki == *spki && c.allow_weak == allow_weak;
        let known = || self.checked.with(|checked| checked.iter().find(is_it).map(|known| known.outcome.clone()));
        if let Some(outcome) = known() {
            return outcome;
        }
        let outcome = check();
        let news = Checked { spki: spki.into(), allow_weak, outcome: outcome.clone() };
        self.checked.with(|checked| {
            // Somebody else may have checked the same meanwhile.
            if checked.iter().any(|c| is_it(&c)) {
                return;
            }
            if checked.len() == MAX_KEYS {
                // What failed goes first: wrong keys must not drive out the right one.
                let spare = checked.iter().position(|c| c.outcome.is_err()).unwrap_or(0);
                checked.remove(spare);
            }
            checked.push(news);
        });
        outcome
    }

    /// Whether the answer for this key is there already, so that it costs nothing.
    pub(super) fn knows(&self, spki: &[u8], allow_weak: bool) -> bool {
        self.checked.with(|checked| checked.iter().any(|c| *c.spki == *spki && c.allow_weak == allow_weak))
    }

    /// The keys that were found to have made the signature.
    pub(super) fn signers(&self) -> Vec<Box<[u8]>> {
        let of =
            |checked: &mut Vec<Checked>| checked.iter().filter(|c| c.outcome.is_ok()).map(|c| c.spki.clone()).collect();
        self.checked.with(of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_checked_once_per_key_and_rule() {
        let memory = SignatureMemory::default();
        let mut work = 0;
        for _ in 0..3 {
            let right = memory.recall_or(b"right", false, || {
                work += 1;
                Ok(())
            });
            assert_eq!(right, Ok(()));
        }
        assert_eq!(work, 1);
        assert_eq!(memory.recall_or(b"wrong", false, || Err(CryptoError::Mismatch)), Err(CryptoError::Mismatch));
        assert_eq!(memory.recall_or(b"wrong", false, || panic!("asked twice")), Err(CryptoError::Mismatch));
        assert_eq!(memory.recall_or(b"right", false, || panic!("asked twice")), Ok(()));
    }

    #[test]
    fn what_passed_with_weak_algorithms_allowed_is_asked_again_without() {
        let memory = SignatureMemory::default();
        assert_eq!(memory.recall_or(b"key", true, || Ok(())), Ok(()));
        assert_eq!(memory.recall_or(b"key", false, || Err(CryptoError::Mismatch)), Err(CryptoError::Mismatch));
    }

    #[test]
    fn many_wrong_keys_do_not_fill_memory() {
        let memory = SignatureMemory::default();
        memory.recall_or(b"right", false, || Ok(())).unwrap();
        for key in 0..100u8 {
            let _ = memory.recall_or(&[key], false, || Err(CryptoError::Mismatch));
        }
        assert_eq!(memory.checked.with(|checked| checked.len()), MAX_KEYS);
        assert_eq!(memory.recall_or(b"right", false, || panic!("driven out")), Ok(()));
    }
}
