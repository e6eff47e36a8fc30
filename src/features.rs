//! What this build has of what a build may lack.

macro_rules! table {
    ($($name:literal)*) => { &[$(($name, cfg!(feature = $name))),*] };
}

/// Every feature of the package, and whether it is built in.
const TABLE: &[(&str, bool)] = table![
    "crypto-awslc" "crypto-rust" "crypto-rust-p256" "rust-rsa" "rust-p384" "rust-p521" "rust-25519" "rust-ml-dsa" "rust-ml-kem"
    "legacy-ciphers" "oaep-mixed" "pkcs11" "http" "tls" "coap" "ldap" "unicode-names" "identifier-names" "settings" "std"
];

/// The features that are built in, by their names in `Cargo.toml`.
pub fn features() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|(_, is_in)| *is_in).map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_feature_of_the_package_is_told() {
        let manifest = include_str!("../Cargo.toml");
        let section = manifest.split("\n[features]").nth(1).unwrap().split("\n[").next().unwrap();
        let stated: BTreeSet<&str> = section
            .lines()
            .filter_map(|line| line.split_once(" = ["))
            .map(|(name, _)| name)
            .filter(|name| *name != "default")
            .collect();
        assert_eq!(TABLE.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>(), stated);
        assert!(features().any(|name| name == "std"));
    }
}
