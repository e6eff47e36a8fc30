//! The attributes of the C face. What they mean is told in `devid-rows`, which the generator of the header reads as well.

use proc_macro::TokenStream;

/// A C function: an ordinary safe Rust function whose parameters say by their types what C passes.
#[proc_macro_attribute]
pub fn export(options: TokenStream, row: TokenStream) -> TokenStream {
    expand(syn::parse(row).and_then(|row| devid_rows::Function::new(options.into(), row)).map(|row| row.rust()))
}

/// An opaque C type: an alias of the Rust type that stands behind it.
#[proc_macro_attribute]
pub fn handle(_options: TokenStream, row: TokenStream) -> TokenStream {
    expand(syn::parse(row).map(|row| devid_rows::Handle::new(row).rust()))
}

/// A type of functions that C programs write, with the Rust function that calls one.
#[proc_macro_attribute]
pub fn callback(_options: TokenStream, row: TokenStream) -> TokenStream {
    expand(syn::parse(row).and_then(devid_rows::Callback::new).map(|row| row.rust()))
}

fn expand(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
