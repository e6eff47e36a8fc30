//! One row for a setting: its documentation, the field that holds it, its type, its default, what it needs beside it, what programs call it,
//! and how a client's settings take it. Its key, what `devid config explain` says, the schema and the reader are made of the row.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, de};

use super::secret::Source;
use super::span::Span;
use crate::client::Config;
use crate::codes::Code;
use crate::error::Error;

/// One setting.
#[derive(Clone, Copy)]
pub struct Key {
    /// Its name; `*` stands for a name of the user's own.
    pub path: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Its default, in words.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// What must stand beside it for that.
    pub needs: Need,
    /// Whether its table is one of a list of tables.
    pub is_listed: bool,
    /// Whether what stands beside it is of no use without it.
    pub is_required: bool,
    /// Whether its list may hold nothing.
    pub may_be_empty: bool,
    /// What the library's words for programs call it.
    pub(super) said: Option<&'static str>,
}

impl Key {
    const NONE: Key = Key {
        path: "",
        kind: Kind::Text,
        default: "",
        meaning: "",
        needs: Need::Nothing,
        is_listed: false,
        is_required: false,
        may_be_empty: true,
        said: None,
    };

    /// A setting of this type, in a table of this form.
    pub(super) const fn of<T: Value>(
        form: Form,
        path: &'static str,
        meaning: &'static str,
        default: &'static str,
    ) -> Self {
        // Lines of documentation begin with a space.
        let meaning = match meaning.as_bytes().split_first() {
            Some((b' ', rest)) => text(rest),
            _ => meaning,
        };
        Key {
            path,
            kind: T::KIND,
            default,
            meaning,
            is_listed: matches!(form, Form::Listed),
            is_required: T::IS_NEEDED && !matches!(form, Form::Open),
            may_be_empty: T::MAY_BE_EMPTY,
            ..Key::NONE
        }
    }

    /// The name of its table; empty for what stands in none.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Of another kind than its type says.
    pub(super) const fn kind(self, kind: Kind) -> Self {
        Key { kind, ..self }
    }

    /// The least that it may be: with less, no enrolment succeeds. Of a span, in seconds.
    pub(super) const fn least(self, least: u32) -> Self {
        let kind = match self.kind {
            Kind::Number(_) => Kind::Number(least),
            Kind::Span(_, most) => Kind::Span(least, most),
            _ => panic!("only numbers and spans have a least"),
        };
        Key { kind, ..self }
    }

    /// The longest that a span may be, in seconds.
    pub(super) const fn most(self, most: u32) -> Self {
        let kind = match self.kind {
            Kind::Span(least, _) => Kind::Span(least, most),
            _ => panic!("only spans have a most"),
        };
        Key { kind, ..self }
    }

    /// With what it needs beside it.
    pub(super) const fn needs(self, needs: Need) -> Self {
        Key { needs, ..self }
    }

    /// With what programs call it.
    pub(super) const fn said(self, name: &'static str) -> Self {
        Key { said: Some(name), ..self }
    }
}

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// What something is called in device memory.
    Name,
    /// A whole number, this or more: with less, no enrolment succeeds.
    Number(u32),
    /// A number from 0 to below 1.
    Share,
    /// True or false.
    Switch,
    /// One of these numbers.
    NumberOf(&'static [u32]),
    /// A span of time with its unit, of so many seconds or more, up to so many.
    Span(u32, u32),
    /// The source of a secret.
    Secret,
    /// A path.
    Path,
    /// A list of paths.
    Paths,
    /// A list of texts.
    Texts,
    /// One of these.
    OneOf(&'static [&'static str]),
}

impl Kind {
    /// Whether a value of it is text.
    pub(super) const fn is_text(self) -> bool {
        matches!(self, Kind::Text | Kind::Name | Kind::Path | Kind::Secret | Kind::Span(..) | Kind::OneOf(_))
    }

    /// For people.
    pub fn words(self) -> String {
        match self {
            Kind::Text => "text".to_owned(),
            Kind::Name => NAME_WORDS.to_owned(),
            Kind::Number(0) => "a whole number".to_owned(),
            Kind::Number(least) => format!("a whole number, {least} or more"),
            Kind::Share => "a number from 0 to below 1".to_owned(),
            Kind::Switch => "true or false".to_owned(),
            Kind::NumberOf(numbers) => numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
            Kind::Span(least, most) => {
                let least = if least > 0 { format!(", {least}s or more") } else { String::new() };
                let most = if most < u32::MAX { format!(", {most}s at most") } else { String::new() };
                format!("a span of time with its unit{least}{most}: 90s, 15m, 12h, 7d")
            }
            Kind::Secret => "the source of a secret: file:PATH, fd:NUMBER, cred:NAME, env:NAME, prompt".to_owned(),
            Kind::Path => "a path".to_owned(),
            Kind::Paths => "a list of paths".to_owned(),
            Kind::Texts => "a list of texts".to_owned(),
            Kind::OneOf(names) => names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", "),
        }
    }
}

