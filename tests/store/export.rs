//! Identities for other software: what it finds, also when an export is stopped in the middle.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use devid::asn1::x509::Certificate;
use devid::cms::Pkcs12;
use devid::crypto::keys::{key_matches_certificate, load_private_key};
use devid::store::export::{Export, Layout, Probe};
use devid::store::{StoreErrorKind as Kind, *};

use crate::common::*;
use crate::left_out::left_out;

const LAYOUTS: [Layout; 6] =
    [Layout::Pem, Layout::Openssl, Layout::Nginx, Layout::Strongswan, Layout::Mosquitto, Layout::Pkcs12];

fn export(layout: Layout, place: &Place) -> Export {
    let folder = place.0.join("export");
    Export { password: None, iterations: 10, ..Export::new(layout, folder) }
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Whether what the software reads is key and certificate of one generation, and which.
fn in_use(export: &Export, name: &str) -> Option<Certificate> {
    let current = export.folder.join("current");
    let (key, certificates) = match export.layout {
        Layout::Openssl => (current.join("key.pem"), current.join("cert.pem")),
        Layout::Nginx => (current.join("privkey.pem"), current.join("fullchain.pem")),
        Layout::Mosquitto => (current.join("keyfile.pem"), current.join("certfile.pem")),
        Layout::Pem => (export.folder.join("device.pem"), export.folder.join("device.pem")),
        Layout::Pkcs12 => {
            let file = fs::read(export.folder.join(format!("{name}.p12"))).ok()?;
            let found = Pkcs12::open(&*provider(), &file, "secret").unwrap();
            return Some(found.identity(&*provider()).unwrap().expect("a pair").certificate);
        }
        Layout::Strongswan => {
            let certificate = fs::read(export.folder.join("x509/device.pem")).ok()?;
            let certificate = Certificate::many_from_bytes(&certificate).unwrap().remove(0);
            let keys = files_below(&export.folder.join("private")).into_iter().filter(|path| {
                !path.file_name().unwrap().to_str().unwrap().starts_with('.')
                    && load_private_key(&*provider(), &fs::read(path).unwrap(), None)
                        .is_ok_and(|key| key_matches_certificate(&*key, &certificate))
            });
            assert_eq!(keys.count(), 1, "the certificate has its key beside it");
            return Some(certificate);
        }
    };
    let key = load_private_key(&*provider(), &fs::read(key).ok()?, None).unwrap();
    let certificate = Certificate::many_from_bytes(&fs::read(certificates).unwrap()).unwrap().remove(0);
    assert!(key_matches_certificate(&*key, &certificate), "key and certificate of one generation");
    Some(certificate)
}

#[test]
fn every_layout_holds_the_identity_and_keeps_its_key_to_its_owner() {
    for layout in LAYOUTS {
        let (place, device) = (Place::new(), issued(1));
        let store = place.open();
        store.install("device", &device.new_identity()).unwrap();
        let mut export = export(layout, &place);
        if layout == Layout::Pkcs12 {
            assert_eq!(store.export("device", &export).unwrap_err().kind, Kind::Secret, "no password");
            export.password = Some("secret".to_owned().into());
        }
        let exported = store.export("device", &export).unwrap();
        assert_eq!(exported.generation, 1);
        assert_eq!(in_use(&export, "device").unwrap(), device.certificate, "{layout:?}");
        assert_eq!(mode(&exported.files[0]), 0o600, "{layout:?}: the key");
        for file in &exported.files[1..] {
            assert_eq!(mode(file), 0o644, "{layout:?}: {}", file.display());
            let found = Certificate::many_from_bytes(&fs::read(file).unwrap()).unwrap();
            assert!(found.iter().all(|c| *c == device.certificate || device.chain.contains(c)), "{layout:?}");
        }
        assert_eq!(store.export("other", &export).unwrap_err().kind, Kind::NotFound);
    }
    let place = Place::new();
    let store = place.open();
    store.install("device", &issued(1).new_identity()).unwrap();
    let export = Export { anchors: ca_chain()[1..].to_vec(), ..export(Layout::Nginx, &place) };
    store.export("device", &export).unwrap();
    let count = |file: &str| {
        Certificate::many_from_bytes(&fs::read(export.folder.join("current").join(file)).unwrap()).unwrap().len()
    };
    assert_eq!((count("fullchain.pem"), count("chain.pem"), count("ca.pem")), (2, 2, 1), "the root is not sent");
}

/// Whoever asks for the same again, such as each process of a server that starts, waits for the others and takes nothing from them.
#[test]
fn several_that_export_at_the_same_moment_all_have_whole_files_that_stay() {
    for layout in [Layout::Pem, Layout::Openssl, Layout::Nginx, Layout::Strongswan, Layout::Mosquitto] {
        let place = Place::new();
        let store = place.open();
        store.install("device", &issued(1).new_identity()).unwrap();
        let export = export(layout, &place);
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| (0..3).for_each(|_| drop(store.export("device", &export).unwrap())));
            }
        });
        let link = || fs::read_link(export.folder.join("current")).ok();
        let first = link();
        assert!(first.as_ref().is_none_or(|set| set == Path::new("set-000001")), "{layout:?}: {first:?}");
        store.install("device", &issued(2).new_identity()).unwrap();
        store.export("device", &export).unwrap();
        assert_eq!(in_use(&export, "device").unwrap(), issued(2).certificate, "{layout:?}");
        assert!(first.is_none_or(|set| export.folder.join(set).is_dir()), "the one before stays for one more change");
        // The dark twin: what is not as it was written is written anew.
        let file = store.export("device", &export).unwrap().files.pop().unwrap();
        let whole = fs::read(&file).unwrap();
        for damage in [&whole[..whole.len() / 2], b"", &[&whole[..], b"#"].concat()] {
            fs::write(&file, damage).unwrap();
            store.export("device", &export).unwrap();
            assert!(fs::read(&file).unwrap() == whole, "{layout:?}");
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        store.export("device", &export).unwrap();
        let is_key = matches!(layout, Layout::Pem);
        assert_eq!(mode(&file), if is_key { 0o600 } else { 0o644 }, "{layout:?}");
    }
}

