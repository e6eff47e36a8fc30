//! What an issued certificate has otherwise than it was asked for, and whether that is taken.

use core::fmt;

use crate::codes::Code;
use crate::error::Error;
use crate::prelude::*;

/// One way in which an issued certificate is not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which part: `subject`, `subjectAltName`, `keyUsage`, `notAfter`, ... or an extension's identifier.
    pub field: String,
    /// What was asked for, in words.
    pub requested: String,
    /// What was issued, in words.
    pub issued: String,
    /// In which way it differs: what an [`Acceptance`] judges.
    pub deviation: Deviation,
    /// The difference in words, such as `dns:a.example is missing`.
    pub details: String,
}

impl Difference {
    /// A part that is something else than was asked for.
    pub(crate) fn changed(field: &str, requested: String, issued: String) -> Self {
        let details = format!("requested {requested}, issued {issued}");
        Difference { field: field.to_owned(), requested, issued, deviation: Deviation::Changed, details }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.details)
    }
}

/// In which way a part of a certificate is not what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deviation {
    /// All that was asked for is there, and more; a longer validity too.
    Added,
    /// A validity that begins later or ends earlier than asked for.
    Narrowed,
    /// A subject of the same parts in another order or grouping: another name by RFC 5280 section 7.1, though people read it as
    /// the same.
    Reordered,
    /// Something that was asked for is missing or is something else.
    Changed,
}

/// Who decides on a certificate that is not what was asked for, where the caller has not kept that to itself. Another key
/// than the one requested is never taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Acceptance {
    /// Only what was asked for.
    Exact,
    /// Also what the CA added, and another validity; what it dropped or changed is refused, and who asked for no CA does not
    /// become one.
    #[default]
    SameOrAdded,
    /// The same, and a subject whose parts come in another order.
    AnyOrder,
    /// Everything over the right key.
    AnythingButTheKey,
}

impl Acceptance {
    /// Names of all policies.
    pub const NAMES: [&str; 4] = ["exact", "same-or-added", "any-order", "anything-but-the-key"];

    /// By name.
    ///
    /// Errors: [`Code::InvalidArgument`] for an unknown name.
    pub fn named(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "exact" => Acceptance::Exact,
            "same-or-added" => Acceptance::SameOrAdded,
            "any-order" => Acceptance::AnyOrder,
            "anything-but-the-key" => Acceptance::AnythingButTheKey,
            other => {
                let words = format!("'{other}' is not a policy of acceptance; there are {}", Self::NAMES.join(", "));
                return Err(Error::new(Code::InvalidArgument, words));
            }
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether a certificate with this difference is taken.
    pub fn takes(self, difference: &Difference) -> bool {
        match (self, difference.deviation) {
            _ if difference.field == PUBLIC_KEY => false,
            (Acceptance::Exact, _) => false,
            (_, Deviation::Added | Deviation::Narrowed) | (Acceptance::AnythingButTheKey, _) => true,
            (Acceptance::AnyOrder, deviation) => deviation == Deviation::Reordered,
            (Acceptance::SameOrAdded, _) => false,
        }
    }

    /// Why a certificate with these differences is not taken; `None`: it is. All differences are told, not the first alone.
    pub fn objection(self, differences: &[Difference]) -> Option<Error> {
        let refused: Vec<&Difference> = differences.iter().filter(|difference| !self.takes(difference)).collect();
        if refused.is_empty() {
            return None;
        }
        let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let words = format!("the certificate is not what was asked for: {}", all.join("; "));
        let hint = if refused.iter().all(|difference| difference.deviation == Deviation::Reordered) {
            "some CAs issue the parts of the subject in an order of their own (Trustpoint, EJBCA with LDAP order), and to others that is another name: acceptance policy any-order takes it (profile trustpoint), or ask for the subject in the CA's order"
        } else if refused.iter().any(|difference| difference.field == BASIC_CONSTRAINTS) {
            "whether the device is a certification authority is not as asked for: where the CA made it one, its key could issue certificates for anybody, a mistake in the CA's certificate template; where the request asked for it, ask for less; acceptance policy anything-but-the-key takes it"
        } else if self == Acceptance::Exact {
            "the acceptance policy is exact: same-or-added takes what the CA adds, anything-but-the-key all over the right key"
        } else {
            "the CA dropped or changed what was asked for: ask for what it issues (its certificate template or profile says), or take it by acceptance policy anything-but-the-key"
        };
        Some(Error::new(Code::Refused, words).with(|facts| facts.hint = Some(hint)))
    }
}

// Fields of differences that are asked for by their names.
pub(super) const PUBLIC_KEY: &str = "publicKey";
pub(super) const SUBJECT_ALT_NAME: &str = "subjectAltName";
pub(super) const EXTENDED_KEY_USAGE: &str = "extendedKeyUsage";
pub(super) const BASIC_CONSTRAINTS: &str = "basicConstraints";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_are_ordered_and_none_takes_another_key() {
        let difference = |deviation| Difference { deviation, ..Difference::changed("subject", "a".into(), "b".into()) };
        let all = [Deviation::Added, Deviation::Narrowed, Deviation::Reordered, Deviation::Changed];
        let taken = |policy: Acceptance| all.map(|deviation| policy.takes(&difference(deviation)));
        assert_eq!(taken(Acceptance::Exact), [false; 4]);
        assert_eq!(taken(Acceptance::SameOrAdded), [true, true, false, false]);
        assert_eq!(taken(Acceptance::AnyOrder), [true, true, true, false]);
        assert_eq!(taken(Acceptance::AnythingButTheKey), [true; 4]);
        for name in Acceptance::NAMES {
            let policy = Acceptance::named(name).unwrap();
            assert_eq!(policy.name(), name);
            assert!(!policy.takes(&Difference::changed(PUBLIC_KEY, "P-256".into(), "P-384".into())));
        }
        assert!(Acceptance::named("some").is_err());
    }
}
