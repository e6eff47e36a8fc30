//! scrypt (RFC 7914), for key files; PBKDF2 comes from the provider.

use zeroize::Zeroizing;

use super::{CryptoError, DigestAlgorithm, Provider};
use crate::limits;
use crate::prelude::*;

/// Fills `out`. Costs above `limits` and parameters outside RFC 7914 section 6 are refused.
pub(super) fn scrypt(
    provider: &dyn Provider,
    password: &[u8],
    salt: &[u8],
    (n, r, p): (u64, u32, u32),
    out: &mut [u8],
) -> Result<(), CryptoError> {
    let memory = n.checked_mul(128).and_then(|bytes| bytes.checked_mul(r.into()));
    let fits = memory.is_some_and(|bytes| bytes <= limits::MAX_SCRYPT_BYTES);
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 || p > limits::MAX_SCRYPT_PARALLELIZATION || !fits {
        return Err(CryptoError::Unsupported(format!("scrypt with N={n}, r={r}, p={p}")));
    }
    // Bounded above: N * r * 128 fits in MAX_SCRYPT_BYTES.
    let (n, block_len) = (n as usize, 128 * r as usize);
    let mut blocks = Zeroizing::new(vec![0u8; block_len * p as usize]);
    provider.pbkdf2(DigestAlgorithm::Sha256, password, salt, 1, &mut blocks)?;
    let mut memory = Zeroizing::new(vec![0u32; block_len / 4 * n]);
    for block in blocks.chunks_mut(block_len) {
        mix(block, n, &mut memory);
    }
    provider.pbkdf2(DigestAlgorithm::Sha256, password, &blocks, 1, out)
}

/// scryptROMix (RFC 7914 section 5).
fn mix(block: &mut [u8], n: usize, memory: &mut [u32]) {
    let words = block.len() / 4;
    let mut x = Zeroizing::new(vec![0u32; words]);
    let mut y = Zeroizing::new(vec![0u32; words]);
    for (word, bytes) in x.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_le_bytes(bytes.try_into().expect("chunks of four"));
    }
    for slot in memory.chunks_exact_mut(words) {
        slot.copy_from_slice(&x);
        block_mix(&mut x, &mut y);
    }
    for _ in 0..n {
        // Integerify: the last 64-byte block as a little-endian number, modulo N, a power of two.
        let index = x[words - 16] as usize & (n - 1);
        x.iter_mut().zip(&memory[index * words..]).for_each(|(x, v)| *x ^= v);
        block_mix(&mut x, &mut y);
    }
    for (word, bytes) in x.iter().zip(block.chunks_exact_mut(4)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

/// scryptBlockMix (RFC 7914 section 4): even blocks to the front, odd ones behind.
fn block_mix(x: &mut Vec<u32>, y: &mut Vec<u32>) {
    let count = x.len() / 16;
    let mut state: [u32; 16] = x[x.len() - 16..].try_into().expect("sixteen words");
    for (i, block) in x.chunks_exact(16).enumerate() {
        state.iter_mut().zip(block).for_each(|(s, b)| *s ^= b);
        salsa20_8(&mut state);
        let place = (i / 2 + (i % 2) * (count / 2)) * 16;
        y[place..place + 16].copy_from_slice(&state);
    }
    core::mem::swap(x, y);
}

/// Salsa20/8 core (RFC 7914 section 3).
fn salsa20_8(state: &mut [u32; 16]) {
    const ROUND: [[usize; 4]; 8] = [
        [0, 4, 8, 12],
        [5, 9, 13, 1],
        [10, 14, 2, 6],
        [15, 3, 7, 11],
        [0, 1, 2, 3],
        [5, 6, 7, 4],
        [10, 11, 8, 9],
        [15, 12, 13, 14],
    ];
    let mut x = *state;
    for _ in 0..4 {
        for [a, b, c, d] in ROUND {
            x[b] ^= x[a].wrapping_add(x[d]).rotate_left(7);
            x[c] ^= x[b].wrapping_add(x[a]).rotate_left(9);
            x[d] ^= x[c].wrapping_add(x[b]).rotate_left(13);
            x[a] ^= x[d].wrapping_add(x[c]).rotate_left(18);
        }
    }
    state.iter_mut().zip(x).for_each(|(s, x)| *s = s.wrapping_add(x));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_7914_come_out() {
        let provider = super::super::default_provider();
        let mut out = [0u8; 64];
        scrypt(&*provider, b"", b"", (16, 1, 1), &mut out).unwrap();
        let shown = crate::words::hex(&out);
        assert!(shown.starts_with("77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"), "{shown}");
        scrypt(&*provider, b"password", b"NaCl", (1024, 8, 16), &mut out).unwrap();
        let shown = crate::words::hex(&out);
        assert!(shown.starts_with("fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"), "{shown}");
    }

    #[test]
    fn costs_above_the_limits_are_refused_before_memory_is_taken() {
        let provider = super::super::default_provider();
        for cost in [(1 << 40, 8, 1), (u64::MAX, u32::MAX, 1), (1024, 8, 17), (1000, 8, 1), (1024, 0, 1), (1, 1, 1)] {
            let refused = scrypt(&*provider, b"p", b"s", cost, &mut [0; 32]);
            assert!(matches!(refused, Err(CryptoError::Unsupported(_))), "{cost:?}");
        }
    }
}
