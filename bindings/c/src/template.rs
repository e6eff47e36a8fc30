//! What a CA wants requests to look like, and how that is followed.

use std::ffi::{CString, c_char};
use std::ptr;

use super::args::{Handle, Slot, bytes_in, c_text, free, handle, handle_mut, handle_ref, lend, out, out_opt, peek};
use super::bytes::devid_bytes;
use super::error::{devid_error, devid_status};
use super::guard::{guard, guard_value};
use super::key::devid_key;
use super::subject::devid_subject;
use devid_core::cmp::RequestTemplate;
use devid_core::crypto::default_provider;

/// What a CA wants requests for certificates to look like (RFC 9483 section 4.3.3). Never changes.
#[allow(non_camel_case_types)]
pub struct devid_template(Slot<Pattern>);
handle!(devid_template: Pattern);

#[doc(hidden)]
pub struct Pattern {
    template: RequestTemplate,
    subject: Option<CString>,
    key_kinds: Vec<CString>,
    extensions: Vec<CString>,
}

impl Pattern {
    pub(super) fn of(template: RequestTemplate) -> Self {
        Pattern {
            subject: template.template.subject.as_ref().map(|name| match name.is_null() {
                true => CString::default(),
                false => c_text(&name.to_string()),
            }),
            key_kinds: template.key_kinds().iter().map(|kind| c_text(&kind.to_string())).collect(),
            extensions: template.template.extensions.iter().map(|e| c_text(&e.oid.to_string())).collect(),
            template,
        }
    }
}

/// Reads a template that was kept.
///
/// @param der           What devid_template_der() gave. Not NULL.
/// @param der_len       Length of `der` in bytes.
/// @param out_template  Receives the template; free with devid_template_free(). Not NULL.
/// @param err           Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_parse(
    der: *const u8,
    der_len: usize,
    out_template: *mut *mut devid_template,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_template, der) = unsafe { (out(out_template, "out_template")?, bytes_in(der, der_len, "der")?) };
        *out_template = devid_template::into_raw(Pattern::of(RequestTemplate::from_der(der)?));
        Ok(())
    })
}

/// CertReqTemplateContent as the CA sent it, DER.
///
/// @param tmpl     May be NULL (gives NULL).
/// @param out_len  Receives the length in bytes. May be NULL.
/// @return Valid until the template is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_der(tmpl: *const devid_template, out_len: *mut usize) -> *const u8 {
    // SAFETY: as the header says; the bytes live as long as the handle.
    guard_value(ptr::null(), || unsafe {
        match handle_ref(tmpl, "tmpl") {
            Ok(pattern) => lend(Some(&pattern.template.der), out_len),
            Err(_) => lend(None, out_len),
        }
    })
}

/// The subject that requests are to have, as text; attributes without a value are to be filled in, and so is all of "".
///
/// @param tmpl  May be NULL (gives NULL).
/// @return NULL if the template does not speak of it; valid until the template is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_subject(tmpl: *const devid_template) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(tmpl, ptr::null(), |p| p.subject.as_ref().map_or(ptr::null(), |t| t.as_ptr())) }
}

/// How many types of keys the CA certifies, of those that are known here.
///
/// @param tmpl  May be NULL (gives 0).
/// @return 0: the template does not speak of keys, or of unknown ones only; see devid_template_check_key().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_key_count(tmpl: *const devid_template) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(tmpl, 0, |p| p.key_kinds.len()) }
}

/// A type of key that the CA certifies, as devid_key_generate() takes it.
///
/// @param tmpl   May be NULL (gives NULL).
/// @param index  From 0 to devid_template_key_count() - 1, in the CA's order.
/// @return NULL if there is no such type; valid until the template is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_key(tmpl: *const devid_template, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(tmpl, ptr::null(), |p| p.key_kinds.get(index).map_or(ptr::null(), |t| t.as_ptr())) }
}

