//! Types of functions that programs write, and how one is called.

use crate::kind::{self, Kind, Null, Passed};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, Ident, ItemType, Result, ReturnType, Type};

/// `pub type devid_x_fn = fn(name: kind, ...) -> i32;` What the program gave as `user` comes first, unsaid.
pub struct Callback {
    row: ItemType,
    parameters: Vec<(Ident, Kind, bool)>,
    result: ReturnType,
}

impl Callback {
    pub fn new(row: ItemType) -> Result<Callback> {
        let Type::BareFn(function) = &*row.ty else {
            return Err(Error::new_spanned(&row.ty, "a callback is written as `fn(name: type, ...) -> i32`"));
        };
        let mut parameters = Vec::new();
        for input in &function.inputs {
            let (name, _) =
                input.name.clone().ok_or_else(|| Error::new_spanned(input, "the header wants a name for it"))?;
            let (kind, optional) = kind::of(&input.ty)?;
            parameters.push((name, kind, optional));
        }
        let result = function.output.clone();
        Ok(Callback { row, parameters, result })
    }

    /// The type, and a function of the same name that calls one with safe values.
    pub fn rust(&self) -> TokenStream {
        let attributes = self.row.attrs.iter();
        let (name, result) = (&self.row.ident, &self.result);
        let passed: Vec<Passed> = self.passed();
        let passed_names = passed.iter().map(|p| format_ident!("{}", p.name));
        let ctypes = passed.iter().map(|p| p.ctype.rust());
        let (mut taken, mut prepared, mut given) = (Vec::new(), Vec::new(), Vec::new());
        for (name, kind, optional) in &self.parameters {
            let (ty, before, values) = lent(name, kind, *optional);
            taken.push(quote!(#name: #ty));
            prepared.push(before);
            given.push(values);
        }
        quote! {
            #(#attributes)*
            #[allow(non_camel_case_types)]
            pub type #name = unsafe extern "C" fn(user: *mut ::core::ffi::c_void #(, #passed_names: #ctypes)*) #result;
            /// Calls a function of the program.
            #[allow(unused, clippy::undocumented_unsafe_blocks, clippy::too_many_arguments, reason = "argued in callback.rs")]
            pub(crate) fn #name(function: #name, user: &crate::callback::User #(, #taken)*) #result {
                #(#prepared)*
                unsafe { function(user.pointer() #(, #given)*) }
            }
        }
    }

    pub fn header(&self, is_handle: &dyn Fn(&str) -> bool) -> TokenStream {
        let attributes = self.row.attrs.iter().filter(|a| a.path().is_ident("doc"));
        let (name, result) = (&self.row.ident, &self.result);
        let passed = self.passed();
        let names = passed.iter().map(|p| format_ident!("{}", p.name));
        let ctypes = passed.iter().map(|p| p.ctype.header(is_handle));
        quote! {
            #(#attributes)*
            pub type #name = Option<unsafe extern "C" fn(user: *mut c_void #(, #names: #ctypes)*) #result>;
        }
    }

    fn passed(&self) -> Vec<Passed> {
        let each = |(name, kind, optional): &(Ident, Kind, bool)| match kind {
            Kind::Exclusive(ty) if is_number(ty) => {
                let ctype = kind::CType::Same(quote!(*mut #ty));
                vec![Passed { name: name.to_string(), ctype, usual: None, null: Null::Unsaid }]
            }
            _ => kind::passed(name, kind, *optional, None),
        };
        self.parameters.iter().flat_map(each).collect()
    }
}

fn is_number(ty: &Type) -> bool {
    matches!(kind::last_name(ty).as_deref(), Some("i32" | "u32" | "i64" | "usize"))
}

/// The type that Rust lends, what is done with it before the call, and what C is given for it.
fn lent(name: &Ident, kind: &Kind, optional: bool) -> (TokenStream, TokenStream, TokenStream) {
    let none = TokenStream::new();
    match (kind, optional) {
        (Kind::Text, false) => {
            let text = quote!(let #name = crate::args::c_text(#name););
            (quote!(&str), text, quote!(#name.as_ptr()))
        }
        (Kind::Text, true) => {
            let text = quote!(let #name = #name.map(crate::args::c_text););
            (quote!(Option<&str>), text, quote!(#name.as_ref().map_or(::core::ptr::null(), |text| text.as_ptr())))
        }
        (Kind::Bytes, false) => (quote!(&[u8]), none, quote!(#name.as_ptr(), #name.len())),
        (Kind::Bytes, true) => (
            quote!(Option<&[u8]>),
            none,
            quote!(#name.map_or(::core::ptr::null(), <[u8]>::as_ptr), #name.map_or(0, <[u8]>::len)),
        ),
        (Kind::Shared(ty), _) => (quote!(&crate::args::Slot<#ty>), none, quote!(::core::ptr::from_ref(#name))),
        (Kind::Exclusive(ty), _) if is_number(ty) => (quote!(&mut #ty), none, quote!(::core::ptr::from_mut(#name))),
        (Kind::Exclusive(ty), _) => {
            (quote!(&crate::args::Slot<#ty>), none, quote!(::core::ptr::from_ref(#name).cast_mut()))
        }
        (Kind::Switch, _) => (quote!(bool), none, quote!(i32::from(#name))),
        (Kind::Plain(ty), _) => (quote!(#ty), none, quote!(#name)),
        _ => (quote!(()), quote!(compile_error!("no callback takes a parameter of this kind");), quote!(#name)),
    }
}
