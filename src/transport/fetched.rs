//! What a fetch brings.

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A document.
    Document(Document),
    /// The copy at hand is still the current one (304).
    NotModified,
}

/// A fetched document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Content-Type; servers get it wrong often enough that nothing should depend on it.
    pub content_type: Option<String>,
    /// For [`FetchRequest::if_none_match`](super::FetchRequest::if_none_match) next time.
    pub etag: Option<String>,
    /// For [`FetchRequest::if_modified_since`](super::FetchRequest::if_modified_since) next time.
    pub last_modified: Option<String>,
    /// Where it came from in the end.
    pub url: String,
}