/// Services run with a umask of their own; who reads the files is another user.
#[test]
fn whatever_the_umask_the_folders_let_readers_in_and_keep_keys_apart() {
    for layout in LAYOUTS {
        let place = Place::new();
        let store = place.open();
        store.install("device", &issued(1).new_identity()).unwrap();
        let mut export = export(layout, &place);
        export.password = (layout == Layout::Pkcs12).then(|| "secret".to_owned().into());
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let exported = store.export("device", &export);
        rustix::process::umask(before);
        let exported = exported.unwrap();
        assert_eq!(mode(&export.folder), 0o755, "{layout:?}");
        for file in &exported.files {
            let folder = file.parent().unwrap();
            let expected = if folder.ends_with("private") { 0o700 } else { 0o755 };
            assert_eq!(mode(folder), expected, "{layout:?}: {}", folder.display());
        }
    }
}

#[test]
fn a_password_encrypts_the_key_in_every_layout() {
    for layout in LAYOUTS.into_iter().filter(|layout| *layout != Layout::Pkcs12) {
        let place = Place::new();
        let store = place.open();
        store.install("device", &issued(1).new_identity()).unwrap();
        for scrypt in [None, Some(1024)] {
            let export = Export { password: Some("secret".to_owned().into()), scrypt, ..export(layout, &place) };
            let exported = store.export("device", &export).unwrap();
            let key = fs::read(&exported.files[0]).unwrap();
            assert!(load_private_key(&*provider(), &key, None).is_err(), "{layout:?}");
            assert!(load_private_key(&*provider(), &key, Some(b"Secret")).is_err(), "{layout:?}");
            assert_eq!(load_private_key(&*provider(), &key, Some(b"secret")).unwrap().spki(), issued(1).key.spki());
        }
    }
}

