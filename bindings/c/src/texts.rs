//! Texts that getters lend: each is made when it is first asked for, and kept as long as the handle does not change.

use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use super::args::c_text;

/// One text, or none.
#[derive(Default)]
pub(super) struct Text(OnceLock<Option<CString>>);

impl Text {
    pub(super) fn get(&self, make: impl FnOnce() -> String) -> &CStr {
        self.find(|| Some(make())).unwrap_or(c"")
    }

    pub(super) fn find(&self, make: impl FnOnce() -> Option<String>) -> Option<&CStr> {
        self.0.get_or_init(|| make().map(|text| c_text(&text))).as_deref()
    }
}

/// Texts in an order.
#[derive(Default)]
pub(super) struct Texts(OnceLock<Vec<CString>>);

impl Texts {
    pub(super) fn get(&self, make: impl FnOnce() -> Vec<String>) -> &[CString] {
        self.0.get_or_init(|| make().iter().map(|text| c_text(text)).collect())
    }

    pub(super) fn at(&self, index: usize, make: impl FnOnce() -> Vec<String>) -> Option<&CStr> {
        self.get(make).get(index).map(CString::as_c_str)
    }
}
