//! Cryptographic Message Syntax (RFC 5652): enveloped and signed data over `asn1` and `crypto`.
