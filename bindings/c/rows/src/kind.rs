//! Kinds of parameters: from the type in a row to what C passes.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Error, GenericArgument, Ident, PathArguments, Result, Type};

/// What a parameter of a row is.
#[derive(Clone, PartialEq)]
pub enum Kind {
    /// `&devid_x`: a handle for reading.
    Shared(Type),
    /// `&mut devid_x`: a handle for changing.
    Exclusive(Type),
    /// `Owned<devid_x>`: a handle that ends with the call.
    Owned(Type),
    /// `&str`: UTF-8 that ends with NUL.
    Text,
    /// `&[u8]`: a pointer, and a length in a parameter of its own.
    Bytes,
    /// `bool`: 1 or 0.
    Switch,
    /// `Time`: seconds since 1970.
    Time,
    /// Any other type: one of a group of constants, as its `Choice` says.
    Choice(Type),
    /// `devid_x_fn`: a function of the program.
    Function(Type),
    /// `User`: what the program's functions are given, and how that ends; two parameters.
    User,
    /// `Out<T>`: a place for a result that is also written where the call fails.
    Out(Type),
    /// A number, or a pointer that the row itself answers for.
    Plain(Type),
}

/// What C passes for one parameter, by name.
pub struct Passed {
    pub name: String,
    pub ctype: CType,
    /// What the documentation says where the row says nothing.
    pub usual: Option<String>,
    pub null: Null,
}

/// A type as C passes it.
pub enum CType {
    /// The same in Rust and for the generator.
    Same(TokenStream),
    /// A pointer to a handle; `true`: one that may change.
    Handle(Type, bool),
    /// A place for a result of this type.
    Place(Type),
    /// A function of the program, or NULL.
    Function(Type),
    /// The place for an error object.
    Err,
}

/// What the documentation has to say about NULL.
#[derive(Clone, Copy, PartialEq)]
pub enum Null {
    /// It is no pointer.
    Unsaid,
    Never,
    Maybe,
    /// One of both: NULL is right where the length is 0.
    Either,
}

/// The kind of a type, and whether it may be left out (`Option`).
pub fn of(ty: &Type) -> Result<(Kind, bool)> {
    if let Some(inner) = argument_of(ty, "Option") {
        let kind = once(inner)?;
        return match kind {
            Kind::Shared(_) | Kind::Exclusive(_) | Kind::Text | Kind::Bytes | Kind::Function(_) | Kind::Out(_) => {
                Ok((kind, true))
            }
            _ => Err(Error::new_spanned(ty, "C has no way to leave this out: only pointers can be NULL")),
        };
    }
    Ok((once(ty)?, false))
}

fn once(ty: &Type) -> Result<Kind> {
    if let Type::Reference(reference) = ty {
        let inner = &*reference.elem;
        return match (inner.to_token_stream().to_string().as_str(), reference.mutability) {
            ("str", None) => Ok(Kind::Text),
            ("[u8]" | "[u8 ]" | "[ u8 ]", None) => Ok(Kind::Bytes),
            (_, None) => Ok(Kind::Shared(inner.clone())),
            (_, Some(_)) => Ok(Kind::Exclusive(inner.clone())),
        };
    }
    for (name, kind) in [("Owned", Kind::Owned as fn(Type) -> Kind), ("Out", Kind::Out)] {
        if let Some(inner) = argument_of(ty, name) {
            return Ok(kind(inner.clone()));
        }
    }
    if let Type::Ptr(_) = ty {
        return Ok(Kind::Plain(ty.clone()));
    }
    match last_name(ty).as_deref() {
        Some("bool") => Ok(Kind::Switch),
        Some("Time") => Ok(Kind::Time),
        Some("User") => Ok(Kind::User),
        Some("i32" | "u32" | "i64" | "usize") => Ok(Kind::Plain(ty.clone())),
        Some(name) if name.starts_with("devid_") && name.ends_with("_fn") => Ok(Kind::Function(ty.clone())),
        // An alias of a number, such as devid_status.
        Some(name) if name.starts_with("devid_") => Ok(Kind::Plain(ty.clone())),
        Some(_) if matches!(ty, Type::Path(_)) => Ok(Kind::Choice(ty.clone())),
        _ => Err(Error::new_spanned(ty, "no kind of parameter has this type: see bindings/c/rows/src/kind.rs")),
    }
}

