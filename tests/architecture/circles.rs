//! Which files need which, and the circles among them: files that can only be understood, moved and tested together.
//!
//! A path is followed through re-exports to the file that defines the name, so that a room's front door (`mod.rs`, which names
//! what its files define) counts for what it uses itself, and for nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::source::{Texts, block, code_of};

/// A module's place, from the crate's root: `["cmp", "request"]`.
type Place = Vec<String>;

/// The files below a folder that need each other in a circle, each circle sorted.
pub fn circles(root: &Path, files: &[PathBuf]) -> Vec<Vec<String>> {
    let house = House::read(root, files);
    let needs: BTreeMap<&Place, BTreeSet<Place>> =
        house.files.keys().map(|place| (place, house.needs(place))).collect();
    let reaches = |from: &Place| -> BTreeSet<Place> {
        let mut found = BTreeSet::new();
        let mut ahead: Vec<Place> = vec![from.clone()];
        while let Some(place) = ahead.pop() {
            for next in &needs[&place] {
                if found.insert(next.clone()) {
                    ahead.push(next.clone());
                }
            }
        }
        found
    };
    let reached: BTreeMap<&Place, BTreeSet<Place>> = needs.keys().map(|place| (*place, reaches(place))).collect();
    let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
    for (place, ahead) in reached.iter().filter(|(place, ahead)| ahead.contains(**place)) {
        let circle: Vec<String> = ahead
            .iter()
            .filter(|other| reached[*other].contains(*place))
            .map(|other| house.files[other].path.strip_prefix(root).unwrap().display().to_string())
            .collect();
        circles.insert(circle);
    }
    circles.into_iter().collect()
}

/// What one file needs, for people who untie a circle.
pub fn needs_within(root: &Path, files: &[PathBuf], circle: &[String]) -> Vec<String> {
    let house = House::read(root, files);
    let name = |place: &Place| house.files[place].path.strip_prefix(root).unwrap().display().to_string();
    let mut lines = Vec::new();
    for place in house.files.keys().filter(|place| circle.contains(&name(place))) {
        for (path, target) in house.paths_used(place).into_iter().chain(house.methods_used(place)) {
            if target != *place && circle.contains(&name(&target)) {
                lines.push(format!("{} needs {}: {}", name(place), name(&target), path.join("::")));
            }
        }
    }
    lines.sort();
    lines.dedup();
    lines
}

/// What each file below a folder names: rooms, and files of the ground.
pub fn rooms_used(root: &Path, files: &[PathBuf]) -> Vec<(PathBuf, BTreeSet<String>)> {
    let house = House::read(root, files);
    house.files.iter().map(|(place, file)| (file.path.clone(), house.rooms_used(place))).collect()
}

/// The files that bring in names without saying them, other than those of the ground.
pub fn brought_unnamed(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let house = House::read(root, files);
    let is_unnamed = |(_, path, _): &&(String, Place, bool)| {
        path.last().is_some_and(|last| last == "*") && *path != ["prelude", "*"].map(str::to_owned)
    };
    let files = house.files.values();
    let found = files.flat_map(|file| file.brought.iter().filter(is_unnamed).map(|(_, path, _)| (&file.path, path)));
    found.map(|(file, path)| format!("{}: {}", file.display(), path.join("::"))).collect()
}

struct SourceFile {
    path: PathBuf,
    /// Names that a `use` brings in, as their path from the root; whether it is a re-export.
    brought: Vec<(String, Place, bool)>,
    /// Paths in the code besides, sorted.
    written: Vec<Place>,
    /// By type.
    methods: BTreeMap<String, Methods>,
}

/// What a file has of a type's own functions.
#[derive(Default)]
struct Methods {
    made: BTreeSet<String>,
    /// By the type's functions that stand here.
    called: BTreeSet<String>,
}

struct House {
    files: BTreeMap<Place, SourceFile>,
    places: BTreeSet<Place>,
    /// Places with others below them.
    rooms: BTreeSet<Place>,
}

