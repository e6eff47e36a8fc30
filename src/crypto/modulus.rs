//! Arithmetic modulo a number of fixed size, on public data only: what the DSA signatures of old CAs and the points of elliptic
//! curves need. Nothing here ever touches a secret.

use crate::asn1::Asn1Error;
use crate::prelude::*;

/// An odd modulus, prepared for Montgomery multiplication. Numbers are limbs, the lowest first.
pub(super) struct Modulus {
    pub(super) n: Vec<u64>,
    pub(super) bits: usize,
    /// -1/n modulo 2^64.
    inverse: u64,
    /// 2^(128 * limbs) modulo n.
    r_squared: Vec<u64>,
}

impl Modulus {
    pub(super) fn new(content: &[u8], bits: &[usize]) -> Result<Self, Asn1Error> {
        let found = content.len() * 8 - content.first().map_or(0, |b| b.leading_zeros() as usize);
        if !bits.contains(&found) || content.last().is_none_or(|b| b & 1 == 0) {
            return Err(Asn1Error::invalid("a public key", "a modulus that is even or of a refused size"));
        }
        let n = limbs(content);
        let inverse = (0..6).fold(1u64, |x, _| x.wrapping_mul(2u64.wrapping_sub(n[0].wrapping_mul(x)))).wrapping_neg();
        let mut modulus = Modulus { bits: found, inverse, r_squared: Vec::new(), n };
        let mut r_squared = vec![0; modulus.n.len()];
        r_squared[0] = 1;
        for _ in 0..128 * modulus.n.len() {
            modulus.double(&mut r_squared, 0);
        }
        modulus.r_squared = r_squared;
        Ok(modulus)
    }

    /// A number from 1 to n - 1.
    pub(super) fn residue(&self, content: &[u8]) -> Option<Vec<u64>> {
        let mut number = limbs(content);
        if number.len() > self.n.len() {
            return None;
        }
        number.resize(self.n.len(), 0);
        (is_below(&number, &self.n) && number.iter().any(|limb| *limb != 0)).then_some(number)
    }

    /// Any number modulo n.
    pub(super) fn reduce(&self, number: &[u64]) -> Vec<u64> {
        let mut out = vec![0; self.n.len()];
        for limb in number.iter().rev() {
            for bit in (0..64).rev() {
                self.double(&mut out, limb >> bit & 1);
            }
        }
        out
    }

    /// `number` becomes twice itself plus `bit`, modulo n.
    fn double(&self, number: &mut [u64], bit: u64) {
        let mut carry = bit;
        for limb in number.iter_mut() {
            (*limb, carry) = (*limb << 1 | carry, *limb >> 63);
        }
        if carry == 1 || !is_below(number, &self.n) {
            subtract(number, &self.n);
        }
    }

    /// a + b modulo n, of residues.
    pub(super) fn sum(&self, a: &[u64], b: &[u64]) -> Vec<u64> {
        let mut carry = false;
        let mut out: Vec<u64> = Vec::with_capacity(a.len());
        for (a, b) in a.iter().zip(b) {
            let (first, over) = a.overflowing_add(*b);
            let (second, over_again) = first.overflowing_add(u64::from(carry));
            out.push(second);
            carry = over || over_again;
        }
        if carry || !is_below(&out, &self.n) {
            subtract(&mut out, &self.n);
        }
        out
    }

    pub(super) fn product(&self, a: &[u64], b: &[u64]) -> Vec<u64> {
        self.montgomery(&self.montgomery(a, b), &self.r_squared)
    }

    pub(super) fn power(&self, base: &[u64], exponent: &[u64]) -> Vec<u64> {
        let mut one = vec![0; self.n.len()];
        one[0] = 1;
        let base = self.montgomery(base, &self.r_squared);
        let mut out = self.montgomery(&one, &self.r_squared);
        for limb in exponent.iter().rev() {
            for bit in (0..64).rev() {
                out = self.montgomery(&out, &out);
                if limb >> bit & 1 == 1 {
                    out = self.montgomery(&out, &base);
                }
            }
        }
        self.montgomery(&out, &one)
    }

    /// a * b / 2^(64 * limbs) modulo n.
    fn montgomery(&self, a: &[u64], b: &[u64]) -> Vec<u64> {
        let count = self.n.len();
        let mut out = vec![0u64; count + 2];
        for a_limb in a {
            let top = add_product(&mut out[..=count], *a_limb, b);
            out[count + 1] = top;
            let factor = out[0].wrapping_mul(self.inverse);
            let top = add_product(&mut out[..=count], factor, &self.n);
            out[count + 1] += top;
            out.rotate_left(1);
            out[count + 1] = 0;
        }
        let overflow = out[count] != 0;
        out.truncate(count);
        if overflow || !is_below(&out, &self.n) {
            subtract(&mut out, &self.n);
        }
        out
    }
}

/// `out` += factor * number; `out` is one limb longer. Returns what does not fit.
fn add_product(out: &mut [u64], factor: u64, number: &[u64]) -> u64 {
    let mut carry = 0u128;
    for (limb, n) in out.iter_mut().zip(number) {
        let sum = u128::from(*limb) + u128::from(factor) * u128::from(*n) + carry;
        (*limb, carry) = (sum as u64, sum >> 64);
    }
    let last = &mut out[number.len()];
    let sum = u128::from(*last) + carry;
    *last = sum as u64;
    (sum >> 64) as u64
}

fn is_below(a: &[u64], b: &[u64]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn subtract(a: &mut [u64], b: &[u64]) {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        let (first, under) = a.overflowing_sub(*b);
        let (second, under_again) = first.overflowing_sub(u64::from(borrow));
        (*a, borrow) = (second, under || under_again);
    }
}

pub(super) fn limbs(big_endian: &[u8]) -> Vec<u64> {
    big_endian.rchunks(8).map(|chunk| chunk.iter().fold(0, |n, b| n << 8 | u64::from(*b))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modulus(content: &[u8]) -> Modulus {
        Modulus::new(content, &[content.len() * 8]).unwrap()
    }

    #[test]
    fn arithmetic_agrees_with_128_bit_integers() {
        let n = 0xffff_ffff_ffff_ffc5u64;
        let modulus = modulus(&n.to_be_bytes());
        let mut x = 0x0123_4567_89ab_cdefu64;
        for _ in 0..1000 {
            let (a, b) = (x % n, x.rotate_left(29) % n);
            let expected = (u128::from(a) * u128::from(b) % u128::from(n)) as u64;
            assert_eq!(modulus.product(&[a], &[b]), [expected]);
            assert_eq!(modulus.reduce(&[a, b]), [((u128::from(b) << 64 | u128::from(a)) % u128::from(n)) as u64]);
            // Fermat: n is prime.
            assert_eq!(modulus.power(&[a.max(1)], &[n - 1]), [1]);
            x = x.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        }
    }

    #[test]
    fn inverses_hold_over_several_limbs() {
        // 2^255 - 19 is prime.
        let mut content = [0xff; 32];
        (content[0], content[31]) = (0x7f, 0xed);
        let modulus = Modulus::new(&content, &[255]).unwrap();
        let a = modulus.residue(&[0x5a; 31]).unwrap();
        let mut exponent = modulus.n.clone();
        exponent[0] -= 2;
        let inverse = modulus.power(&a, &exponent);
        assert_eq!(modulus.product(&a, &inverse), [1, 0, 0, 0]);
    }
}