/// What C passes for a parameter of a function.
///
/// `otherwise` is what a getter gives where it has no handle to ask, in words; None: the function has an error to give.
pub fn passed(name: &Ident, kind: &Kind, optional: bool, otherwise: Option<&str>) -> Vec<Passed> {
    let fallible = otherwise.is_none();
    let null = if optional { Null::Maybe } else { Null::Never };
    let one = |ctype, usual: Option<&str>, null| {
        vec![Passed { name: name.to_string(), ctype, usual: usual.map(str::to_owned), null }]
    };
    match kind {
        // A getter has no error to give: it answers what its text says for NULL.
        Kind::Shared(ty) | Kind::Exclusive(ty) if !fallible => {
            let usual = match otherwise {
                None | Some("") => "May be NULL.".to_owned(),
                Some(otherwise) => format!("May be NULL (gives {otherwise})."),
            };
            one(CType::Handle(ty.clone(), matches!(kind, Kind::Exclusive(_))), Some(&usual), Null::Maybe)
        }
        Kind::Shared(ty) | Kind::Exclusive(ty) => {
            let usual = if optional { None } else { Some("Not NULL.") };
            one(CType::Handle(ty.clone(), matches!(kind, Kind::Exclusive(_))), usual, null)
        }
        Kind::Owned(ty) => one(CType::Handle(ty.clone(), true), Some("May be NULL."), Null::Maybe),
        Kind::Text if !fallible => one(CType::Same(quote!(*const c_char)), None, Null::Unsaid),
        Kind::Text => one(CType::Same(quote!(*const c_char)), None, null),
        Kind::Bytes => {
            let null = if optional { Null::Maybe } else { Null::Either };
            let mut both = one(CType::Same(quote!(*const u8)), None, null);
            both.push(length_of(name));
            both
        }
        Kind::Switch | Kind::Choice(_) => one(CType::Same(quote!(i32)), None, Null::Unsaid),
        Kind::Time => {
            let usual = (name == "now").then_some("The present, in seconds since 1970-01-01T00:00:00Z.");
            one(CType::Same(quote!(i64)), usual, Null::Unsaid)
        }
        Kind::Plain(ty) => one(CType::Same(ty.to_token_stream()), None, Null::Unsaid),
        Kind::Function(ty) => one(CType::Function(ty.clone()), None, null),
        Kind::User => {
            let mut both = one(CType::Same(quote!(*mut c_void)), None, Null::Maybe);
            both.push(Passed {
                name: "destroy".to_owned(),
                ctype: CType::Function(syn::parse_quote!(devid_destroy_fn)),
                usual: None,
                null: Null::Maybe,
            });
            both
        }
        Kind::Out(ty) => one(CType::Place(ty.clone()), None, null),
    }
}

/// The length that goes with a pointer to bytes.
pub fn length_of(name: &Ident) -> Passed {
    Passed {
        name: format!("{name}_len"),
        ctype: CType::Same(quote!(usize)),
        usual: Some(format!("Length of `{name}` in bytes.")),
        null: Null::Unsaid,
    }
}

impl CType {
    /// The type in the function that C calls.
    pub fn rust(&self) -> TokenStream {
        match self {
            CType::Same(ty) => with_paths(ty),
            CType::Handle(ty, false) => quote!(*const crate::args::Slot<#ty>),
            CType::Handle(ty, true) => quote!(*mut crate::args::Slot<#ty>),
            CType::Place(ty) => quote!(*mut <#ty as crate::args::Give>::C),
            CType::Err => quote!(*mut *mut crate::args::Slot<crate::error::devid_error>),
            CType::Function(ty) if last_name(ty).as_deref() == Some("devid_destroy_fn") => {
                quote!(::core::option::Option<crate::key::devid_destroy_fn>)
            }
            CType::Function(ty) => quote!(::core::option::Option<#ty>),
        }
    }

    /// The type as the generator of the header reads it, which knows handles by name.
    pub fn header(&self, is_handle: &dyn Fn(&str) -> bool) -> TokenStream {
        match self {
            CType::Same(ty) => ty.clone(),
            CType::Handle(ty, false) => quote!(*const #ty),
            CType::Handle(ty, true) => quote!(*mut #ty),
            CType::Place(ty) => {
                let ty = argument_of(ty, "Option").unwrap_or(ty);
                match last_name(ty).as_deref() {
                    Some("bool") => quote!(*mut i32),
                    Some("Time") => quote!(*mut i64),
                    Some(name) if is_handle(name) => quote!(*mut *mut #ty),
                    _ => quote!(*mut #ty),
                }
            }
            CType::Err => quote!(*mut *mut devid_error),
            CType::Function(ty) => ty.to_token_stream(),
        }
    }
}

/// Rows need not import what only the C side of them names.
fn with_paths(ty: &TokenStream) -> TokenStream {
    match ty.to_string().as_str() {
        "* const c_char" => quote!(*const ::core::ffi::c_char),
        "* mut c_void" => quote!(*mut ::core::ffi::c_void),
        _ => ty.clone(),
    }
}

/// The `T` of `Name<T>`.
pub fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// The last name of a path.
pub fn last_name(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}