impl House {
    fn read(root: &Path, files: &[PathBuf]) -> Self {
        let places: BTreeSet<Place> = files.iter().map(|file| place_of(root, file)).collect();
        let read = |path: &PathBuf| {
            let place = place_of(root, path);
            let (uses, body) = uses_and_body(&fs::read_to_string(path).unwrap());
            let mut brought = Vec::new();
            for statement in uses {
                let is_reexport = statement.starts_with("pub");
                let tree = statement.split_once("use ").map_or("", |(_, tree)| tree).trim_end_matches(';');
                for (name, path) in branches(tree) {
                    if let Some(path) = from_root(&places, &place, &path) {
                        brought.push((name, path, is_reexport));
                    }
                }
            }
            (place, SourceFile { path: path.clone(), brought, written: paths_in(&body), methods: methods_in(&body) })
        };
        let rooms = places.iter().filter_map(|place| place.split_last()).map(|(_, above)| above.to_vec()).collect();
        House { files: files.iter().map(read).collect(), places, rooms }
    }

    fn needs(&self, place: &Place) -> BTreeSet<Place> {
        let used = self.paths_used(place).into_iter().chain(self.methods_used(place));
        used.map(|(_, target)| target).filter(|target| target != place).collect()
    }

    /// Functions of a type in several files that one file calls, with the file that has them.
    fn methods_used(&self, place: &Place) -> Vec<(Place, Place)> {
        let mut used = Vec::new();
        for (name, methods) in &self.files[place].methods {
            for called in methods.called.difference(&methods.made) {
                let makes = |file: &SourceFile| file.methods.get(name).is_some_and(|m| m.made.contains(called));
                // Types of the same name in several modules are several types.
                let is_near = |other: &Place| other.first() == place.first();
                let mut makers = self.files.iter().filter(|(other, file)| is_near(other) && makes(file));
                if let (Some((maker, _)), None) = (makers.next(), makers.next()) {
                    used.push((vec![name.clone(), called.clone()], maker.clone()));
                }
            }
        }
        used
    }

    /// The first segments of what a file names: rooms, and files of the ground.
    fn rooms_used(&self, place: &Place) -> BTreeSet<String> {
        let named = self.places_named(place);
        let defined = named.iter().filter_map(|path| self.definer(path));
        // A name of the crate's own front door stands for where it is defined.
        let is_module = |first: &String| first.starts_with(char::is_lowercase);
        named.iter().cloned().chain(defined).filter_map(|path| path.first().cloned()).filter(is_module).collect()
    }

    /// Paths that a file's code names, with the file that defines what they name.
    fn paths_used(&self, place: &Place) -> Vec<(Place, Place)> {
        let named = self.places_named(place).into_iter();
        named.filter_map(|path| self.definer(&path).map(|target| (path, target))).collect()
    }

    /// Paths that a file's code names, from the root.
    fn places_named(&self, place: &Place) -> Vec<Place> {
        let file = &self.files[place];
        let mut used = Vec::new();
        for (name, path, is_reexport) in &file.brought {
            // Sorted, so those that begin with the name stand together.
            let from = file.written.partition_point(|written| written[0] < *name);
            let said: Vec<&Place> = file.written[from..].iter().take_while(|written| written[0] == *name).collect();
            if !said.is_empty() || !is_reexport {
                used.push(path.clone());
            }
            // A module that was brought in, with what is taken from it.
            for longer in said.into_iter().filter(|longer| longer.len() > 1) {
                used.push(path.iter().chain(&longer[1..]).cloned().collect());
            }
        }
        used.extend(
            file.written.iter().filter(|path| path.len() > 1).filter_map(|path| from_root(&self.places, place, path)),
        );
        used
    }

    /// The file that defines what a path names. A path that ends at a module with files of its own names none of them.
    fn definer(&self, path: &[String]) -> Option<Place> {
        let mut at: Place = Vec::new();
        for (index, segment) in path.iter().enumerate() {
            let below: Place = at.iter().chain([segment]).cloned().collect();
            if self.files.contains_key(&below) {
                at = below;
                continue;
            }
            let rest = &path[index + 1..];
            let brought = self.files[&at].brought.iter();
            for (name, target, _) in brought.filter(|(_, target, is_reexport)| *is_reexport && target != path) {
                if name == segment {
                    return self.definer(&target.iter().chain(rest).cloned().collect::<Place>());
                }
            }
            return Some(at);
        }
        (!self.rooms.contains(&at)).then_some(at)
    }
}

