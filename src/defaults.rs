//! Structs whose fields have their defaults beside them.

/// A struct; behind a field's type stands its default, where that is not the type's own. What defaults need to be made of is given behind
/// the struct, to `from_defaults`.
macro_rules! with_defaults {
    ($(#[$about:meta])* pub struct $name:ident {
        $($(#[doc = $meaning:literal])* $(#[cfg_attr($($attribute:tt)*)])? $see:vis $field:ident: $type:ty $(= $default:expr)?,)+
    } $(given $given:ident: $source:ty)?) => {
        $(#[$about])*
        pub struct $name {
            $($(#[doc = $meaning])* $(#[cfg_attr($($attribute)*)])? $see $field: $type,)+
        }

        crate::defaults::with_defaults!(@made $name [$($given: $source)?] { $($field: [$($default)?],)+ });
    };
    (@made $name:ident [] { $($field:ident: [$($default:expr)?],)+ }) => {
        impl Default for $name {
            fn default() -> Self {
                $name { $($field: crate::defaults::with_defaults!(@value $($default)?),)+ }
            }
        }
    };
    (@made $name:ident [$given:ident: $source:ty] { $($field:ident: [$($default:expr)?],)+ }) => {
        impl $name {
            fn from_defaults($given: $source) -> Self {
                $name { $($field: crate::defaults::with_defaults!(@value $($default)?),)+ }
            }
        }
    };
    (@value) => { Default::default() };
    (@value $default:expr) => { $default };
}

pub(crate) use with_defaults;
