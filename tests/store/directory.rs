//! What only a directory can suffer: other people's files, symbolic links, access rights, damage, other processes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use devid::Code;
use devid::crypto::default_provider;
use devid::store::{StoreErrorKind as Kind, *};

use crate::common::*;
use crate::kinds::*;
use crate::left_out::left_out;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn open_error(path: &Path) -> StoreError {
    Store::open_directory(path, provider(), StoreOptions::default()).unwrap_err()
}

/// A store with two generations of one identity, closed.
fn two_generations() -> Place {
    two_generations_of(Keys::Plain)
}

fn two_generations_of(keys: Keys) -> Place {
    let place = Place::new();
    let store = keys.open(&place);
    store.install("device", &keys.issued(1).new_identity()).unwrap();
    store.install("device", &keys.issued(2).new_identity()).unwrap();
    place
}

#[test]
fn the_layout_is_plain_files_that_only_their_owner_can_read() {
    let place = two_generations();
    let root = place.memory();
    let store = place.open();
    store.set_anchors(AnchorSet::Enrolment, &ca_chain()).unwrap();
    store.save_operation("enrol", b"state").unwrap();

    for path in [
        "devid-store",
        "lock",
        "identity/device/current",
        "identity/device/current.copy",
        "anchors/enrolment.pem",
        "operation/enrol",
    ] {
        assert_eq!(mode(&root.join(path)), 0o600, "{path}");
    }
    for path in ["", "identity", "identity/device", "identity/device/gen-000002"] {
        assert_eq!(mode(&root.join(path)), 0o700, "{path}");
    }
    let generation = root.join("identity/device/gen-000002");
    let names: Vec<_> =
        files_below(&generation).iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, ["certificate.pem", "chain.pem", "key.pem", "meta"]);
    for path in files_below(&root) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    let pointer = fs::read_to_string(root.join("identity/device/current")).unwrap();
    assert!(pointer.starts_with("devid-pointer 1\ncurrent 2\nprevious 1\npending -\nlast 2\ncheck "), "{pointer}");
    let key = fs::read_to_string(generation.join("key.pem")).unwrap();
    assert!(key.starts_with("-----BEGIN PRIVATE KEY-----\n"));
}

#[test]
fn other_software_reads_the_files() {
    let place = two_generations();
    let generation = place.memory().join("identity/device/gen-000002");
    let openssl = |arguments: &[&str]| match Command::new("openssl").args(arguments).current_dir(&generation).output() {
        Ok(output) => Some((output.status.success(), String::from_utf8(output.stdout).unwrap())),
        Err(_) => None,
    };
    let Some((ok, certified)) = openssl(&["x509", "-in", "certificate.pem", "-noout", "-pubkey"]) else {
        left_out("no openssl command");
        return;
    };
    let (key_ok, of_key) = openssl(&["pkey", "-in", "key.pem", "-pubout"]).unwrap();
    assert!(ok && key_ok && certified == of_key);
}

#[test]
fn a_private_key_that_others_may_read_is_refused_and_reported() {
    let place = two_generations();
    let key = place.memory().join("identity/device/gen-000002/key.pem");
    for wide in [0o640, 0o604, 0o620, 0o666] {
        set_mode(&key, wide);
        let error = place.open().current("device").unwrap_err();
        assert_eq!((error.kind, error.code()), (Kind::Permission, Code::Permission), "{wide:o}");
        assert!(error.detail.contains(&format!("{wide:o}")), "{error}");
        assert!(issued(1).is(&place.open().previous("device").unwrap()));
    }
    let mended = place.open().repair().unwrap();
    assert!(mended.iter().any(|p| p.kind == ProblemKind::Access && p.is_mended && p.text.contains("replace it")));
    assert_eq!(mode(&key), 0o600);
    assert!(issued(2).is(&place.open().current("device").unwrap()));
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let place = two_generations();
    set_mode(&place.memory(), 0o777);
    assert_eq!(open_error(&place.memory()).kind, Kind::Permission);
    set_mode(&place.memory(), 0o700);
    assert!(issued(2).is(&place.open().current("device").unwrap()));
}