fn place_of(root: &Path, file: &Path) -> Place {
    let mut place: Place = file
        .strip_prefix(root)
        .unwrap()
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if matches!(place.last().map(String::as_str), Some("mod" | "lib")) {
        place.pop();
    }
    place
}

/// As a path from the root, if it leads to a file of the house.
fn from_root(places: &BTreeSet<Place>, place: &Place, path: &[String]) -> Option<Place> {
    let (first, rest) = path.split_first()?;
    let mut at: Place = match first.as_str() {
        "crate" => Vec::new(),
        "self" => place.clone(),
        "super" => place[..place.len().checked_sub(1)?].to_vec(),
        child => {
            let below: Place = place.iter().cloned().chain([child.to_owned()]).collect();
            return places.contains(&below).then(|| below.into_iter().chain(rest.iter().cloned()).collect());
        }
    };
    for segment in rest {
        match segment.as_str() {
            "super" => drop(at.pop()),
            "self" => {}
            segment => at.push(segment.to_owned()),
        }
    }
    Some(at)
}

/// The `use` statements each on a line, and all other code; without comments, texts and tests.
fn uses_and_body(text: &str) -> (Vec<String>, String) {
    let (mut uses, mut body) = (Vec::new(), String::new());
    let mut open: Option<String> = None;
    let mut is_for_tests = false;
    for line in code_of(text, Texts::Emptied).lines().map(str::trim) {
        let is_use = line.starts_with("use ") || line.starts_with("pub") && line.contains(" use ");
        if is_use && open.is_none() {
            open = Some(String::new());
        }
        match &mut open {
            Some(statement) => {
                statement.push_str(line);
                statement.push(' ');
                if line.ends_with(';') {
                    let whole = std::mem::take(statement).trim().to_owned();
                    uses.extend((!is_for_tests).then_some(whole));
                    open = None;
                }
            }
            None => {
                body.push_str(line);
                body.push('\n');
            }
        }
        if open.is_none() {
            is_for_tests = line == "#[cfg(test)]";
        }
    }
    (uses, body)
}

/// The functions of each type that a file's code has in `impl Type`, and those that it calls there of the type itself.
fn methods_in(code: &str) -> BTreeMap<String, Methods> {
    let mut found: BTreeMap<String, Methods> = BTreeMap::new();
    let heads = code.match_indices("impl").map(|(at, _)| at);
    for at in heads.filter(|at| *at == 0 || code[..*at].ends_with('\n') || code[..*at].ends_with("unsafe ")) {
        let Some((head, _)) = code[at + 4..].split_once('{') else { continue };
        let head = head.split(" where").next().unwrap_or_default();
        let is_of_a_trait = head.contains(" for ");
        let head = after_generics(head).trim();
        let name: String = head.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect();
        let name = name.rsplit("::").next().unwrap_or_default().to_owned();
        if is_of_a_trait || name.is_empty() {
            continue;
        }
        let block = block(&code[at..]);
        let methods = found.entry(name).or_default();
        methods.made.extend(block.split("fn ").skip(1).map(name_at));
        // A chain of calls over several lines is one.
        let chained: String = block.split('.').map(str::trim_start).collect::<Vec<_>>().join(".");
        let chained: String = chained.split('.').map(str::trim_end).collect::<Vec<_>>().join(".");
        for own in ["self.", "Self::"] {
            let calls = chained.split(own).skip(1).filter(|rest| rest[name_at(rest).len()..].starts_with('('));
            methods.called.extend(calls.map(name_at));
        }
    }
    found
}

