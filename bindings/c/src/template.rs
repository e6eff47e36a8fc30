//! What a CA wants requests to look like, and how that is followed.

use super::args::c_text;
use super::prelude::*;
use devid_core::cmp::RequestTemplate;
use devid_core::crypto::default_provider;

/// What a CA wants requests for certificates to look like (RFC 9483 section 4.3.3). Never changes.
#[handle]
pub type devid_template = Pattern;

#[doc(hidden)]
pub struct Pattern {
    template: RequestTemplate,
    subject: Option<CString>,
    key_kinds: Vec<CString>,
    key_words: CString,
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
            key_words: c_text(&template.key_words().join(", ")),
            extensions: template.template.extensions.iter().map(|e| c_text(&e.oid.to_string())).collect(),
            template,
        }
    }
}

/// Reads a template that was kept.
///
/// @param der           What devid_template_der() gave. Not NULL.
/// @param out_template  Receives the template; free with devid_template_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_DER.
#[export]
fn devid_template_parse(der: &[u8]) -> Result<devid_template, Error> {
    Ok(Pattern::of(RequestTemplate::from_der(der)?))
}

/// CertReqTemplateContent as the CA sent it, DER.
///
/// @return Valid until the template is freed.
#[export]
fn devid_template_der(tmpl: &devid_template) -> &[u8] {
    &tmpl.template.der
}

/// The subject that requests are to have, as text; attributes without a value are to be filled in, and so is all of "".
///
/// @return NULL if the template does not speak of it; valid until the template is freed.
#[export]
fn devid_template_subject(tmpl: &devid_template) -> Option<&CStr> {
    tmpl.subject.as_deref()
}

/// How many types of keys the CA certifies, of those that are known here.
///
/// @return 0: the template does not speak of keys, or of unknown ones only; see devid_template_check_key().
#[export]
fn devid_template_key_count(tmpl: &devid_template) -> usize {
    tmpl.key_kinds.len()
}

/// A type of key that the CA certifies, as devid_key_generate() takes it.
///
/// @param index  From 0 to devid_template_key_count() - 1, in the CA's order.
/// @return NULL if there is no such type; valid until the template is freed.
#[export]
fn devid_template_key(tmpl: &devid_template, index: usize) -> Option<&CStr> {
    tmpl.key_kinds.get(index).map(CString::as_c_str)
}

/// The types of keys that the CA certifies, as text; those that are not known here are included, by their identifiers.
///
/// @return "" if the template does not speak of keys; valid until the template is freed.
#[export]
fn devid_template_key_words(tmpl: &devid_template) -> &CStr {
    &tmpl.key_words
}

/// How many extensions requests are to have.
///
/// @return The number.
#[export]
fn devid_template_extension_count(tmpl: &devid_template) -> usize {
    tmpl.extensions.len()
}

/// An extension that requests are to have.
///
/// @param index  From 0 to devid_template_extension_count() - 1.
/// @return Its identifier in dotted form; NULL if there is no such extension; valid until the template is freed.
#[export]
fn devid_template_extension(tmpl: &devid_template, index: usize) -> Option<&CStr> {
    tmpl.extensions.get(index).map(CString::as_c_str)
}

/// The value that an extension is to have, DER.
///
/// @param index    From 0 to devid_template_extension_count() - 1.
/// @param out_len  Receives the length in bytes; 0: it is to be filled in. May be NULL.
/// @return NULL if there is no such extension; valid until the template is freed.
#[export]
fn devid_template_extension_value(tmpl: &devid_template, index: usize) -> Option<&[u8]> {
    tmpl.template.template.extensions.get(index).map(|e| &e.value[..])
}

/// Refuses a key of a type that the CA does not certify.
///
/// @return DEVID_OK; DEVID_E_ALGORITHM.
#[export]
fn devid_template_check_key(tmpl: &devid_template, key: &devid_key) -> Result<(), Error> {
    tmpl.template.check_key(key.signer.kind())
}

/// Makes a new key of the first type in the CA's list that can be made here; P-256 if the CA has no wishes.
///
/// @param out_key  Receives the key; free with devid_key_free(). Not NULL.
/// @return DEVID_OK; DEVID_E_ALGORITHM if none can.
#[export]
fn devid_template_generate_key(tmpl: &devid_template) -> Result<devid_key, Error> {
    Ok(devid_key::of(tmpl.template.generate_key(&*default_provider())?))
}

/// Makes what is asked for follow the CA's template: values that the template gives are taken over, places that it leaves empty
/// keep what was asked for, and what it does not have is asked for no more.
///
/// @param subject      What the device would ask for by itself. Not NULL.
/// @param out_changes  Receives what was left out or replaced, and what the device does not have, a line each; free with
///                     devid_bytes_free(). NULL if not wanted. May be NULL.
/// @return DEVID_OK; DEVID_E_DER.
#[export]
fn devid_subject_apply_template(subject: &mut devid_subject, tmpl: &devid_template) -> Result<devid_bytes, Error> {
    let applied = tmpl.template.apply(subject)?;
    *subject = applied.subject;
    Ok(devid_bytes::from_slice(applied.changes.join("\n").as_bytes()))
}

/// Frees a template.
#[export]
fn devid_template_free(tmpl: Owned<devid_template>) {
    drop(tmpl)
}