#[test]
fn a_directory_with_other_things_in_it_is_not_taken_for_device_memory() {
    let place = Place::new();
    fs::write(place.0.join("passwd"), "root").unwrap();
    let error = open_error(&place.0);
    assert_eq!(error.kind, Kind::Corrupt);
    assert!(error.detail.contains("not device memory"), "{error}");
    assert_eq!(files_below(&place.0).len(), 1, "nothing was written there");

    assert_eq!(open_error(&place.0.join("no/such/parent")).kind, Kind::NotFound);
    // One that is to be there is made neither where nothing is, nor in the empty place of a medium that is not mounted.
    let must_exist = || DirectoryOptions { must_exist: true, ..Default::default() };
    let empty = place.0.join("empty");
    fs::create_dir(&empty).unwrap();
    set_mode(&empty, 0o700);
    for none in [&place.0.join("missing"), &empty] {
        assert_eq!(DirectoryBackend::open(none, must_exist()).err().unwrap().kind, Kind::NotFound, "{none:?}");
    }
    assert!(!place.0.join("missing").exists() && files_below(&empty).is_empty());
    // The root of a file system has a folder of its own.
    fs::create_dir(empty.join("lost+found")).unwrap();
    let store = Store::open_directory(&empty, default_provider(), StoreOptions::default()).unwrap();
    assert!(store.verify().unwrap().is_empty());
    DirectoryBackend::open(&empty, must_exist()).unwrap();
    assert_eq!(open_error(&place.0.join("passwd")).kind, Kind::Io, "not a directory");

    fs::create_dir(place.0.join("newer")).unwrap();
    set_mode(&place.0.join("newer"), 0o700);
    fs::write(place.0.join("newer/devid-store"), "devid store 2\n").unwrap();
    assert_eq!(open_error(&place.0.join("newer")).code(), Code::UnknownVersion);
}

#[test]
fn symbolic_links_inside_are_never_followed() {
    let place = two_generations();
    let root = place.memory();
    let outside = place.0.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("victim"), "untouched").unwrap();

    // A link in a file's place: not read.
    let certificate = root.join("identity/device/gen-000002/certificate.pem");
    fs::rename(&certificate, outside.join("certificate.pem")).unwrap();
    symlink(outside.join("certificate.pem"), &certificate).unwrap();
    assert_eq!(place.open().current("device").unwrap_err().kind, Kind::Permission);

    // A link in a directory's place: nothing is written through it, nothing is removed behind it.
    symlink(&outside, root.join("blob")).unwrap();
    let store = place.open();
    for error in [store.put_blob("victim", b"overwritten"), store.remove_blob("victim")] {
        assert_eq!(error.unwrap_err().kind, Kind::Permission);
    }
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 2);

    // A link where a record is replaced: the link goes, not what it points to.
    symlink(outside.join("victim"), root.join("identity/device/current.copy.link")).unwrap();
    fs::remove_file(root.join("identity/device/current.copy")).unwrap();
    symlink(outside.join("victim"), root.join("identity/device/current.copy")).unwrap();
    store.rollback("device").unwrap();
    assert_eq!(fs::read_to_string(outside.join("victim")).unwrap(), "untouched");

    // The lock file, too.
    fs::remove_file(root.join("lock")).unwrap();
    symlink(outside.join("victim"), root.join("lock")).unwrap();
    assert_eq!(store.rollback("device").unwrap_err().kind, Kind::Permission);
    fs::remove_file(root.join("lock")).unwrap();
    let reported = store.verify().unwrap();
    assert!(reported.iter().filter(|p| p.kind == ProblemKind::Foreign).count() >= 2, "{reported:?}");
}

