//! Certificate paths, revocation, trust, and the gate to a peer's public key.
