//! Names of algorithms, curves and types of keys that are not built in, but have names that people know: an error says both, wherever
//! it is met.

use crate::prelude::*;

/// The usual name of an identifier in dotted form.
pub(crate) fn known_as(identifier: &str) -> Option<&'static str> {
    Some(match identifier {
        "1.3.101.111" => "X448",
        "1.3.101.113" => "Ed448",
        "1.3.132.0.10" => "secp256k1",
        "1.3.132.0.33" => "P-224",
        "1.2.840.10045.3.1.1" => "P-192",
        "1.3.36.3.3.2.8.1.1.7" => "brainpoolP256r1",
        "1.3.36.3.3.2.8.1.1.9" => "brainpoolP320r1",
        "1.3.36.3.3.2.8.1.1.11" => "brainpoolP384r1",
        "1.3.36.3.3.2.8.1.1.13" => "brainpoolP512r1",
        "1.2.156.10197.1.301" => "SM2",
        "1.2.156.10197.1.501" => "SM2 with SM3",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.10040.4.3" => "DSA with SHA-1",
        "2.16.840.1.101.3.4.3.1" => "DSA with SHA-224",
        "2.16.840.1.101.3.4.3.2" => "DSA with SHA-256",
        "2.16.840.1.101.3.4.3.3" => "DSA with SHA-384",
        "2.16.840.1.101.3.4.3.4" => "DSA with SHA-512",
        "1.2.840.113549.1.1.2" => "RSA with MD2",
        "1.2.840.113549.1.1.3" => "RSA with MD4",
        "1.2.840.113549.1.1.4" => "RSA with MD5",
        "1.2.840.113549.2.5" => "MD5",
        "1.2.840.113549.1.7.2" => "a signature (SignedData)",
        "1.2.840.113549.1.7.3" => "encryption to a certificate (EnvelopedData)",
        "1.2.840.113549.1.3.1" | "1.2.840.10046.2.1" => "Diffie-Hellman",
        "1.3.14.3.2.7" => "DES-CBC",
        "1.2.840.113549.3.7" => "DES-EDE3-CBC",
        "1.2.840.113549.1.5.3" => "PBE with MD5 and DES",
        "1.2.840.113549.1.12.1.1" => "PBE with SHA-1 and RC4",
        "1.2.840.113549.1.12.1.3" => "PBE with SHA-1 and 3-key triple DES",
        "1.2.840.113549.1.12.1.4" => "PBE with SHA-1 and 2-key triple DES",
        "1.2.840.113549.1.12.1.6" => "PBE with SHA-1 and RC2",
        "1.2.392.200011.61.1.1.1.2" => "Camellia-128-CBC",
        "1.2.392.200011.61.1.1.1.3" => "Camellia-192-CBC",
        "1.2.392.200011.61.1.1.1.4" => "Camellia-256-CBC",
        "1.2.410.200004.1.4" => "SEED-CBC",
        "1.2.410.200046.1.1.2" => "ARIA-128-CBC",
        "1.2.410.200046.1.1.12" => "ARIA-256-CBC",
        "1.2.643.7.1.1.5.1.1" => "Kuznyechik",
        "1.2.840.113549.3.2" => "RC2-CBC",
        "1.2.840.113549.3.4" => "RC4",
        "1.2.840.113533.7.66.10" => "CAST5-CBC",
        "2.16.840.1.101.3.4.2.7" => "SHA3-224",
        "2.16.840.1.101.3.4.2.8" => "SHA3-256",
        "2.16.840.1.101.3.4.2.9" => "SHA3-384",
        "2.16.840.1.101.3.4.2.10" => "SHA3-512",
        "2.16.840.1.101.3.4.2.11" => "SHAKE128",
        "2.16.840.1.101.3.4.2.12" => "SHAKE256",
        "2.16.840.1.101.3.4.3.9" => "ECDSA with SHA3-224",
        "2.16.840.1.101.3.4.3.10" => "ECDSA with SHA3-256",
        "2.16.840.1.101.3.4.3.11" => "ECDSA with SHA3-384",
        "2.16.840.1.101.3.4.3.12" => "ECDSA with SHA3-512",
        "2.16.840.1.101.3.4.3.13" => "RSA with SHA3-224",
        "2.16.840.1.101.3.4.3.14" => "RSA with SHA3-256",
        "2.16.840.1.101.3.4.3.15" => "RSA with SHA3-384",
        "2.16.840.1.101.3.4.3.16" => "RSA with SHA3-512",
        "1.3.6.1.5.5.7.6.32" => "ECDSA with SHAKE128",
        "1.3.6.1.5.5.7.6.33" => "ECDSA with SHAKE256",
        "1.2.643.7.1.1.1.1" => "GOST R 34.10-2012 (256 bits)",
        "1.2.643.7.1.1.1.2" => "GOST R 34.10-2012 (512 bits)",
        other if other.starts_with("2.16.840.1.101.3.4.3.") => match other.rsplit('.').next()?.parse::<u32>().ok()? {
            20..=31 => "SLH-DSA",
            32..=34 => "ML-DSA with a digest",
            35..=46 => "SLH-DSA with a digest",
            _ => return None,
        },
        _ => return None,
    })
}

/// The identifier with its name, for errors.
pub(crate) fn named(identifier: &dyn core::fmt::Display) -> String {
    let identifier = identifier.to_string();
    match known_as(&identifier) {
        Some(name) => format!("{name} ({identifier})"),
        None => identifier,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_name_is_told_by_name_and_number() {
        assert_eq!(named(&"1.3.101.113"), "Ed448 (1.3.101.113)");
        assert_eq!(named(&"2.16.840.1.101.3.4.3.24"), "SLH-DSA (2.16.840.1.101.3.4.3.24)");
        assert_eq!(named(&"1.2.3.4"), "1.2.3.4");
    }
}