#[test]
fn a_pipe_in_a_files_place_does_not_hold_the_reader() {
    let place = two_generations();
    let path = place.memory().join("identity/device/current");
    fs::remove_file(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(place.open().current("device").unwrap_err().kind, Kind::Permission);
}

#[test]
fn a_damaged_generation_in_use_gives_way_to_the_last_good_one() {
    for (keys, _turn) in every_kind_of_key() {
        for (file, damage) in [
            ("certificate.pem", "truncated"),
            ("certificate.pem", "other"),
            ("chain.pem", "truncated"),
            ("chain.pem", "missing"),
            (keys.file(), "truncated"),
            (keys.file(), "other"),
            (keys.file(), "missing"),
            ("meta", "truncated"),
            ("meta", "missing"),
        ] {
            let place = two_generations_of(keys);
            let generation = place.memory().join("identity/device/gen-000002");
            let path = generation.join(file);
            let content = fs::read(&path).unwrap();
            match damage {
                "truncated" => fs::write(&path, &content[..content.len() / 2]).unwrap(),
                "other" => {
                    fs::write(&path, fs::read(place.memory().join("identity/device/gen-000001").join(file)).unwrap())
                        .unwrap()
                }
                _ => fs::remove_file(&path).unwrap(),
            }

            let store = keys.open(&place);
            let error = store.current("device").unwrap_err();
            assert!(
                error.is_damage() && error.to_string().contains("gen-000002"),
                "{keys:?}: {file} {damage}: {error}"
            );
            let (good, why) = store.last_good("device").unwrap();
            assert!(keys.issued(1).is(&good) && why.is_some(), "{keys:?} {file} {damage}");
            assert!(store.open_key(&good.key).unwrap().is_some(), "and its key can be used");
            assert!(store.verify().unwrap().iter().any(|p| p.kind == ProblemKind::Generation && !p.is_mended));
            assert!(store.current("device").is_err(), "verify changes nothing");

            let mended = store.repair().unwrap();
            assert!(
                mended.iter().any(|p| p.kind == ProblemKind::Generation && p.is_mended),
                "{keys:?}: {file} {damage}: {mended:?}"
            );
            assert!(keys.issued(1).is(&store.current("device").unwrap()), "{keys:?}: {file} {damage}");
            assert!(store.repair().unwrap().is_empty(), "{keys:?}: {file} {damage}: a second look finds nothing");
            store.install("device", &keys.issued(3).new_identity()).unwrap();
            assert!(keys.issued(3).is(&store.current("device").unwrap()));
        }
    }
}

#[test]
fn a_damaged_pointer_is_restored_from_its_copy_and_both_from_what_is_there() {
    for (keys, _turn) in every_kind_of_key() {
        for (damaged, expected) in [(&["current"][..], 2), (&["current.copy"], 2), (&["current", "current.copy"], 2)] {
            for removed in [false, true] {
                let place = two_generations_of(keys);
                for file in damaged {
                    let path = place.memory().join("identity/device").join(file);
                    if removed {
                        fs::remove_file(path).unwrap()
                    } else {
                        fs::write(path, "devid-pointer 1\ncurrent 1\n").unwrap()
                    }
                }
                let store = keys.open(&place);
                if damaged.len() == 1 {
                    assert!(keys.issued(expected).is(&store.current("device").unwrap()), "the copy serves meanwhile");
                } else {
                    assert!(store.current("device").is_err());
                }
                let mended = store.repair().unwrap();
                assert!(mended.iter().all(|p| p.kind == ProblemKind::Pointer && p.is_mended), "{mended:?}");
                assert!(keys.issued(expected).is(&store.current("device").unwrap()), "{keys:?} {damaged:?}");
                assert_eq!(store.verify().unwrap(), []);
            }
        }
    }
}

#[test]
fn an_unconfirmed_generation_does_not_come_into_use_by_repair() {
    for (keys, _turn) in every_kind_of_key() {
        let place = Place::new();
        let store = keys.open(&place);
        store.install("device", &keys.issued(1).new_identity()).unwrap();
        store.stage("device", &keys.issued(2).new_identity()).unwrap();
        for file in ["current", "current.copy"] {
            fs::remove_file(place.memory().join("identity/device").join(file)).unwrap();
        }
        store.repair().unwrap();
        assert!(keys.issued(1).is(&store.current("device").unwrap()));
        assert!(keys.issued(2).is(&store.pending("device").unwrap()));
    }
}

#[test]
fn damaged_records_are_named_and_only_the_useless_ones_removed() {
    for (keys, _turn) in every_kind_of_key() {
        let place = two_generations_of(keys);
        let store = keys.open(&place);
        store.save_operation("enrol", b"state").unwrap();
        store.put_blob("crl", b"crl").unwrap();
        store.raise_number("crl", &[7]).unwrap();
        store.set_anchors(AnchorSet::Cmp, &ca_chain()).unwrap();
        store.put_pending_key("waiting", &Signer::Key(keys.key(5))).unwrap();
        let root = place.memory();
        for path in [
            "operation/enrol",
            "blob/crl",
            "number/crl",
            "anchors/cmp.pem",
            &format!("pending/waiting/{}", keys.file()),
        ] {
            fs::write(root.join(path), "-----BEGIN damage").unwrap();
        }
        fs::write(root.join("identity/readme.txt"), "by hand").unwrap();
        fs::write(root.join("identity/.tmp-1-1"), "half a key").unwrap();

        let found = store.verify().unwrap();
        let damaged = |p: &&Problem| p.kind == ProblemKind::Damaged;
        assert_eq!(found.iter().filter(damaged).count(), 5, "{found:?}");
        assert!(found.iter().any(|p| p.kind == ProblemKind::Foreign && p.place == "identity/readme.txt"));
        assert!(found.iter().any(|p| p.kind == ProblemKind::Leftover && p.place == "identity/.tmp-1-1"));
        assert_eq!(store.load_operation("enrol").unwrap_err().code(), Code::Corrupt);
        assert_eq!(store.raise_number("crl", &[8]).unwrap_err().kind, Kind::Corrupt, "no way back below 7");

        store.remove_number("crl").unwrap();
        assert!(store.raise_number("crl", &[1]).unwrap(), "unless a person says so");
        fs::write(root.join("number/crl"), "-----BEGIN damage").unwrap();

        let mended = store.repair().unwrap();
        let gone: Vec<_> =
            mended.iter().filter(|p| p.kind == ProblemKind::Damaged && p.is_mended).map(|p| p.place.as_str()).collect();
        assert_eq!(gone, ["blob/crl", "operation/enrol"]);
        assert!(root.join("identity/readme.txt").exists() && root.join("pending/waiting").join(keys.file()).exists());
        assert!(!root.join("identity/.tmp-1-1").exists());
        assert_eq!(store.blob("crl").unwrap_err().kind, Kind::NotFound);
    }
}

/// A mark tells that something has changed, and nothing is lost with it; a number guards, and so does the record of who is revoked.
#[test]
fn a_damaged_mark_begins_anew_and_what_guards_is_never_mended_away() {
    for (keys, _turn) in every_kind_of_key() {
        let place = two_generations_of(keys);
        let store = keys.open(&place);
        let guards = ["number/crl-0011", "number/cre-0011", "number/firmware", "blob/revoked"];
        let marks = ["number/status-mark", "number/revoked-mark"];
        for path in guards.iter().chain(&marks) {
            match path.split_once('/').unwrap() {
                ("number", name) => drop(store.raise_number(name, &[7]).unwrap()),
                (_, name) => store.put_blob(name, b"record").unwrap(),
            }
            fs::write(place.memory().join(path), "devid-number 1 damage").unwrap();
        }
        let found = store.verify().unwrap();
        assert_eq!(found.iter().filter(|p| p.kind == ProblemKind::Damaged).count(), guards.len() + marks.len());
        let mended = store.repair().unwrap();
        for path in guards {
            assert!(mended.iter().any(|p| p.place == path && !p.is_mended), "{path}: {mended:?}");
            assert_eq!(fs::read(place.memory().join(path)).unwrap(), b"devid-number 1 damage");
        }
        for path in marks {
            assert!(mended.iter().any(|p| p.place == path && p.is_mended), "{path}: {mended:?}");
            let anew = store.number(path.strip_prefix("number/").unwrap()).unwrap().unwrap();
            assert!(
                anew.len() == 8 && anew[7] % 2 == 0,
                "far from all that were there, and of nobody who writes: {anew:?}"
            );
        }
    }
}

#[test]
fn old_generations_go_when_the_retention_count_is_reached() {
    for (keys, _turn) in every_kind_of_key() {
        for retention_count in [0, 2, 4] {
            let place = Place::new();
            let options = StoreOptions { retention_count, ..keys.options() };
            let store = keys.open_with(&place, options);
            for number in 1..=6 {
                store.install("device", &keys.issued(number).new_identity()).unwrap();
            }
            let kept = files_below(&place.memory()).iter().filter(|p| p.ends_with(keys.file())).count();
            assert_eq!(kept, retention_count.max(2), "there is always one to roll back to");
            assert!(
                keys.issued(6).is(&store.current("device").unwrap())
                    && keys.issued(5).is(&store.previous("device").unwrap())
            );
        }
    }
}

#[test]
fn an_old_key_is_overwritten_before_it_is_removed() {
    let place = Place::new();
    let listener = Arc::new(Listener::default());
    let options = DirectoryOptions { witness: Some(listener.clone()), ..Default::default() };
    let home = DirectoryBackend::open(place.memory(), options).unwrap();
    let store = Store::new(Box::new(home), provider(), StoreOptions::default());
    for number in 1..=3 {
        store.install("device", &issued(number).new_identity()).unwrap();
    }
    let steps = listener.0.lock().unwrap();
    let after = |from: usize, what: &str| {
        let found = steps[from..].iter().position(|step| step.contains(what));
        from + found.unwrap_or_else(|| panic!("{what} after step {from} of {steps:#?}"))
    };
    let switched = steps.iter().rposition(|s| s.starts_with("renameat") && s.ends_with("-> current")).unwrap();
    let is_torso = after(switched, "unlinkat identity/device/gen-000001/meta");
    let nameless = after(is_torso, "renameat identity/device/gen-000001/key.pem -> .tmp-");
    let durable = after(nameless, "fsync identity/device/gen-000001/");
    let wiped = after(durable, "write identity/device/gen-000001/.tmp-");
    let synced = after(wiped, "fsync identity/device/gen-000001/.tmp-");
    after(synced, "unlinkat identity/device/gen-000001/.tmp-");
}

/// Writes down what is done.
#[derive(Default)]
struct Listener(std::sync::Mutex<Vec<String>>);

impl Witness for Listener {
    fn after(&self, call: &Call<'_>) {
        self.0.lock().unwrap().push(call.to_string());
    }
}

#[test]
fn a_backup_made_by_hard_links_keeps_its_keys() {
    let place = two_generations();
    let backup = place.0.join("backup.pem");
    fs::hard_link(place.memory().join("identity/device/gen-000001/key.pem"), &backup).unwrap();
    let before = fs::read(&backup).unwrap();
    place.open().install("device", &issued(3).new_identity()).unwrap();
    assert_eq!(fs::read(&backup).unwrap(), before);
}

#[test]
fn another_process_with_the_lock_is_waited_for_or_named_and_its_death_frees_it() {
    let place = two_generations();
    let lock = place.memory().join("lock");
    let mut other = match Command::new("flock").arg(&lock).args(["sleep", "30"]).spawn() {
        Ok(child) => child,
        Err(_) => {
            left_out("no flock command");
            return;
        }
    };
    let home = || DirectoryBackend::open(place.memory(), DirectoryOptions::default()).unwrap();
    let store = Store::new(Box::new(home()), provider(), StoreOptions::default());
    // The other process needs a moment to start.
    let mut outcome = store.put_blob("x", b"1");
    for _ in 0..500 {
        if outcome.is_err() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
        outcome = store.put_blob("x", b"1");
    }
    let error = outcome.unwrap_err();
    assert_eq!((error.kind, error.code()), (Kind::Locked, Code::Locked));
    assert!(issued(2).is(&store.current("device").unwrap()), "reading goes on");

    // flock's child holds the lock's descriptor as well: both end.
    let children = Command::new("ps").args(["-o", "pid=", "--ppid", &other.id().to_string()]).output();
    other.kill().unwrap();
    other.wait().unwrap();
    if let Ok(children) = children {
        for pid in String::from_utf8_lossy(&children.stdout).split_whitespace() {
            let _ = Command::new("kill").arg(pid).status();
        }
    }
    let patient = DirectoryOptions { lock_wait: std::time::Duration::from_secs(35), ..Default::default() };
    let home = DirectoryBackend::open(place.memory(), patient).unwrap();
    Store::new(Box::new(home), provider(), StoreOptions::default())
        .put_blob("x", b"2")
        .expect("the lock died with its process");
}

#[test]
fn a_reader_never_sees_a_half_state_while_another_handle_installs() {
    let place = two_generations();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (path, is_done) = (place.memory(), done.clone());
    let all: Vec<_> = (1..=6).map(issued).collect();
    let writer = std::thread::spawn(move || {
        let store = Store::open_directory(path, provider(), StoreOptions::default()).unwrap();
        for round in 0..12 {
            store.install("device", &issued(1 + round % 6).new_identity()).unwrap();
        }
        is_done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    let store = place.open();
    let mut reads = 0;
    while !done.load(std::sync::atomic::Ordering::SeqCst) || reads == 0 {
        let found = store.current("device").expect("always one whole identity");
        assert!(all.iter().any(|i| i.is(&found)));
        reads += 1;
    }
    writer.join().unwrap();
}
