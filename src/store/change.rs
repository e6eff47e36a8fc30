//! Tells the owner what came into use: the moment to reload a server, or to export for one.

use std::path::Path;
use std::sync::Arc;

/// What happened.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Of which kind.
    pub kind: ChangeKind,
    /// The identity's name.
    pub name: &'a str,
    /// The generation that is in use now, or that was exported.
    pub generation: u32,
    /// Where it was exported to.
    pub folder: Option<&'a Path>,
}

/// Kinds of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(i32)]
pub enum ChangeKind {
    /// A new generation came into use: installed or promoted.
    Installed = 1,
    /// The previous generation came back into use.
    RolledBack = 2,
    /// The identity was written for other software, and its new files are in use.
    Exported = 3,
}

pub(super) type OnChange = Arc<dyn Fn(&Change<'_>) + Send + Sync>;
