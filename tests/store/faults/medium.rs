//! A file system that remembers what was synced: a model of what may be left after the loss of power.
//!
//! What POSIX promises and no more: a file's bytes are durable after `fsync` of the file, a directory's entries after
//! `fsync` of the directory. What came later may be there or not:
//!
//! - in the order of a journal (ext4, xfs, f2fs): changes to directories survive up to some point, all directories
//!   together, and every `fsync` carries along what came before it; bytes may be missing all the same;
//! - in any order: each change to a directory there or not;
//! - name by name: even a rename is two halves, of which either may be missing.
//!
//! Unsynced bytes are there, or missing, or half there, or zeros. Access rights are durable after
//! `fsync` of the file or of its directory, and until then the old ones.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use devid::store::{Call, CallKind};

use super::plan::Dice;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Directory(usize),
    File(usize),
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Where the next write through the newest handle goes.
    offset: usize,
    durable_mode: u32,
    mode: u32,
}

impl File {
    fn now(&self) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        self.unsynced.iter().for_each(|(at, part)| put(&mut bytes, *at, part));
        bytes
    }

    /// What may be left of it, the oldest first.
    fn options(&self, with_damage: bool) -> Vec<Vec<u8>> {
        let Some((at, last)) = self.unsynced.last() else { return vec![self.durable.clone()] };
        let mut options = vec![self.durable.clone()];
        if with_damage {
            let mut torn = File { unsynced: self.unsynced[..self.unsynced.len() - 1].to_vec(), ..self.clone() }.now();
            let mut zeros = torn.clone();
            put(&mut torn, *at, &last[..last.len() / 2]);
            put(&mut zeros, *at, &vec![0; last.len()]);
            options.extend([torn, zeros]);
        }
        options.push(self.now());
        options
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, part: &[u8]) {
    if bytes.len() < at + part.len() {
        bytes.resize(at + part.len(), 0);
    }
    bytes[at..at + part.len()].copy_from_slice(part);
}

type Entries = BTreeMap<String, Node>;

/// A change to one directory that was not synced.
#[derive(Clone, Debug)]
struct Change {
    directory: usize,
    entries: Vec<(String, Option<Node>)>,
    /// Some `fsync` came later: a journal would have it.
    is_committed: bool,
}

/// Which rules of the real world are broken, to see that it is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    /// `fsync` of a file does nothing.
    pub file_sync: bool,
    /// `fsync` of a directory does nothing.
    pub directory_sync: bool,
}

#[derive(Clone, Debug)]
pub struct Medium {
    files: Vec<File>,
    /// Durable entries.
    directories: Vec<Entries>,
    changes: Vec<Change>,
    lies: Lies,
}

/// How unsynced changes to directories get lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    Journal,
    AnyOrder,
    ByName,
}

/// Files and directories by path, as they would be found. Directories are `None`.
#[derive(Clone, Debug, Default)]
pub struct Image(BTreeMap<String, Option<(usize, Vec<u8>, u32)>>);

const ROOT: usize = 0;

impl Medium {
    /// What is there, all of it durable.
    pub fn of(path: &Path, lies: Lies) -> Self {
        let mut medium = Medium { files: Vec::new(), directories: Vec::new(), changes: Vec::new(), lies };
        medium.directories.push(Entries::new());
        if path.exists() {
            medium.scan(path, ROOT);
        }
        medium
    }