/// The fault test of this room: each step of an export fails in turn, and each time the software finds the old pair or the
/// new one, whole; the next export goes through and leaves nothing behind.
#[test]
fn an_export_that_stops_anywhere_leaves_a_pair_that_belongs_together() {
    let mut points = 0;
    for layout in LAYOUTS {
        for at in 0.. {
            let (place, old, new) = (Place::new(), issued(1), issued(2));
            let store = place.open();
            let mut export = export(layout, &place);
            export.password = (layout == Layout::Pkcs12).then(|| "secret".to_owned().into());
            store.install("device", &old.new_identity()).unwrap();
            store.export("device", &export).unwrap();
            store.install("device", &new.new_identity()).unwrap();

            // From that point on nothing works any more: the process was stopped, or the disk is gone.
            let steps = Arc::new(AtomicUsize::new(0));
            let counted = steps.clone();
            let probe: Probe = Arc::new(move |_, _| match counted.fetch_add(1, Ordering::SeqCst) >= at {
                true => Err(io::Error::other("stopped")),
                false => Ok(()),
            });
            let outcome = store.export("device", &Export { probe: Some(probe), ..export.clone() });
            let found = in_use(&export, "device").unwrap_or_else(|| panic!("{layout:?}, step {at}: nothing in use"));
            match &outcome {
                Ok(_) => assert_eq!(found, new.certificate, "{layout:?}, step {at}"),
                Err(_) => assert!(found == old.certificate || found == new.certificate, "{layout:?}, step {at}"),
            }
            for file in files_below(&export.folder).into_iter().filter(|file| !file.is_symlink()) {
                let text = fs::read(&file).unwrap();
                if text.windows(11).any(|w| w == b"PRIVATE KEY") {
                    assert_eq!(mode(&file), 0o600, "{}", file.display());
                }
            }
            store.export("device", &export).unwrap();
            assert_eq!(in_use(&export, "device").unwrap(), new.certificate);
            store.export("device", &export).unwrap();
            let leftovers: Vec<_> = files_below(&export.folder)
                .into_iter()
                .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(".devid-"))
                .collect();
            assert!(leftovers.is_empty(), "{layout:?}: {leftovers:?}");
            let sets = fs::read_dir(&export.folder)
                .unwrap()
                .filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().starts_with("set-"));
            assert!(sets.count() <= 2, "the set in use and the one before");
            points += 1;
            if steps.load(Ordering::SeqCst) <= at {
                break;
            }
        }
    }
    assert!(points > 80, "{points} points");
}

