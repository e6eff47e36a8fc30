//! Functions: from a row to the function that C calls.

use crate::doc::{self, Doc};
use crate::kind::{self, CType, Kind, Null, Passed, argument_of, last_name};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, Parser};
use syn::{Attribute, Error, Expr, FnArg, Ident, ItemFn, MetaNameValue, Pat, Result, ReturnType, Type};

/// A C function, read from its row.
pub struct Function {
    row: ItemFn,
    attributes: Vec<Attribute>,
    parameters: Vec<Parameter>,
    result: Outcome,
    doc: Vec<String>,
}

struct Parameter {
    name: Ident,
    kind: Kind,
    optional: bool,
}

/// What becomes of the row's result.
enum Outcome {
    /// `Result<T, Error>`: a status, an error object, and a place for each part of T.
    Fallible(Vec<Place>),
    /// Anything else: a value, or `otherwise` where a handle is NULL or in use.
    Value { given: Given, otherwise: TokenStream },
}

/// Where a part of the result goes.
struct Place {
    name: Ident,
    ty: Type,
    optional: bool,
}

/// What a getter gives to C.
enum Given {
    Nothing,
    /// `bool`
    Switch,
    /// `Time`
    Time,
    /// `&CStr`; `true`: `Option<&CStr>`
    Text(bool),
    /// `&[u8]`, or one in an Option; the length goes to the place of this name.
    Bytes(Ident),
    /// A number; `true`: one in an Option, which `otherwise` stands for.
    Number(TokenStream, bool),
}

impl Function {
    /// Reads a row.
    ///
    /// # Errors
    ///
    /// A type that no kind has; documentation that says something else than the types.
    pub fn new(options: TokenStream, mut row: ItemFn) -> Result<Function> {
        let name = row.sig.ident.clone();
        let attributes = std::mem::take(&mut row.attrs);
        let attributes: Vec<_> = attributes.into_iter().filter(|a| !a.path().is_ident("export")).collect();
        let doc = Doc::of(&doc::lines(&attributes));
        let mut parameters = Vec::new();
        for input in &row.sig.inputs {
            parameters.push(Parameter::of(input)?);
        }
        let fallible = matches!(&row.sig.output, ReturnType::Type(_, ty) if argument_of(ty, "Result").is_some());
        let known: Vec<Passed> = parameters.iter().flat_map(|p| p.passed(None)).collect();
        let extra: Vec<Ident> =
            doc.results(&known).filter(|n| n.starts_with("out_")).map(|n| format_ident!("{n}")).collect();
        let result = match &row.sig.output {
            ReturnType::Type(_, ty) if fallible => {
                let gives = argument_of(ty, "Result").expect("looked at above");
                Outcome::Fallible(places(gives, extra, &doc)?)
            }
            output => value(output, extra, options)?,
        };
        let mut function = Function { row, attributes, parameters, result, doc: Vec::new() };
        let gives = matches!(&function.result, Outcome::Value { given, .. } if !matches!(given, Given::Nothing));
        function.doc = doc
            .complete(&function.passed(), fallible, gives)
            .map_err(|words| Error::new_spanned(&name, format!("{name}: {words}")))?;
        Ok(function)
    }

    /// The row itself, and the function that C calls.
    pub fn rust(&self) -> TokenStream {
        let attributes = self.attributes.iter().filter(|a| !a.path().is_ident("doc"));
        let (row, name) = (&self.row, self.row.sig.ident.to_string());
        let passed = self.passed();
        let names = passed.iter().map(|p| format_ident!("{}", p.name));
        let ctypes = passed.iter().map(|p| p.ctype.rust());
        let result = self.result.rust();
        let body = match &self.result {
            Outcome::Fallible(places) => self.fallible(places),
            Outcome::Value { given, otherwise } => self.value(given, otherwise),
        };
        quote! {
            #(#attributes)*
            #[allow(clippy::too_many_arguments, clippy::type_complexity, reason = "as many as C passes and wants")]
            #row
            const _: () = {
                #[allow(unused, clippy::all, clippy::undocumented_unsafe_blocks, reason = "argued by kind, in args.rs")]
                #[unsafe(export_name = #name)]
                unsafe extern "C" fn called(#(#names: #ctypes),*) #result {
                    #body
                }
            };
        }
    }

