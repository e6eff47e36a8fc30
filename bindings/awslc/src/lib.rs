//! One call of AWS-LC that the crate `aws-lc-rs` does not offer: RSAES-OAEP whose mask is made with another digest than the label's
//! (RFC 8017 section 7.1, RFC 4055 section 4.1), as Java's `OAEPWithSHA-256AndMGF1Padding` is. A crate of its own, as such calls need
//! `unsafe`.

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use aws_lc_sys as sys;
use zeroize::Zeroizing;

/// A digest that the label or the mask is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    fn method(self) -> *const sys::EVP_MD {
        // SAFETY: these take nothing and give a table that is there for ever.
        unsafe {
            match self {
                Digest::Sha1 => sys::EVP_sha1(),
                Digest::Sha224 => sys::EVP_sha224(),
                Digest::Sha256 => sys::EVP_sha256(),
                Digest::Sha384 => sys::EVP_sha384(),
                Digest::Sha512 => sys::EVP_sha512(),
            }
        }
    }
}

struct Key(NonNull<sys::EVP_PKEY>);

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: it was made by `read_key` and nothing else refers to it.
        unsafe { sys::EVP_PKEY_free(self.0.as_ptr()) }
    }
}

struct Context(NonNull<sys::EVP_PKEY_CTX>);

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: as for the key.
        unsafe { sys::EVP_PKEY_CTX_free(self.0.as_ptr()) }
    }
}

/// Opens what was encrypted to an RSA key (PKCS#8, DER), with an empty label. `None` whatever fails: how does not show. The key is one
/// that its owner has read already, so that its form and size were checked.
pub fn rsa_oaep_decrypt(pkcs8: &[u8], label: Digest, mask: Digest, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let opened = decrypt(pkcs8, label, mask, ciphertext);
    // SAFETY: it touches this thread's own queue, where a failure would stay and be taken for another call's.
    unsafe { sys::ERR_clear_error() };
    opened
}

fn decrypt(pkcs8: &[u8], label: Digest, mask: Digest, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = read_key(pkcs8)?;
    // SAFETY: the key is there; the context holds a reference of its own.
    let context = Context(NonNull::new(unsafe { sys::EVP_PKEY_CTX_new(key.0.as_ptr(), ptr::null_mut()) })?);
    let operation = context.0.as_ptr();
    let is_set = |answer| (answer == 1).then_some(());
    // SAFETY: the context is there, the tables of the digests are for ever; a key of another kind answers 0.
    unsafe {
        is_set(sys::EVP_PKEY_decrypt_init(operation))?;
        is_set(sys::EVP_PKEY_CTX_set_rsa_padding(operation, sys::RSA_PKCS1_OAEP_PADDING))?;
        is_set(sys::EVP_PKEY_CTX_set_rsa_oaep_md(operation, label.method()))?;
        is_set(sys::EVP_PKEY_CTX_set_rsa_mgf1_md(operation, mask.method()))?;
    }
    let mut len = 0;
    // SAFETY: without a place for the result the call tells how long it can be; the input is as long as said.
    is_set(unsafe {
        sys::EVP_PKEY_decrypt(operation, ptr::null_mut(), &raw mut len, ciphertext.as_ptr(), ciphertext.len())
    })?;
    let mut out = Zeroizing::new(vec![0; len]);
    // SAFETY: both buffers are as long as said.
    is_set(unsafe {
        sys::EVP_PKEY_decrypt(operation, out.as_mut_ptr(), &raw mut len, ciphertext.as_ptr(), ciphertext.len())
    })?;
    out.truncate(len);
    Some(out)
}

fn read_key(pkcs8: &[u8]) -> Option<Key> {
    let mut input = MaybeUninit::uninit();
    // SAFETY: CBS_init fills the structure with the bytes and their length; the key keeps nothing of them.
    let key = unsafe {
        sys::CBS_init(input.as_mut_ptr(), pkcs8.as_ptr(), pkcs8.len());
        sys::EVP_parse_private_key(input.as_mut_ptr())
    };
    NonNull::new(key).map(Key)
}