#[test]
fn folders_that_others_may_write_to_and_files_of_others_are_refused() {
    let place = Place::new();
    let store = place.open();
    store.install("device", &issued(1).new_identity()).unwrap();
    let kind = |export: &Export| store.export("device", export).unwrap_err().kind;

    let nginx = export(Layout::Nginx, &place);
    fs::create_dir(&nginx.folder).unwrap();
    fs::set_permissions(&nginx.folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(kind(&nginx), Kind::Permission);
    fs::set_permissions(&nginx.folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(nginx.folder.join("current")).unwrap();
    assert_eq!(kind(&nginx), Kind::Exists, "a folder has the name of the link");
    fs::remove_dir(nginx.folder.join("current")).unwrap();
    symlink("/etc", nginx.folder.join("current")).unwrap();
    assert_eq!(kind(&nginx), Kind::Exists, "someone else's link");
    fs::remove_file(nginx.folder.join("current")).unwrap();

    let pem = export(Layout::Pem, &place);
    symlink("/etc/passwd", pem.folder.join("device.pem")).unwrap();
    assert_eq!(kind(&pem), Kind::Exists, "a link where the file belongs");
    let swanctl = export(Layout::Strongswan, &place);
    symlink("/tmp", swanctl.folder.join("private")).unwrap();
    assert_eq!(kind(&swanctl), Kind::Exists, "a link where a folder belongs");

    let missing = Export::new(Layout::Nginx, place.0.join("no/such/parent"));
    assert_eq!(kind(&missing), Kind::NotFound);
    let locked = fs::File::open(&nginx.folder).unwrap();
    rustix::fs::flock(&locked, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(kind(&nginx), Kind::Locked);
    rustix::fs::flock(&locked, rustix::fs::FlockOperation::Unlock).unwrap();
    store.export("device", &nginx).unwrap();
}

/// Layouts that write files by their names, and each of these names.
#[test]
fn nothing_is_written_over_a_file_that_no_export_has_made() {
    let password = |layout| (layout == Layout::Pkcs12).then(|| "secret".to_owned().into());
    for layout in [Layout::Pem, Layout::Pkcs12, Layout::Strongswan] {
        let files = {
            let (place, device) = (Place::new(), issued(1));
            let store = place.open();
            store.install("device", &device.new_identity()).unwrap();
            let export = Export { password: password(layout), ..export(layout, &place) };
            let files = store.export("device", &export).unwrap().files;
            files.iter().map(|file| file.strip_prefix(&export.folder).unwrap().to_owned()).collect::<Vec<_>>()
        };
        for file in files {
            let place = Place::new();
            let store = place.open();
            store.install("device", &issued(1).new_identity()).unwrap();
            let export = Export { password: password(layout), ..export(layout, &place) };
            let theirs = export.folder.join(&file);
            fs::create_dir_all(theirs.parent().unwrap()).unwrap();
            for folder in [&export.folder, theirs.parent().unwrap()] {
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
            }
            fs::write(&theirs, "somebody's own").unwrap();
            let error = store.export("device", &export).unwrap_err();
            assert_eq!(error.kind, Kind::Exists, "{layout:?}: {}", file.display());
            assert!(error.to_string().contains("move it away"), "{error}");
            assert_eq!(fs::read(&theirs).unwrap(), b"somebody's own");
            assert!(
                !export.folder.join(".devid").exists() && files_below(&export.folder).len() == 1,
                "nothing was begun"
            );

            // Moved away, all goes well from then on, whatever becomes of what the export made, and with device memory made anew.
            fs::remove_file(&theirs).unwrap();
            store.export("device", &export).unwrap();
            fs::write(&theirs, "changed").unwrap();
            let other = Place::new();
            let store = other.open();
            store.install("device", &issued(2).new_identity()).unwrap();
            store.export("device", &export).unwrap();
            assert_eq!(in_use(&export, "device").unwrap(), issued(2).certificate, "{layout:?}");
        }
    }
    // A list of somebody else's is none, and what somebody else has beside swanctl's files stays.
    let (place, other) = (Place::new(), Place::new());
    let store = place.open();
    store.install("device", &issued(1).new_identity()).unwrap();
    let swanctl = export(Layout::Strongswan, &place);
    store.export("device", &swanctl).unwrap();
    let beside = swanctl.folder.join("private/device.0123abcd.pem");
    fs::write(&beside, "somebody's own").unwrap();
    store.install("device", &issued(2).new_identity()).unwrap();
    store.export("device", &swanctl).unwrap();
    assert_eq!(
        (fs::read(&beside).unwrap(), files_below(&swanctl.folder.join("private")).len()),
        (b"somebody's own".to_vec(), 2)
    );
    let list = fs::read_to_string(swanctl.folder.join(".devid")).unwrap();
    assert_eq!(list.matches("private/").count(), 1, "{list}");
    let pem = export(Layout::Pem, &other);
    fs::create_dir(&pem.folder).unwrap();
    fs::set_permissions(&pem.folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(pem.folder.join(".devid"), "device.pem\n").unwrap();
    assert_eq!(store.export("device", &pem).unwrap_err().kind, Kind::Exists);
}

#[test]
fn a_key_that_lives_elsewhere_is_not_exported() {
    let (place, device) = (Place::new(), issued(1));
    let store = place.open();
    let reference = KeyReference::new("pkcs11:object=device", device.key.spki().to_vec()).unwrap();
    store.install("device", &device.with(NewKey::Given(Signer::Deferred(reference.clone())))).unwrap();
    let export = export(Layout::Nginx, &place);
    assert_eq!(store.export("device", &export).unwrap_err().kind, Kind::Key);
    assert!(!export.folder.exists(), "nothing was begun");
}

#[test]
fn the_owner_is_told_what_came_into_use_and_may_export_from_within() {
    let (place, told) = (Place::new(), Arc::new(Mutex::new(Vec::new())));
    let store = place.open();
    // The hook exports by a handle of its own, as a program would that reloads a server.
    let (inner, seen) = (place.open(), told.clone());
    let nginx = export(Layout::Nginx, &place);
    let in_hook = nginx.clone();
    store.on_change(move |change| {
        seen.lock().unwrap().push((change.kind, change.generation, change.folder.map(Path::to_owned)));
        if change.kind != ChangeKind::Exported {
            inner.export(change.name, &in_hook).unwrap();
        }
    });
    let (first, second) = (issued(1), issued(2));
    store.install("device", &first.new_identity()).unwrap();
    assert_eq!(in_use(&nginx, "device").unwrap(), first.certificate);
    store.stage("device", &second.new_identity()).unwrap();
    assert_eq!(in_use(&nginx, "device").unwrap(), first.certificate, "not in use yet");
    store.promote("device").unwrap();
    assert_eq!(in_use(&nginx, "device").unwrap(), second.certificate);
    store.rollback("device").unwrap();
    assert_eq!(in_use(&nginx, "device").unwrap(), first.certificate);
    assert!(store.install("device", &issued(1).with(NewKey::Given(Signer::from(&issued(2).key)))).is_err());
    store.export("device", &nginx).unwrap();

    let told = told.lock().unwrap();
    let expected = [
        (ChangeKind::Installed, 1, None),
        (ChangeKind::Installed, 2, None),
        (ChangeKind::RolledBack, 1, None),
        (ChangeKind::Exported, 1, Some(nginx.folder.clone())),
    ];
    assert_eq!(*told, expected, "what fails is not told");
}

/// Makes `ca.pem`, `server.key` and `server.pem` by OpenSSL; `None` without the command.
fn made_by_openssl(place: &Place) -> Option<()> {
    let run = |line: &str| {
        let out = Command::new("openssl").args(line.split_whitespace()).current_dir(&place.0).output().ok()?;
        assert!(out.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&out.stderr));
        Some(())
    };
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    if run(&format!("req -x509 {new} -subj /CN=Root -days 30 -keyout ca.key -out ca.pem")).is_none() {
        left_out("no openssl command");
        return None;
    }
    run(&format!("req -new {new} -subj /CN=localhost -keyout server.key -out server.csr"))?;
    run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 10 -out server.pem")
}

fn install_from_files(place: &Place, store: &Store) {
    let read = |name: &str| fs::read(place.0.join(name)).unwrap();
    let key = load_private_key(&*provider(), &read("server.key"), None).unwrap();
    let certificate = Certificate::many_from_bytes(&read("server.pem")).unwrap().remove(0);
    let chain = Certificate::many_from_bytes(&read("ca.pem")).unwrap();
    let new = NewIdentity {
        key: NewKey::Given(Signer::from(&key)),
        certificate: &certificate,
        chain: &chain,
        purpose: "tls",
        at: NOW,
    };
    store.install("device", &new).unwrap();
}

#[test]
fn servers_take_what_is_exported() {
    let place = Place::new();
    if made_by_openssl(&place).is_none() {
        return;
    }
    let store = place.open();
    install_from_files(&place, &store);
    let export = export(Layout::Nginx, &place);
    store.export("device", &export).unwrap();
    let path = |name: &str| export.folder.join("current").join(name).display().to_string();

    let (key, chain) = (path("privkey.pem"), path("fullchain.pem"));
    let mut server = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1", "-www", "-key", &key, "-cert", &chain])
        .args(["-cert_chain", &chain])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let accept = lines.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned)).expect("it listens");
    let client = Command::new("openssl")
        .args(["s_client", "-connect", &accept, "-verify_return_error", "-verify_hostname", "localhost"])
        .args(["-CAfile", &place.0.join("ca.pem").display().to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let _ = server.kill();
    let _ = server.wait();
    let text = String::from_utf8_lossy(&client.stdout).into_owned();
    assert!(client.status.success() && text.contains("Verify return code: 0 (ok)"), "{text}");

    // nginx judges its own layout, where there is one.
    let configuration = format!(
        "daemon off; pid {0}/nginx.pid; error_log stderr; events {{}} http {{ access_log off; server {{ \
         listen unix:{0}/nginx.sock ssl; ssl_certificate {1}; ssl_certificate_key {2}; \
         ssl_trusted_certificate {3}; }} }}",
        place.0.display(),
        chain,
        key,
        path("chain.pem"),
    );
    let file = place.0.join("nginx.conf");
    fs::write(&file, configuration).unwrap();
    match Command::new("/usr/sbin/nginx").arg("-t").arg("-c").arg(&file).output() {
        Ok(out) => assert!(out.status.success(), "nginx: {}", String::from_utf8_lossy(&out.stderr)),
        Err(_) => left_out("no nginx"),
    }
}
