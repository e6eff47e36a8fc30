//! The inspector: what stands in a message, certificate, request, CRL or OCSP response.

use super::args::choice;
use super::prelude::*;
use devid_core::inspect::{Format, inspect};

/// Indented lines.
pub const DEVID_INSPECT_TEXT: i32 = 1;
/// One line of JSON (RFC 8259).
pub const DEVID_INSPECT_JSON: i32 = 2;
choice!("DEVID_INSPECT_*": Format { DEVID_INSPECT_TEXT => Text, DEVID_INSPECT_JSON => Json });

/// Shows what stands in a PKIMessage, certificate, PKCS#10 request, CRL, OCSP request or response, CMS or key file, also where
/// it is broken. For users and logs: nothing is verified, nothing becomes trusted. Private keys, tokens and passwords appear as
/// their length only, and so do public keys.
///
/// @param input     PEM, with one structure or several, or DER. Not NULL.
/// @param input_len  Length of `input` in bytes; at most 64 MiB.
/// @param format    DEVID_INSPECT_TEXT or DEVID_INSPECT_JSON.
/// @param out_text  Receives UTF-8 text; free with devid_bytes_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_DER, DEVID_E_PEM if it is neither; DEVID_E_LIMIT; DEVID_E_UNSUPPORTED in builds without
///         "inspect".
#[export]
fn devid_inspect(input: &[u8], format: Format) -> Result<devid_bytes, Error> {
    Ok(devid_bytes::from_slice(inspect(input, format)?.as_bytes()))
}
