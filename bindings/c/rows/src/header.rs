//! A file of rows as plain declarations, which cbindgen turns into C.

use crate::{Callback, Function, Handle};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, File, Item, Result, Visibility};

/// What the file declares to C: constants, types, functions, in their order.
///
/// # Errors
///
/// A row that does not compile either.
pub fn declarations(file: &File, is_handle: &dyn Fn(&str) -> bool) -> Result<TokenStream> {
    let mut all = TokenStream::new();
    for item in &file.items {
        all.extend(declaration(item, is_handle)?);
    }
    Ok(all)
}

/// The names of the handles that a file declares.
pub fn handles(file: &File) -> impl Iterator<Item = String> + '_ {
    file.items.iter().filter_map(|item| match item {
        Item::Type(row) if has(&row.attrs, "handle") => Some(row.ident.to_string()),
        _ => None,
    })
}

fn declaration(item: &Item, is_handle: &dyn Fn(&str) -> bool) -> Result<TokenStream> {
    Ok(match item {
        Item::Fn(row) => match row.attrs.iter().find(|a| a.path().is_ident("export")) {
            Some(export) => {
                let options = export.meta.require_list().map(|list| list.tokens.clone()).unwrap_or_default();
                Function::new(options, row.clone())?.header(is_handle)
            }
            None => TokenStream::new(),
        },
        Item::Type(row) if has(&row.attrs, "handle") => Handle::new(row.clone()).header(),
        Item::Type(row) if has(&row.attrs, "callback") => Callback::new(row.clone())?.header(is_handle),
        Item::Type(row) if is_public(&row.vis) => quote!(#row),
        Item::Const(constant) if is_public(&constant.vis) => quote!(#constant),
        _ => TokenStream::new(),
    })
}

fn has(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|a| a.path().is_ident(name))
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}
