//! What rows are written with.

pub(super) use super::args::{Out, Owned};
pub(super) use super::bytes::devid_bytes;
pub(super) use super::callback::User;
pub(super) use super::cert::{devid_cert, devid_cert_list};
pub(super) use super::config::{devid_client, devid_config, invalid};
pub(super) use super::difference::devid_differences;
pub(super) use super::error::{devid_error, devid_status};
pub(super) use super::fetch::devid_ocsp_request;
pub(super) use super::identity::devid_identity;
pub(super) use super::key::devid_key;
pub(super) use super::operation::devid_op;
pub(super) use super::peer::devid_peer;
pub(super) use super::renewal::devid_renewal;
pub(super) use super::report::devid_report;
pub(super) use super::run::devid_cancel;
pub(super) use super::status::devid_fetcher;
pub(super) use super::store::devid_store;
pub(super) use super::subject::devid_subject;
pub(super) use super::template::devid_template;
pub(super) use super::trust::devid_trust;
pub(super) use super::validation::devid_validator;
pub(super) use devid_core::{Code, Error, Time};
pub(super) use devid_macros::{callback, export, handle};
pub(super) use std::ffi::{CStr, CString};
