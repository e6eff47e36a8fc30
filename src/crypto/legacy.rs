//! Ciphers of another age, to open the PKCS#12 files of old tools: triple DES and RC2 in CBC mode. Nothing is encrypted with them.

use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, InnerIvInit, KeyIvInit};
use des::TdesEde3;
use rc2::Rc2;
use zeroize::Zeroizing;

use super::CryptoError;
use crate::prelude::*;

/// A cipher that is only ever undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LegacyCipher {
    /// DES-EDE3-CBC, key of 24 bytes.
    TripleDes,
    /// RC2-CBC (RFC 2268), effective key length that of the key: 5 or 16 bytes.
    Rc2,
}

/// Undoes CBC with PKCS#7 padding, IV of 8 bytes; every failure is `Decrypt`.
pub(crate) fn decrypt(
    cipher: LegacyCipher,
    key: &[u8],
    iv: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    let failed = || CryptoError::Decrypt;
    let mut out = Zeroizing::new(ciphertext.to_vec());
    let opened = match cipher {
        LegacyCipher::TripleDes => {
            let mode = Decryptor::<TdesEde3>::new_from_slices(key, iv).map_err(|_| failed())?;
            mode.decrypt_padded::<Pkcs7>(&mut out).map_err(|_| failed())?.len()
        }
        LegacyCipher::Rc2 => {
            if !matches!(key.len(), 5 | 16) {
                return Err(failed());
            }
            let rc2 = Rc2::new_with_eff_key_len(key, key.len() * 8);
            let mode = Decryptor::<Rc2>::inner_iv_slice_init(rc2, iv).map_err(|_| failed())?;
            mode.decrypt_padded::<Pkcs7>(&mut out).map_err(|_| failed())?.len()
        }
    };
    out.truncate(opened);
    Ok(out)
}