    fn scan(&mut self, path: &Path, directory: usize) {
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let node = if entry.file_type().unwrap().is_dir() {
                self.directories.push(Entries::new());
                let id = self.directories.len() - 1;
                self.scan(&entry.path(), id);
                Node::Directory(id)
            } else {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
                let durable = std::fs::read(entry.path()).unwrap();
                self.files.push(File { durable, mode, durable_mode: mode, ..File::default() });
                Node::File(self.files.len() - 1)
            };
            self.directories[directory].insert(name, node);
        }
    }

    /// A system call that succeeded.
    pub fn record(&mut self, call: &Call<'_>) {
        // The entry of the whole directory in its parent is made in one step and checked by a scenario of its own.
        if call.directory == ".." {
            return;
        }
        let change =
            |entries: Vec<(String, Option<Node>)>, directory| Change { directory, entries, is_committed: false };
        let directory = self.directory(call.directory).expect("calls are made in directories that are there");
        match call.kind {
            CallKind::Create => {
                if self.lookup(directory, call.name).is_none() {
                    self.files.push(File { mode: 0o600, durable_mode: 0o600, ..File::default() });
                    let node = Node::File(self.files.len() - 1);
                    self.changes.push(change(vec![(call.name.to_owned(), Some(node))], directory));
                }
                self.file(directory, call.name).offset = 0;
            }
            CallKind::Open => {
                if let Some(Node::File(id)) = self.lookup(directory, call.name) {
                    self.files[id].offset = 0;
                }
            }
            CallKind::Write(bytes) => {
                let file = self.file(directory, call.name);
                file.unsynced.push((file.offset, bytes.to_vec()));
                file.offset += bytes.len();
            }
            // Of a directory's access rights.
            CallKind::Sync if matches!(self.lookup(directory, call.name), Some(Node::Directory(_))) => {}
            CallKind::Sync if !self.lies.file_sync => {
                let file = self.file(directory, call.name);
                file.durable = file.now();
                file.unsynced.clear();
                file.durable_mode = file.mode;
                self.commit();
            }
            CallKind::SyncDirectory if !self.lies.directory_sync => {
                self.commit();
                let (synced, rest) =
                    std::mem::take(&mut self.changes).into_iter().partition(|c: &Change| c.directory == directory);
                self.changes = rest;
                for (name, node) in Vec::into_iter(synced).flat_map(|c| c.entries) {
                    apply(&mut self.directories[directory], name, node);
                }
                for node in self.directories[directory].values() {
                    if let Node::File(id) = node {
                        self.files[*id].durable_mode = self.files[*id].mode;
                    }
                }
            }
            CallKind::Rename(to) => {
                let node = self.lookup(directory, call.name);
                let entries = vec![(call.name.to_owned(), None), (to.to_owned(), node)];
                self.changes.push(change(entries, directory));
            }
            CallKind::Unlink | CallKind::RemoveDirectory => {
                self.changes.push(change(vec![(call.name.to_owned(), None)], directory));
            }
            CallKind::MakeDirectory => {
                self.directories.push(Entries::new());
                let node = Node::Directory(self.directories.len() - 1);
                self.changes.push(change(vec![(call.name.to_owned(), Some(node))], directory));
            }
            CallKind::Narrow => {
                if let Some(Node::File(id)) = self.lookup(directory, call.name) {
                    self.files[id].mode = 0o600;
                }
            }
            _ => {}
        }
    }

    fn commit(&mut self) {
        self.changes.iter_mut().for_each(|c| c.is_committed = true);
    }

    fn lookup(&self, directory: usize, name: &str) -> Option<Node> {
        let mut found = self.directories[directory].get(name).copied();
        for (_, node) in
            self.changes.iter().filter(|c| c.directory == directory).flat_map(|c| &c.entries).filter(|e| e.0 == name)
        {
            found = *node;
        }
        found
    }

    fn file(&mut self, directory: usize, name: &str) -> &mut File {
        match self.lookup(directory, name) {
            Some(Node::File(id)) => &mut self.files[id],
            other => panic!("{name} is {other:?}"),
        }
    }

    fn directory(&self, key: &str) -> Option<usize> {
        key.split('/').filter(|n| !n.is_empty()).try_fold(ROOT, |at, name| match self.lookup(at, name)? {
            Node::Directory(id) => Some(id),
            Node::File(_) => None,
        })
    }

    /// What may be found after the power was lost now: all of it if that is at most `most` for each kind of file
    /// system, otherwise the extremes and some by chance. Each once.
    pub fn images(&self, dice: &mut Dice, most: usize) -> Vec<Image> {
        let mut found = BTreeMap::new();
        for loss in [Loss::Journal, Loss::AnyOrder, Loss::ByName] {
            let names = self.names();
            let files: Vec<usize> = (0..self.files.len())
                .filter(|i| !self.files[*i].unsynced.is_empty() || self.files[*i].mode != self.files[*i].durable_mode)
                .collect();
            let options: Vec<Vec<Vec<u8>>> =
                files.iter().map(|i| self.files[*i].options(!matches!(loss, Loss::Journal))).collect();
            let mut arities: Vec<usize> = match loss {
                Loss::Journal => vec![self.changes.iter().filter(|c| !c.is_committed).count() + 1],
                Loss::AnyOrder => vec![2; self.changes.len()],
                Loss::ByName => names.values().map(|history| history.len()).collect(),
            };
            let of_directories = arities.len();
            arities.extend(options.iter().map(Vec::len));
            for choice in dice.combinations(&arities, most) {
                let (directories, contents) = choice.split_at(of_directories);
                let entries = self.survivors(loss, directories, &names);
                let mut files_left: Vec<(Vec<u8>, u32)> =
                    self.files.iter().map(|f| (f.durable.clone(), f.durable_mode)).collect();
                for ((file, options), chosen) in files.iter().zip(&options).zip(contents) {
                    files_left[*file].0 = options[*chosen].clone();
                }
                let mut image = Image::default();
                collect(&entries, &files_left, ROOT, "", &mut image);
                found.entry(image.fingerprint()).or_insert(image);
            }
        }
        found.into_values().collect()
    }

    /// One of them, with each choice below the number given.
    pub fn image(&self, choose: &mut dyn FnMut(usize) -> usize) -> Image {
        let names = self.names();
        let choice: Vec<usize> = names.values().map(|history| choose(history.len())).collect();
        let entries = self.survivors(Loss::ByName, &choice, &names);
        let left = |file: &File| {
            let options = file.options(true);
            (options[choose(options.len())].clone(), file.durable_mode)
        };
        let files: Vec<_> = self.files.iter().map(left).collect();
        let mut image = Image::default();
        collect(&entries, &files, ROOT, "", &mut image);
        image
    }

    /// Every name with unsynced changes, and what it stood for since the last sync.
    fn names(&self) -> BTreeMap<(usize, String), Vec<Option<Node>>> {
        let mut names = BTreeMap::new();
        for change in &self.changes {
            for (name, node) in &change.entries {
                let durable = || vec![self.directories[change.directory].get(name).copied()];
                names.entry((change.directory, name.clone())).or_insert_with(durable).push(*node);
            }
        }
        names
    }

    fn survivors(
        &self,
        loss: Loss,
        choice: &[usize],
        names: &BTreeMap<(usize, String), Vec<Option<Node>>>,
    ) -> Vec<Entries> {
        let mut directories = self.directories.clone();
        let mut uncommitted = 0;
        match loss {
            Loss::ByName => {
                for (((directory, name), history), chosen) in names.iter().zip(choice) {
                    apply(&mut directories[*directory], name.clone(), history[*chosen]);
                }
            }
            Loss::Journal | Loss::AnyOrder => {
                for (index, change) in self.changes.iter().enumerate() {
                    let survives = match loss {
                        Loss::Journal if change.is_committed => true,
                        Loss::Journal => {
                            uncommitted += 1;
                            uncommitted <= choice[0]
                        }
                        _ => choice[index] == 1,
                    };
                    if survives {
                        for (name, node) in &change.entries {
                            apply(&mut directories[change.directory], name.clone(), *node);
                        }
                    }
                }
            }
        }
        directories
    }
}

