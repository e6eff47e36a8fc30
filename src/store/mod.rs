//! Device memory: identities, each a key with its certificate and chain, switched as one.
