//! Everything a test program outside Rust needs, as files.

use std::fs;
use std::io;
use std::path::Path;

use crate::certs::{Holder, pem};
use crate::keys::KeyType;
use crate::{TestCa, server};

impl TestCa {
    /// Writes roots, an IDevID with key and chain, good and revoked peers, CRLs and a secret into a directory.
    ///
    /// | file | |
    /// | --- | --- |
    /// | `root.pem`, `issuing.pem` | the operator's CAs |
    /// | `cmp-signer.pem` | who signs CMP answers |
    /// | `self-signed-signer.pem` | who signs them where the knobs say `signer=self-signed` |
    /// | `supplier-root.pem`, `supplier.pem` | the supplier's CAs |
    /// | `idevid.pem`, `idevid.key`, `idevid-chain.pem` | the device's supplier-provided identity |
    /// | `idevid-rsa.*`, `idevid-ed25519.*` | the same with other keys |
    /// | `peer-good.*`, `peer-revoked.*`, `peer-rsa.*` | peers: `.pem`, `.key`; names `good.peer.example`, ... |
    /// | `ra.pem`, `ra.key` | a registration authority of the CA, purpose cmcRA |
    /// | `passphrase.pem` | to whom revocation passphrases are encrypted |
    /// | `issuing.crl`, `root.crl` | DER |
    /// | `reference.txt`, `secret.txt` | a reference value and its secret |
    pub fn write_material(&mut self, directory: &Path) -> io::Result<()> {
        let now = server::system_time();
        fs::create_dir_all(directory)?;
        let write = |name: &str, content: &[u8]| fs::write(directory.join(name), content);
        let certificate = |name: &str, der: &[u8]| write(name, pem("CERTIFICATE", der).as_bytes());
        let holder = |name: &str, holder: &Holder| -> io::Result<()> {
            certificate(&format!("{name}.pem"), &holder.certificate)?;
            write(&format!("{name}.key"), pem("PRIVATE KEY", &holder.key.pkcs8).as_bytes())
        };
        certificate("root.pem", &self.root.certificate)?;
        certificate("issuing.pem", &self.issuing.certificate)?;
        certificate("cmp-signer.pem", &self.cmp_signer.certificate)?;
        certificate("self-signed-signer.pem", &self.self_signed_signer.certificate)?;
        certificate("supplier-root.pem", &self.supplier_root.certificate)?;
        certificate("supplier.pem", &self.supplier.certificate)?;
        holder("idevid", &self.idevid("devid test device 1", KeyType::P256, now))?;
        holder("idevid-rsa", &self.idevid("devid test device 1", KeyType::Rsa2048, now))?;
        holder("idevid-ed25519", &self.idevid("devid test device 1", KeyType::Ed25519, now))?;
        certificate("idevid-chain.pem", &self.supplier.certificate)?;
        holder("ra", &self.ra_credential(now))?;
        holder("kga", &self.key_authority)?;
        certificate("passphrase.pem", &self.passphrase_holder.certificate)?;
        holder("peer-good", &self.peer("good.peer.example", KeyType::P256, now))?;
        holder("peer-rsa", &self.peer("rsa.peer.example", KeyType::Rsa2048, now))?;
        let revoked = self.peer("revoked.peer.example", KeyType::P256, now);
        holder("peer-revoked", &revoked)?;
        let serial = crate::Parsed::read(&revoked.certificate).expect("made here").serial;
        self.revoke(&serial, 1);
        write("issuing.crl", &self.crl(now))?;
        write("root.crl", &self.root_crl(now))?;
        let (reference, secret) = self.secrets.iter().next().map(|(r, s)| (r.clone(), s.clone())).unwrap_or_default();
        write("reference.txt", &reference)?;
        write("secret.txt", &secret)
    }
}
