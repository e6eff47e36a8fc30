//! The inspector: what stands in a message, certificate, request, CRL or OCSP response.

use super::bytes::devid_bytes;
use super::config::invalid;
use devid_core::Error;
use devid_core::inspect::{Format, inspect};
use devid_macros::export;

/// Indented lines.
pub const DEVID_INSPECT_TEXT: i32 = 1;
/// One line of JSON (RFC 8259).
pub const DEVID_INSPECT_JSON: i32 = 2;

/// Shows what stands in a PKIMessage, certificate, PKCS#10 request, CRL, OCSP request or response, CMS or key file, also where
/// it is broken. For people and logs: nothing is verified, nothing becomes trusted. Private keys, tokens and passwords appear as
/// their length only, and so do public keys.
///
/// @param input     PEM, with one structure or several, or DER. Not NULL.
/// @param input_len Length of `input` in bytes; at most 64 MiB.
/// @param format    DEVID_INSPECT_TEXT or DEVID_INSPECT_JSON.
/// @param out_text  Receives UTF-8 text; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM if it is neither; DEVID_E_LIMIT.
#[export]
fn devid_inspect(input: &[u8], format: i32) -> Result<devid_bytes, Error> {
    let format = match format {
        DEVID_INSPECT_TEXT => Format::Text,
        DEVID_INSPECT_JSON => Format::Json,
        other => return Err(invalid(format!("{other} is no format of devid_inspect()"))),
    };
    Ok(devid_bytes::from_slice(inspect(input, format)?.as_bytes()))
}
