//! A device in a folder of its own, and the test CA that it talks to.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use devid_testca::{Options, Server, TestCa};

/// Where systems have the module of SoftHSM.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A device in a folder of its own, and the CA that it talks to.
pub struct Story {
    pub folder: PathBuf,
    pub server: Server,
}

impl Story {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("devid-command-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let server = Server::start_at(TestCa::new(Options::default()), 0).unwrap();
        server.with(|ca| ca.write_material(&folder)).unwrap();
        private(&folder.join("secret.txt"));
        Story { folder, server }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The command with this device's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let settings = self.path("devid.toml");
        let memory = self.path("memory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_devid"));
        command.args(["--config", &settings, "--memory", &memory]).args(arguments).stdin(std::process::Stdio::null());
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Makes a token of the story's own, whose PIN 1234 is to stand in `pin.txt`, and names its module in the settings. `false` where there is
    /// no SoftHSM.
    pub fn has_token(&self) -> bool {
        let Some(module) = MODULES.into_iter().find(|place| Path::new(place).exists()) else { return false };
        std::fs::create_dir_all(self.path("tokens")).unwrap();
        let text = format!("directories.tokendir = {}\nobjectstore.backend = file\n", self.path("tokens"));
        std::fs::write(self.path("softhsm2.conf"), text).unwrap();
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "device", "--so-pin", "567890", "--pin", "1234"])
            .env("SOFTHSM2_CONF", self.path("softhsm2.conf"))
            .output();
        if !made.is_ok_and(|made| made.status.success()) {
            return false;
        }
        self.set(&format!("[device.pkcs11]\nmodule = {module:?}\npin = \"file:{}\"", self.path("pin.txt")));
        true
    }

    /// Adds to the settings file.
    pub fn set(&self, lines: &str) {
        let path = self.folder.join("devid.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{text}\n{lines}\n")).unwrap();
    }

    pub fn knob(&self, name: &str, value: &str) {
        self.server.with(|ca| ca.knobs.set(name, value)).unwrap();
    }

    /// How many messages of this body the CA has got.
    pub fn got(&self, body: i32) -> usize {
        self.server.with(|ca| ca.received.iter().filter(|message| message.body == body).count())
    }

    /// Runs a command that is to end well, and answers what it printed.
    pub fn good(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let words = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that is to fail, and answers its status and its words.
    pub fn bad(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?} ended well");
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    pub fn init_with_secret(&self) {
        let reference = std::fs::read_to_string(self.folder.join("reference.txt")).unwrap();
        let secret = format!("file:{}", self.path("secret.txt"));
        let (server, root) = (self.server.cmp_url(), self.path("root.pem"));
        let mut arguments = vec!["init", "--server", &server, "--trust", &root, "--subject", "CN=router-7,O=Example"];
        arguments.extend(["--reference", &reference, "--secret", &secret]);
        self.good(&arguments);
        // The CA's answers are signed by a certificate below the same root: which one may speak for it is said.
        let signer = self.path("cmp-signer.pem");
        let text = std::fs::read_to_string(self.folder.join("devid.toml")).unwrap();
        std::fs::write(self.folder.join("devid.toml"), format!("{text}\n[ca.trust]\nsigners = [{signer:?}]\n"))
            .unwrap();
    }

    /// Settings written by hand, with device memory not made yet.
    pub fn write_settings(&self) {
        let reference = std::fs::read_to_string(self.folder.join("reference.txt")).unwrap();
        let server = self.server.cmp_url();
        let text = format!(
            "[ca]\nserver = {server:?}\n[ca.trust]\nall = [\"root.pem\"]\nsigners = [\"cmp-signer.pem\"]\n\
             [ca.login]\nreference = {reference:?}\nsecret = \"file:secret.txt\"\n[identity.device]\nsubject = \"CN=${{id}}\"\n"
        );
        std::fs::write(self.folder.join("devid.toml"), text).unwrap();
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}