    /// The declaration that cbindgen reads.
    pub fn header(&self, is_handle: &dyn Fn(&str) -> bool) -> TokenStream {
        let (name, doc) = (&self.row.sig.ident, self.doc.iter().map(|line| format!(" {line}").trim_end().to_owned()));
        let passed = self.passed();
        let names = passed.iter().map(|p| format_ident!("{}", p.name));
        let ctypes = passed.iter().map(|p| p.ctype.header(is_handle));
        let result = self.result.header();
        let must_use = matches!(self.result, Outcome::Fallible(_)).then(|| quote!(#[must_use]));
        quote! {
            #(#[doc = #doc])*
            #must_use
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn #name(#(#names: #ctypes),*) #result {}
        }
    }

    fn passed(&self) -> Vec<Passed> {
        let otherwise = self.result.otherwise();
        let mut all: Vec<Passed> = self.parameters.iter().flat_map(|p| p.passed(otherwise.as_deref())).collect();
        match &self.result {
            Outcome::Fallible(places) => {
                all.extend(places.iter().map(Place::passed));
                all.push(Passed {
                    name: "err".into(),
                    ctype: CType::Err,
                    usual: Some(doc::ERR.into()),
                    null: Null::Maybe,
                });
            }
            Outcome::Value { given: Given::Bytes(len), .. } => {
                let usual = Some("Receives the length in bytes. May be NULL.".into());
                let ctype = CType::Same(quote!(*mut usize));
                all.push(Passed { name: len.to_string(), ctype, usual, null: Null::Maybe });
            }
            Outcome::Value { .. } => {}
        }
        all
    }

    fn fallible(&self, places: &[Place]) -> TokenStream {
        let name = &self.row.sig.ident;
        // What the program gives away first: it ends even if nothing else is right. Then every output is written, then checked.
        let users = self.parameters.iter().filter(|p| p.kind == Kind::User).map(Parameter::take);
        let zeroed = places.iter().map(|place| &place.name);
        let outs = self.parameters.iter().filter(|p| matches!(p.kind, Kind::Out(_)));
        let outs_zeroed = outs.clone().map(|p| &p.name);
        // Numbers before handles: what is wrong with one is told whatever else is.
        let numbers = self.parameters.iter().filter(|p| p.is_whole()).map(Parameter::take);
        let is_other = |p: &&Parameter| !matches!(p.kind, Kind::User | Kind::Out(_)) && !p.is_whole();
        let others = self.parameters.iter().filter(is_other).map(Parameter::take);
        let outs = outs.map(Parameter::take);
        let checked = places.iter().filter(|p| !p.optional).map(|place| {
            let (name, text) = (&place.name, place.name.to_string());
            quote!(let #name = #name.ok_or_else(|| crate::args::null(#text))?;)
        });
        let lent = self.parameters.iter().map(Parameter::lend);
        let parts: Vec<_> = (0..places.len()).map(|number| format_ident!("given_{number}")).collect();
        let pattern = match &parts[..] {
            [] => quote!(()),
            [one] => quote!(#one),
            more => quote!((#(#more),*)),
        };
        let given = places.iter().zip(&parts).map(|(place, part)| {
            let name = &place.name;
            match place.optional {
                false => quote!(*#name = crate::args::Give::give(#part);),
                true => quote!(if let Some(#name) = #name { *#name = crate::args::Give::give(#part); }),
            }
        });
        quote! {
            crate::guard::guard(err, move || unsafe {
                #(#users)*
                #(let #zeroed = crate::args::out_opt(#zeroed);)*
                #(let #outs_zeroed = crate::args::out_opt(#outs_zeroed);)*
                #(#numbers)*
                #(#checked)*
                #(#outs)*
                #(#others)*
                let #pattern = #name(#(#lent),*)?;
                #(#given)*
                Ok(())
            })
        }
    }

    fn value(&self, given: &Given, otherwise: &TokenStream) -> TokenStream {
        let name = &self.row.sig.ident;
        let taken = self.parameters.iter().map(Parameter::look);
        let lent = self.parameters.iter().map(Parameter::lend);
        let call = quote!(#name(#(#lent),*));
        let zeroed = match given {
            Given::Bytes(len) => quote!(let mut #len = crate::args::out_opt(#len);),
            _ => TokenStream::new(),
        };
        let found = match given {
            Given::Nothing | Given::Number(_, false) => call,
            Given::Switch => quote!(i32::from(#call)),
            Given::Time => quote!(#call.unix()),
            Given::Text(false) => quote!(#call.as_ptr()),
            Given::Text(true) => quote!(#call.map_or(::core::ptr::null(), ::core::ffi::CStr::as_ptr)),
            Given::Bytes(len) => quote!(crate::args::lend(Option::<&[u8]>::from(#call), #len.as_deref_mut())),
            Given::Number(_, true) => quote!(#call.unwrap_or(#otherwise)),
        };
        quote! {
            unsafe {
                #zeroed
                crate::guard::guard_value(None, move || {
                    #(#taken)*
                    Some(#found)
                })
                .unwrap_or(#otherwise)
            }
        }
    }
}

impl Parameter {
    fn of(input: &FnArg) -> Result<Parameter> {
        let FnArg::Typed(typed) = input else { return Err(Error::new_spanned(input, "C knows no self")) };
        let Pat::Ident(name) = &*typed.pat else { return Err(Error::new_spanned(&typed.pat, "C wants a name")) };
        let (kind, optional) = kind::of(&typed.ty)?;
        Ok(Parameter { name: name.ident.clone(), kind, optional })
    }

    fn passed(&self, otherwise: Option<&str>) -> Vec<Passed> {
        kind::passed(&self.name, &self.kind, self.optional, otherwise)
    }

    /// Whether it is a number without a sign.
    fn is_whole(&self) -> bool {
        matches!(&self.kind, Kind::Plain(ty) if matches!(kind::last_name(ty).as_deref(), Some("u32" | "usize")))
    }

    /// From what C passed to a safe value, or out with the reason.
    fn take(&self) -> TokenStream {
        let (name, text) = (&self.name, self.name.to_string());
        let len = format_ident!("{name}_len");
        match (&self.kind, self.optional) {
            (Kind::Shared(_), false) => quote!(let #name = crate::args::handle_ref(#name, #text)?;),
            (Kind::Shared(_), true) => quote!(let #name = crate::args::handle_ref_opt(#name, #text)?;),
            (Kind::Exclusive(_), false) => quote!(let mut #name = crate::args::handle_mut(#name, #text)?;),
            (Kind::Exclusive(_), true) => quote!(let mut #name = crate::args::handle_mut_opt(#name, #text)?;),
            (Kind::Text, false) => quote!(let #name = crate::args::text_in(#name, #text)?;),
            (Kind::Text, true) => quote!(let #name = crate::args::text_in_opt(#name, #text)?;),
            (Kind::Bytes, false) => quote!(let #name = crate::args::bytes_in(#name, #len, #text)?;),
            (Kind::Bytes, true) => quote!(let #name = crate::args::bytes_in_opt(#name, #len, #text)?;),
            (Kind::Switch, _) => quote!(let #name = crate::args::switch(#name)?;),
            (Kind::Time, _) => quote!(let #name = ::devid_core::Time::from_unix(#name);),
            (Kind::Choice(ty), _) => quote!(let #name = <#ty as crate::args::Choice>::chosen(#name)?;),
            (Kind::Function(_), false) => quote!(let #name = #name.ok_or_else(|| crate::args::null(#text))?;),
            (Kind::User, _) => quote!(let #name = crate::callback::User::new(#name, destroy);),
            (Kind::Out(_), false) => {
                quote!(let #name = crate::args::Out::new(#name.ok_or_else(|| crate::args::null(#text))?);)
            }
            (Kind::Out(_), true) => quote!(let #name = #name.map(crate::args::Out::new);),
            (Kind::Plain(_), _) if self.is_whole() => quote!(let #name = crate::args::whole(#name, #text)?;),
            (Kind::Owned(_) | Kind::Plain(_) | Kind::Function(_), _) => TokenStream::new(),
        }
    }

    /// The same where there is no error to give.
    fn look(&self) -> TokenStream {
        let (name, text) = (&self.name, self.name.to_string());
        match &self.kind {
            Kind::Shared(_) => quote!(let #name = crate::args::handle_ref(#name, #text).ok()?;),
            Kind::Exclusive(_) => quote!(let mut #name = crate::args::handle_mut(#name, #text).ok()?;),
            Kind::Owned(_) => quote!(let #name = crate::args::Owned::take(#name)?;),
            Kind::Text => quote!(let #name = crate::args::text_in(#name, #text).ok()?;),
            Kind::Time => quote!(let #name = ::devid_core::Time::from_unix(#name);),
            Kind::Plain(_) => TokenStream::new(),
            _ => quote!(compile_error!("a function without an error takes no parameter of this kind");),
        }
    }

    /// What the row is given.
    fn lend(&self) -> TokenStream {
        let name = &self.name;
        match (&self.kind, self.optional) {
            (Kind::Shared(_), false) => quote!(&#name),
            (Kind::Shared(_), true) => quote!(#name.as_deref()),
            (Kind::Exclusive(_), false) => quote!(&mut #name),
            (Kind::Exclusive(_), true) => quote!(#name.as_deref_mut()),
            _ => quote!(#name),
        }
    }
}

impl Place {
    fn passed(&self) -> Passed {
        let null = if self.optional { Null::Maybe } else { Null::Never };
        Passed { name: self.name.to_string(), ctype: CType::Place(self.ty.clone()), usual: None, null }
    }
}

fn places(gives: &Type, names: Vec<Ident>, doc: &Doc) -> Result<Vec<Place>> {
    let types: Vec<Type> = match gives {
        Type::Tuple(parts) => parts.elems.iter().cloned().collect(),
        one => vec![one.clone()],
    };
    if types.len() != names.len() {
        let words = format!("{} results, and `@param out_...` of {}", types.len(), names.len());
        return Err(Error::new_spanned(gives, words));
    }
    let place = |(ty, name): (Type, Ident)| Place { optional: doc.may_be_null(&name.to_string()), name, ty };
    Ok(types.into_iter().zip(names).map(place).collect())
}

/// What a getter gives, and what where there is nothing to look at: 0, "" or NULL, if the attribute does not say.
fn value(output: &ReturnType, names: Vec<Ident>, options: TokenStream) -> Result<Outcome> {
    let otherwise = match options.is_empty() {
        true => None,
        false => Some(otherwise_of(options)?),
    };
    let ReturnType::Type(_, ty) = output else {
        return Ok(Outcome::Value { given: Given::Nothing, otherwise: quote!(()) });
    };
    let (inner, optional) = match argument_of(ty, "Option") {
        Some(inner) => (inner, true),
        None => (&**ty, false),
    };
    let (given, usual) = match inner {
        Type::Reference(reference) => match (&*reference.elem, &names[..]) {
            (Type::Slice(_), [len]) => (Given::Bytes(len.clone()), quote!(::core::ptr::null())),
            (Type::Slice(_), _) => {
                let len = format_ident!("out_len");
                (Given::Bytes(len), quote!(::core::ptr::null()))
            }
            _ if optional => (Given::Text(true), quote!(::core::ptr::null())),
            _ => (Given::Text(false), quote!(c"".as_ptr())),
        },
        // Borrowed memory that the row answers for.
        pointer @ Type::Ptr(_) => (Given::Number(quote!(#pointer), optional), quote!(::core::ptr::null())),
        plain => match (last_name(plain).as_deref(), optional) {
            (Some("bool"), false) => (Given::Switch, quote!(0)),
            (Some("Time"), false) => (Given::Time, quote!(0)),
            (Some(_), _) => (Given::Number(quote!(#plain), optional), quote!(0)),
            (None, _) => return Err(Error::new_spanned(ty, "C has no way to be given this")),
        },
    };
    Ok(Outcome::Value { given, otherwise: otherwise.unwrap_or(usual) })
}

/// `otherwise = EXPRESSION`
fn otherwise_of(options: TokenStream) -> Result<TokenStream> {
    let pair = MetaNameValue::parse.parse2(options)?;
    let value: &Expr = &pair.value;
    match pair.path.is_ident("otherwise") {
        true => Ok(quote!(#value)),
        false => Err(Error::new_spanned(&pair.path, "the only option is `otherwise = VALUE`")),
    }
}

impl Outcome {
    /// What a getter gives where there is nothing to ask, in words; None: a status.
    fn otherwise(&self) -> Option<String> {
        let Outcome::Value { given, otherwise } = self else { return None };
        Some(match given {
            Given::Nothing => String::new(),
            Given::Text(false) => "\"\"".to_owned(),
            Given::Text(true) | Given::Bytes(_) => "NULL".to_owned(),
            Given::Switch | Given::Time | Given::Number(..) => match otherwise.to_string().replace(' ', "") {
                pointer if pointer.ends_with("null()") => "NULL".to_owned(),
                number => number,
            },
        })
    }

    fn rust(&self) -> TokenStream {
        match self {
            Outcome::Fallible(_) => quote!(-> i32),
            Outcome::Value { given, .. } => match given {
                Given::Nothing => TokenStream::new(),
                Given::Switch => quote!(-> i32),
                Given::Time => quote!(-> i64),
                Given::Text(_) => quote!(-> *const ::core::ffi::c_char),
                Given::Bytes(_) => quote!(-> *const u8),
                Given::Number(ty, _) => quote!(-> #ty),
            },
        }
    }

    fn header(&self) -> TokenStream {
        match self {
            Outcome::Fallible(_) => quote!(-> devid_status),
            Outcome::Value { given: Given::Text(_), .. } => quote!(-> *const c_char),
            other => other.rust(),
        }
    }
}
