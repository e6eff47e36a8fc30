//! Failures of PKCS#11 by the names that its standard and every forum use.

use cryptoki::error::{Error, RvError};

use crate::words::as_written;

/// "C_SignInit: CKR_DEVICE_ERROR".
pub(super) fn name(error: &Error) -> String {
    match error {
        Error::Pkcs11(RvError::VendorDefined(code), function) => {
            format!("C_{}: CKR_VENDOR_DEFINED ({code:#x})", as_written(function))
        }
        Error::Pkcs11(value, function) => format!("C_{}: {}", as_written(function), constant(&as_written(value))),
        other => other.to_string(),
    }
}

/// "DeviceError" as "CKR_DEVICE_ERROR".
fn constant(variant: &str) -> String {
    let mut out = "CKR".to_owned();
    for letter in variant.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn a_failure_is_named_as_the_standard_names_it() {
        for (error, expected) in [
            (RvError::DeviceError, "C_Sign: CKR_DEVICE_ERROR"),
            (RvError::UserPinNotInitialized, "C_Sign: CKR_USER_PIN_NOT_INITIALIZED"),
            (RvError::CryptokiNotInitialized, "C_Sign: CKR_CRYPTOKI_NOT_INITIALIZED"),
            (RvError::VendorDefined(0x8000_0001), "C_Sign: CKR_VENDOR_DEFINED (0x80000001)"),
        ] {
            assert_eq!(name(&Error::Pkcs11(error, Function::Sign)), expected);
        }
    }
}