/// What a name is, for people. [`crate::store::check_name`] decides.
const NAME_WORDS: &str = "a name: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot or a dash";

/// What must stand beside a setting for it to have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// A server that is asked by HTTP.
    Http,
    /// A server that is asked by HTTPS.
    Https,
    /// A server that is asked by CoAP.
    Coap,
    /// A login by a shared secret.
    SecretLogin,
    /// A login by key and certificate in files.
    FileLogin,
    /// A login by the factory's identity.
    FactoryLogin,
    /// A login whose messages are signed.
    SignedLogin,
    /// A key of the TLS client.
    TlsKey,
    /// A clock.
    Clock,
    /// That peers' status is fetched.
    Fetch,
}

impl Need {
    /// For people, behind "needs" or "expected".
    pub const fn words(self) -> &'static str {
        match self {
            Need::Nothing => "nothing else",
            Need::Http => "a server at http: or https:",
            Need::Https => "a server at https:",
            Need::Coap => "a server at coap:",
            Need::SecretLogin => "a login by shared secret",
            Need::FileLogin => "a login by key and certificate in files",
            Need::FactoryLogin => "a login by the factory's identity",
            Need::SignedLogin => "a login whose messages are signed",
            Need::TlsKey => "ca.tls.key",
            Need::Clock => "a clock",
            Need::Fetch => "peers.fetch",
        }
    }
}

/// How a table of settings is held.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// What is left out has its default, also where all of it is.
    Open,
    /// A table that is there has what it is about.
    Whole,
    /// The same, one of a list.
    Listed,
}

/// The type of a setting that may be left out, or listed.
pub(super) trait Scalar {
    const KIND: Kind;
}

/// The type of a setting.
pub(super) trait Value {
    /// What a reader gets.
    type One;
    const KIND: Kind;
    const IS_NEEDED: bool = false;
    const MAY_BE_EMPTY: bool = true;

    /// What is given, one by one; nothing where it is left out.
    fn given(&self) -> &[Self::One];
}

impl<T: Scalar> Value for T {
    type One = T;
    const KIND: Kind = T::KIND;
    const IS_NEEDED: bool = !matches!(T::KIND, Kind::Switch);

    fn given(&self) -> &[T] {
        std::slice::from_ref(self)
    }
}

impl<T: Scalar> Value for Option<T> {
    type One = T;
    const KIND: Kind = T::KIND;

    fn given(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Scalar> Value for Vec<T> {
    type One = T;
    const KIND: Kind = listed(T::KIND);

    fn given(&self) -> &[T] {
        self
    }
}

/// A list of those who are allowed. One that is there and empty is nobody's wish: it would allow everybody, as if it were not there.
#[derive(Clone, Debug)]
pub struct Allowed<T>(Vec<T>);

/// Said of an empty one.
pub(super) const NOBODY: &str = "an empty list allows nobody: leave the setting out where everybody is allowed";

impl<T> Default for Allowed<T> {
    fn default() -> Self {
        Allowed(Vec::new())
    }
}

impl<T> Deref for Allowed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Allowed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let allowed = Vec::deserialize(deserializer)?;
        if allowed.is_empty() { Err(de::Error::custom(NOBODY)) } else { Ok(Allowed(allowed)) }
    }
}

impl<T: Scalar> Value for Allowed<T> {
    type One = T;
    const KIND: Kind = listed(T::KIND);
    const MAY_BE_EMPTY: bool = false;

    fn given(&self) -> &[T] {
        self
    }
}

const fn listed(one: Kind) -> Kind {
    match one {
        Kind::Path => Kind::Paths,
        Kind::Text => Kind::Texts,
        _ => panic!("there is no kind for a list of these"),
    }
}

macro_rules! scalars {
    ($($type:ty: $kind:expr,)+) => {
        $(impl Scalar for $type {
            const KIND: Kind = $kind;
        })+
    };
}

scalars! {
    String: Kind::Text,
    u32: Kind::Number(0),
    usize: Kind::Number(0),
    f64: Kind::Share,
    bool: Kind::Switch,
    Span: Kind::Span(0, u32::MAX),
    Source: Kind::Secret,
    PathBuf: Kind::Path,
}