fn apply(entries: &mut Entries, name: String, node: Option<Node>) {
    match node {
        Some(node) => entries.insert(name, node),
        None => entries.remove(&name),
    };
}

fn collect(directories: &[Entries], files: &[(Vec<u8>, u32)], at: usize, prefix: &str, image: &mut Image) {
    for (name, node) in &directories[at] {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        match node {
            Node::Directory(id) => {
                image.0.insert(path.clone(), None);
                collect(directories, files, *id, &path, image);
            }
            Node::File(id) => {
                image.0.insert(path, Some((*id, files[*id].0.clone(), files[*id].1)));
            }
        }
    }
}

/// What tells contents apart. A sealed key looks different each time: its length and what is zero or not stand for it.
pub fn content(bytes: &[u8]) -> (usize, Vec<u8>) {
    let is_sealed = bytes.windows(SEALED.len()).any(|window| window == SEALED);
    let zeros = bytes.iter().filter(|b| **b == 0).count();
    (bytes.len(), if is_sealed { zeros.to_be_bytes().to_vec() } else { bytes.to_vec() })
}

const SEALED: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";

impl Image {
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, node) in &self.0 {
            (path, node.as_ref().map(|(_, bytes, mode)| (content(bytes), mode))).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Of what is there.
    pub fn of(path: &Path) -> Self {
        let mut image = Image::default();
        if path.exists() {
            let medium = Medium::of(path, Lies::default());
            let files: Vec<_> = medium.files.iter().map(|f| (f.durable.clone(), f.mode)).collect();
            collect(&medium.directories, &files, ROOT, "", &mut image);
        }
        image
    }

    /// Makes it real.
    pub fn write_to(&self, path: &Path) {
        std::fs::DirBuilder::new().mode(0o700).create(path).unwrap();
        let mut first: BTreeMap<usize, &str> = BTreeMap::new();
        for (key, node) in &self.0 {
            let target = path.join(key);
            match node {
                None => std::fs::DirBuilder::new().mode(0o700).create(target).unwrap(),
                Some((id, bytes, mode)) => match first.get(id) {
                    // Half a rename: the file has two names.
                    Some(other) => std::fs::hard_link(path.join(other), target).unwrap(),
                    None => {
                        use std::io::Write;
                        let mut options = std::fs::OpenOptions::new();
                        let mut file = options.write(true).create_new(true).mode(0o600).open(&target).unwrap();
                        file.write_all(bytes).unwrap();
                        if *mode != 0o600 {
                            file.set_permissions(std::fs::Permissions::from_mode(*mode)).unwrap();
                        }
                        first.insert(*id, key);
                    }
                },
            }
        }
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8], u32)> {
        self.0
            .iter()
            .filter_map(|(key, node)| node.as_ref().map(|(_, bytes, mode)| (key.as_str(), bytes.as_slice(), *mode)))
    }
}
