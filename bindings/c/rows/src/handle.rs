//! Handles: opaque C types.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemType;

/// `pub type devid_x = Value;`
pub struct Handle(ItemType);

impl Handle {
    pub fn new(row: ItemType) -> Handle {
        Handle(row)
    }

    pub fn rust(&self) -> TokenStream {
        let (row, value) = (&self.0, &self.0.ty);
        quote! {
            #[allow(non_camel_case_types)]
            #row
            impl crate::args::Handle for #value {}
        }
    }

    pub fn header(&self) -> TokenStream {
        let (name, attributes) = (&self.0.ident, self.0.attrs.iter().filter(|a| a.path().is_ident("doc")));
        quote!(#(#attributes)* pub struct #name { opaque: u8 })
    }
}