/// Is told what a reader refuses, and says whether that ends the reading.
pub(super) type Refused<'r> = &'r mut dyn FnMut(Error) -> Result<(), Error>;

/// Settings that stand together.
pub(super) trait Table {
    /// Them and those below, in their order.
    const KEYS: &'static [Key];

    /// Reads them into a client's.
    fn read(&self, config: &mut Config, refused: Refused<'_>) -> Result<(), Error>;
}

/// Where tables stand below a table.
pub(super) trait Holds {
    const KEYS: &'static [Key];

    fn read(&self, config: &mut Config, refused: Refused<'_>) -> Result<(), Error>;
}

impl<T: Table> Holds for T {
    const KEYS: &'static [Key] = T::KEYS;

    fn read(&self, config: &mut Config, refused: Refused<'_>) -> Result<(), Error> {
        Table::read(self, config, refused)
    }
}

/// What may be there or not, or several times, is read by [`super::reading`], as a whole.
macro_rules! read_as_a_whole {
    ($($type:ty),+) => {
        $(impl<T: Table> Holds for $type {
            const KEYS: &'static [Key] = T::KEYS;

            fn read(&self, _: &mut Config, _: Refused<'_>) -> Result<(), Error> {
                Ok(())
            }
        })+
    };
}

read_as_a_whole!(Option<T>, Vec<T>, BTreeMap<String, T>);

/// What a reader answers.
pub(super) trait Outcome {
    fn outcome(self) -> Result<(), Error>;
}

impl Outcome for () {
    fn outcome(self) -> Result<(), Error> {
        Ok(())
    }
}

impl<E: Into<Error>> Outcome for Result<(), E> {
    fn outcome(self) -> Result<(), Error> {
        self.map_err(Into::into)
    }
}

/// Lets a row's reader take what is given. What it refuses is told with the setting's name.
pub(super) fn read<T: Value, O: Outcome>(
    path: &str,
    value: &T,
    config: &mut Config,
    refused: Refused<'_>,
    reader: impl Fn(&mut Config, &T::One) -> O,
) -> Result<(), Error> {
    value.given().iter().try_for_each(|one| match reader(config, one).outcome() {
        Ok(()) => Ok(()),
        // What is wrong is the settings, whatever the value should have been.
        Err(error) => refused(error.context(path).recoded(|_| Code::InvalidArgument)),
    })
}

/// How many keys there are in these lists.
pub(super) const fn count(lists: &[&[Key]]) -> usize {
    let (mut at, mut count) = (0, 0);
    while at < lists.len() {
        count += lists[at].len();
        at += 1;
    }
    count
}

/// One list of them.
pub(super) const fn join<const N: usize>(lists: &[&[Key]]) -> [Key; N] {
    let mut joined = [Key::NONE; N];
    let (mut list, mut at) = (0, 0);
    while list < lists.len() {
        let mut one = 0;
        while one < lists[list].len() {
            joined[at] = lists[list][one];
            (at, one) = (at + 1, one + 1);
        }
        list += 1;
    }
    joined
}

/// What makes a field no word of the language, and stands in no key.
const RAW: usize = 2;

/// How long the key of a field is.
pub(super) const fn key_len(field: &str) -> usize {
    match position_of_raw(field.as_bytes()) {
        Some(_) => field.len() - RAW,
        None => field.len(),
    }
}

/// The key of a field, such as `ca.time-window` of `ca.time_window`.
pub(super) const fn key_bytes<const N: usize>(field: &str) -> [u8; N] {
    let field = field.as_bytes();
    let raw = position_of_raw(field);
    let mut key = [0; N];
    let (mut from, mut to) = (0, 0);
    while from < field.len() {
        match raw {
            Some(at) if at == from => from += RAW,
            _ => {
                key[to] = if field[from] == b'_' { b'-' } else { field[from] };
                (from, to) = (from + 1, to + 1);
            }
        }
    }
    key
}

const fn position_of_raw(field: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at + 1 < field.len() {
        if field[at] == b'r' && field[at + 1] == b'#' {
            return Some(at);
        }
        at += 1;
    }
    None
}

pub(super) const fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("not text"),
    }
}

