//! Keeps one of each shape of the requests that were right, for decoders that others wrote.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::Path;

use crate::tlv::Node;

/// Names the directory. Unset: nothing is kept.
const VARIABLE: &str = "DEVID_TESTCA_RECORD";

/// Writes a message into the directory named by the environment, unless one of its shape is there.
pub(crate) fn request(message: &[u8]) {
    let Some(directory) = std::env::var_os(VARIABLE) else { return };
    if let Err(error) = write(&directory, message) {
        panic!("{VARIABLE}={}: {error}", directory.to_string_lossy());
    }
}

fn write(directory: &OsString, message: &[u8]) -> std::io::Result<()> {
    let Ok(root) = Node::parse(message) else { return Ok(()) };
    let mut shape = DefaultHasher::new();
    feel(&root, &mut shape);
    let path = Path::new(directory).join(format!("{:016x}.pki", shape.finish()));
    if path.exists() {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    // Tests run side by side: each writes its own file and then takes the place.
    let unfinished = path.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    fs::write(&unfinished, message)?;
    fs::rename(unfinished, path)
}

/// Tags and object identifiers make the shape; lengths and other values do not.
fn feel(node: &Node, shape: &mut DefaultHasher) {
    node.tag.hash(shape);
    if node.tag == 0x06 {
        node.value().hash(shape);
    }
    node.children.len().hash(shape);
    for child in &node.children {
        feel(child, shape);
    }
}