/// How many extensions requests are to have.
///
/// @param tmpl  May be NULL (gives 0).
/// @return The number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_extension_count(tmpl: *const devid_template) -> usize {
    // SAFETY: as the header says.
    unsafe { peek(tmpl, 0, |p| p.extensions.len()) }
}

/// An extension that requests are to have.
///
/// @param tmpl   May be NULL (gives NULL).
/// @param index  From 0 to devid_template_extension_count() - 1.
/// @return Its identifier in dotted form; NULL if there is no such extension; valid until the template is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_extension(tmpl: *const devid_template, index: usize) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { peek(tmpl, ptr::null(), |p| p.extensions.get(index).map_or(ptr::null(), |t| t.as_ptr())) }
}

/// The value that an extension is to have, DER.
///
/// @param tmpl     May be NULL (gives NULL).
/// @param index    From 0 to devid_template_extension_count() - 1.
/// @param out_len  Receives the length in bytes; 0: it is to be filled in. May be NULL.
/// @return NULL if there is no such extension; valid until the template is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_extension_value(
    tmpl: *const devid_template,
    index: usize,
    out_len: *mut usize,
) -> *const u8 {
    // SAFETY: as the header says; the bytes live as long as the handle.
    guard_value(ptr::null(), || unsafe {
        match handle_ref(tmpl, "tmpl") {
            Ok(p) => lend(p.template.template.extensions.get(index).map(|e| &e.value[..]), out_len),
            Err(_) => lend(None, out_len),
        }
    })
}

/// Refuses a key of a type that the CA does not certify.
///
/// @param tmpl  Not NULL.
/// @param key   Not NULL.
/// @param err   Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_ALGORITHM.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_check_key(
    tmpl: *const devid_template,
    key: *const devid_key,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (pattern, key) = unsafe { (handle_ref(tmpl, "tmpl")?, handle_ref(key, "key")?) };
        pattern.template.check_key(key.signer.kind())
    })
}

/// Makes a new key of the first type in the CA's list that can be made here; P-256 if the CA has no wishes.
///
/// @param tmpl     Not NULL.
/// @param out_key  Receives the key; free with devid_key_free(). Not NULL.
/// @param err      Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_ALGORITHM if none can.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_generate_key(
    tmpl: *const devid_template,
    out_key: *mut *mut devid_key,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_key, pattern) = unsafe { (out(out_key, "out_key")?, handle_ref(tmpl, "tmpl")?) };
        *out_key = devid_key::of(pattern.template.generate_key(&*default_provider())?);
        Ok(())
    })
}

/// Makes what is asked for follow the CA's template: values that the template gives are taken over, places that it leaves empty
/// keep what was asked for, and what it does not have is asked for no more.
///
/// @param subject      What the device would ask for by itself. Not NULL.
/// @param tmpl         Not NULL.
/// @param out_changes  Receives what was left out or replaced, and what the device does not have, a line each; free with
///                     devid_bytes_free(). NULL if not wanted. May be NULL.
/// @param err          Receives details on failure, else NULL. May be NULL.
/// @return DEVID_OK; DEVID_E_DER.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_subject_apply_template(
    subject: *mut devid_subject,
    tmpl: *const devid_template,
    out_changes: *mut *mut devid_bytes,
    err: *mut *mut devid_error,
) -> devid_status {
    guard(err, || {
        // SAFETY: as the header says.
        let (out_changes, mut subject, pattern) =
            unsafe { (out_opt(out_changes), handle_mut(subject, "subject")?, handle_ref(tmpl, "tmpl")?) };
        let applied = pattern.template.apply(&subject)?;
        *subject = applied.subject;
        if let Some(out_changes) = out_changes {
            *out_changes = devid_bytes::from_slice(applied.changes.join("\n").as_bytes());
        }
        Ok(())
    })
}

/// Frees a template.
///
/// @param tmpl  May be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn devid_template_free(tmpl: *mut devid_template) {
    // SAFETY: as the header says.
    unsafe { free(tmpl) }
}