fn after_generics(head: &str) -> &str {
    let head = head.trim_start();
    let Some(inner) = head.strip_prefix('<') else { return head };
    let mut depth = 1;
    for (at, character) in inner.char_indices() {
        match character {
            '<' => depth += 1,
            '>' if !inner[..at].ends_with('-') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &inner[at + 1..];
        }
    }
    head
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// The names that a use tree brings in, each with its whole path: `a::{b, c as d}` brings `b` and `d`.
fn branches(tree: &str) -> Vec<(String, Place)> {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let stem: Place = segments(tree[..open].trim().trim_end_matches("::"));
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let below = split_outside(inner).into_iter().flat_map(|branch| branches(&branch));
        return below
            .map(|(name, path)| {
                let path = path.into_iter().filter(|segment| segment != "self");
                let path: Place = stem.iter().cloned().chain(path).collect();
                let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { name };
                (name, path)
            })
            .collect();
    }
    let (path, alias) = match tree.split_once(" as ") {
        Some((path, alias)) => (path, Some(alias.trim().to_owned())),
        None => (tree, None),
    };
    let path = segments(path);
    match path.last() {
        None => Vec::new(),
        Some(last) => vec![(alias.unwrap_or_else(|| last.clone()), path)],
    }
}

fn segments(path: &str) -> Place {
    path.split("::").map(str::trim).filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

/// At commas that stand in no braces.
fn split_outside(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match parts.last_mut() {
            _ if character == ',' && depth == 0 => parts.push(String::new()),
            Some(part) => part.push(character),
            None => {}
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// Every path in code, a single name too.
fn paths_in(code: &str) -> Vec<Place> {
    let mut paths = Vec::new();
    let is_part = |character: char| character.is_alphanumeric() || character == '_' || character == ':';
    for word in code.split(|character| !is_part(character)) {
        let path = segments(word);
        if !path.is_empty() {
            paths.push(path);
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// Of files that are written for it.
fn circles_among(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("devid-circles-{}-{number}", std::process::id()));
    let write = |(name, code): &(&str, &str)| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, code).unwrap();
        path
    };
    let found = circles(&folder, &files.iter().map(write).collect::<Vec<_>>());
    fs::remove_dir_all(&folder).unwrap();
    found
}

#[test]
fn a_circle_is_found_through_a_front_door_and_a_front_door_is_in_none() {
    let found = circles_among(&[
        ("lib.rs", "pub mod room;\n"),
        ("room/mod.rs", "mod one;\nmod two;\npub use one::One;\npub use two::{Two, three as four};\n"),
        (
            "room/one.rs",
            "use super::Two;\npub struct One;\n#[cfg(test)]\nmod tests { use super::super::free::Free; }\n",
        ),
        (
            "room/two.rs",
            "pub struct Two;\n// super::free::Free\nfn two() { let words = \"super::free\"; three::go() }\nuse super::three;\n",
        ),
        ("room/three.rs", "pub fn go() -> crate::room::One { crate::room::one::One }\n"),
        ("room/free.rs", "use super::four;\n"),
    ]);
    assert_eq!(found, [["room/one.rs", "room/three.rs", "room/two.rs"]]);
}

#[test]
fn a_circle_by_functions_of_one_type_in_several_files_is_found() {
    let found = circles_among(&[
        ("lib.rs", "pub mod room;\n"),
        ("room/mod.rs", "mod one;\nmod two;\nmod three;\n"),
        (
            "room/one.rs",
            "pub struct One<T>(T);\nimpl<T: Fn() -> u8> One<T> {\n    pub fn begin(&self) { self\n        .go() }\n}\n",
        ),
        (
            "room/two.rs",
            "use super::one::One;\nimpl<T> One<T>\nwhere\n    T: Copy,\n{\n    fn go(&self) { Self::begin(self) }\n}\n",
        ),
        // Others' functions of the same name, and a trait's.
        (
            "room/three.rs",
            "use super::one::One;\nstruct Three;\nimpl Three { fn go(&self) { self.end() } }\nimpl Drop for One<u8> { fn end(&self) {} }\n",
        ),
    ]);
    assert_eq!(found, [["room/one.rs", "room/two.rs"]]);
}
