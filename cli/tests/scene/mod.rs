//! Settings in a folder of their own, and whether they are refused.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::PathBuf;

use devid::client::device::{Loaded, judge, load};
use devid::{Code, Error};
use devid_testca::{Options, TestCa};

/// A device's folder: settings that are good, and the files that they name.
pub struct Scene {
    pub folder: PathBuf,
}

impl Scene {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("devid-judged-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        TestCa::new(Options::default()).write_material(&folder).unwrap();
        let secret = folder.join("secret.txt");
        std::fs::set_permissions(secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Scene { folder }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub fn good(&self) -> toml::Table {
        let [memory, secret, root] = ["memory", "secret.txt", "root.pem"].map(|name| self.path(name));
        let text = format!(
            "device.memory = {memory:?}\nca.server = \"http://127.0.0.1:1/cmp\"\nca.login.reference = \"4711\"\n\
             ca.login.secret = \"file:{secret}\"\nca.trust.all = [{root:?}]\nidentity.device.subject = \"CN=router-7\"\n"
        );
        text.parse().unwrap()
    }

    pub fn load(&self, table: &toml::Table) -> Result<Loaded, Error> {
        let file = self.folder.join("devid.toml");
        std::fs::write(&file, table.to_string()).unwrap();
        load(Some(&file), &[], None)
    }

    /// By which code settings with this value end what is done with them.
    pub fn enrols_by(&self, key: &str, value: &toml::Value, enrols: fn(&Loaded) -> Result<(), Error>) -> Option<Code> {
        let mut table = self.good();
        put(&mut table, key, value.clone());
        self.load(&table).and_then(|loaded| enrols(&loaded)).err().map(|error| error.code())
    }

    /// What is refused in settings with this value, and the settings if nothing is.
    pub fn refused(&self, key: &str, value: &toml::Value) -> Result<Loaded, Vec<String>> {
        let mut table = self.good();
        put(&mut table, key, value.clone());
        let loaded = self.load(&table).map_err(|error| vec![error.message().to_owned()])?;
        let refused: Vec<String> = judge(&loaded).into_iter().filter(|one| one.fails).map(|one| one.words).collect();
        if refused.is_empty() { Ok(loaded) } else { Err(refused) }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub fn value(text: &str) -> toml::Value {
    format!("v = {text}").parse::<toml::Table>().unwrap().remove("v").unwrap()
}

/// Settings in lists of tables, and some others, have neighbours that cannot be left out.
fn neighbours(table: &str) -> &'static [(&'static str, &'static str)] {
    match table {
        "identity.device.export" => &[("layout", "pem"), ("folder", "/nowhere")],
        "identity.device.hardware-module" => &[("type", "1.2.3"), ("serial", "7")],
        "identity.device.extensions" => &[("oid", "1.2.3.4"), ("hex", "0500")],
        "ca.general-info" => &[("oid", "1.2.3.4")],
        "ca.proxy" => &[("url", "http://proxy.example:3128")],
        _ => &[],
    }
}

pub fn put(table: &mut toml::Table, key: &str, value: toml::Value) {
    let name = key.replace('*', "device");
    let (above, last) = name.rsplit_once('.').unwrap();
    let mut here = table;
    for part in above.split('.') {
        let below = here.entry(part).or_insert_with(|| toml::Table::new().into());
        if below.as_array().is_none() && ["extensions", "export", "general-info"].contains(&part) {
            *below = toml::Value::Array(vec![toml::Table::new().into()]);
        }
        here = match below {
            toml::Value::Array(items) => items[0].as_table_mut().unwrap(),
            below => below.as_table_mut().unwrap(),
        };
    }
    for (neighbour, good) in neighbours(above) {
        here.insert((*neighbour).to_owned(), toml::Value::from(*good));
    }
    if last == "utf8" {
        here.remove("hex");
    }
    here.insert(last.to_owned(), value);
}