/// The settings of one table, a row for each:
///
/// ```text
/// /// What it does, as `devid config explain` says it.
/// pub time_window: Option<Span> = "its default, in words" .needs(Need::Clock) => |config, window| ...,
/// ```
///
/// Behind the default's words stands, in brackets, its value, where it is not the type's; then what [`Key`] has functions for; then how a
/// client's settings take what is given, where that needs nothing else: a function of them and of each value. A row without a default is a
/// table below.
///
/// `open`, `whole`, `list`: see [`Form`].
macro_rules! table {
    ($(#[$about:meta])* open $path:literal pub struct $name:ident { $($rows:tt)* }) => {
        table!(@all [$(#[$about])* #[serde(default)]] Open $path $name { $($rows)* });
    };
    ($(#[$about:meta])* whole $path:literal pub struct $name:ident { $($rows:tt)* }) => {
        table!(@all [$(#[$about])*] Whole $path $name { $($rows)* });
    };
    ($(#[$about:meta])* list $path:literal pub struct $name:ident { $($rows:tt)* }) => {
        table!(@all [$(#[$about])*] Listed $path $name { $($rows)* });
    };
    (@all [$($about:tt)*] $form:ident $path:literal $name:ident {
        $(
            $(#[doc = $meaning:literal])*
            $(#[serde($serde:ident)])?
            $(#[cfg_attr($($attribute:tt)*)])?
            pub $field:ident: $type:ty
                $(= $default:literal $(($value:expr))? $(.$clause:ident($($argument:tt)*))* $(=> $reader:expr)?)?,
        )+
    }) => {
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        $($about)*
        pub struct $name {
            $(
                $(#[doc = $meaning])*
                $(#[serde($serde)])?
                $(#[cfg_attr($($attribute)*)])?
                pub $field: $type,
            )+
        }

        table!(@default $form $name { $($field: [$($($value)?)?],)+ });

        impl crate::client::device::row::Table for $name {
            const KEYS: &'static [Key] = {
                const LISTS: &[&[Key]] = &[
                    $(table!(@keys $form $path $field [$($meaning)*] $type $(= $default $(.$clause($($argument)*))*)?),)+
                ];
                &row::join::<{ row::count(LISTS) }>(LISTS)
            };

            #[allow(unused_variables, reason = "tables may have no row with a reader")]
            fn read(&self, config: &mut Config, refused: row::Refused<'_>) -> Result<(), Error> {
                $(table!(@read self config refused $path $field $type $(= $default $(=> $reader)?)?);)+
                Ok(())
            }
        }
    };
    (@default Open $name:ident { $($field:ident: [$($value:expr)?],)+ }) => {
        impl Default for $name {
            fn default() -> Self {
                $name { $($field: table!(@value $($value)?),)+ }
            }
        }
    };
    (@default $form:ident $name:ident { $($rest:tt)* }) => {};
    (@value) => { Default::default() };
    (@value $value:expr) => { $value };
    (@path $path:literal $field:ident) => {{
        const FIELD: &str = concat!($path, ".", stringify!($field));
        const BYTES: [u8; row::key_len(FIELD)] = row::key_bytes(FIELD);
        row::text(&BYTES)
    }};
    (@keys $form:ident $path:literal $field:ident [$($meaning:literal)*] $type:ty) => { <$type as row::Holds>::KEYS };
    (@keys $form:ident $path:literal $field:ident [$($meaning:literal)+] $type:ty = $default:literal $($clauses:tt)*) => {
        &[Key::of::<$type>(row::Form::$form, table!(@path $path $field), concat!($($meaning),+), $default) $($clauses)*]
    };
    (@read $self:ident $config:ident $refused:ident $path:literal $field:ident $type:ty) => {
        row::Holds::read(&$self.$field, $config, $refused)?
    };
    (@read $self:ident $config:ident $refused:ident $path:literal $field:ident $type:ty = $default:literal) => {};
    (@read $self:ident $config:ident $refused:ident $path:literal $field:ident $type:ty = $default:literal => $reader:expr) => {
        row::read(table!(@path $path $field), &$self.$field, $config, $refused, $reader)?
    };
}

/// Settings whose value is one of a few: each with its name.
macro_rules! choice {
    ($(#[$about:meta])* pub enum $type:ident { $($(#[doc = $meaning:literal])+ $variant:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
        pub enum $type {
            $($(#[doc = $meaning])+ #[serde(rename = $name)] $variant,)+
        }

        impl crate::client::device::row::Scalar for $type {
            const KIND: crate::client::device::row::Kind = crate::client::device::row::Kind::OneOf(&[$($name),+]);
        }

        impl crate::client::device::row::Choice for $type {
            fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $name,)+
                }
            }
        }
    };
}

/// One of a few values with names.
pub(super) trait Choice {
    /// As settings have it.
    fn name(self) -> &'static str;
}

pub(super) use {choice, table};
