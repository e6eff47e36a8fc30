//! What is found in device memory that is not as it should be.

/// Something in device memory that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// Where: a record's key.
    pub place: String,
    /// For people.
    pub text: String,
    /// `repair` has put it right.
    pub is_mended: bool,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Left over from an interrupted call. Harmless.
    Leftover,
    /// Not put there by this library. Left alone.
    Foreign,
    /// Access rights or ownership are not as they must be.
    Access,
    /// The record that says which generation is in use is damaged or missing.
    Pointer,
    /// A generation cannot be used.
    Generation,
    /// Another record is damaged.
    Damaged,
    /// A generation was issued, but never confirmed or discarded. (One that is confirmed and waits for its notBefore is no problem.)
    Unresolved,
    /// What is trusted ends, and no successor is here.
    Ending,
    /// A key that is only named here, such as in a token, is not to be had where it is.
    KeyElsewhere,
    /// A key is sealed under another secret than is given.
    Sealed,
    /// An identity is revoked or on hold, by the word of its CA.
    Revoked,
    /// The device's clock and the CA's contradict each other about what is valid.
    Clock,
    /// Written by a newer version of the library. Left as it is.
    Newer,
}

impl Problem {
    /// One that is not mended.
    pub fn new(kind: ProblemKind, place: &str, text: &str) -> Self {
        Problem { kind, place: place.to_owned(), text: text.to_owned(), is_mended: false }
    }

    /// The same, mended or not.
    #[must_use]
    pub fn mended(mut self, is_mended: bool) -> Self {
        self.is_mended = is_mended;
        self
    }
}
