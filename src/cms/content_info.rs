//! ContentInfo (RFC 5652 section 3).

use ::der::Tag;

use crate::asn1::der::{Asn1Error, Cursor, Tlv, element, sequence};
use crate::asn1::fields::read_oid;
use crate::asn1::oid::Oid;
use crate::prelude::*;

/// Splits a ContentInfo (RFC 5652 section 3) into type and content; the content is a SEQUENCE for all types we know.
pub(super) fn read_content_info(input: &[u8]) -> Result<(Oid, Tlv<'_>), Asn1Error> {
    let mut fields = Cursor::sequence(input, "ContentInfo")?;
    let content_type = read_oid(&mut fields)?;
    let content = fields.optional_context(0, true)?;
    let content = content.ok_or_else(|| Asn1Error::invalid("ContentInfo", "no content"))?;
    fields.finish()?;
    let mut inner = Cursor::new(content.value, "ContentInfo")?;
    let content = inner.expect(Tag::Sequence, "content")?;
    inner.finish()?;
    Ok((content_type, content))
}

pub(super) fn encode_content_info(content_type: Oid, content: &[u8]) -> Vec<u8> {
    sequence(&[&element(0x06, &[content_type.as_bytes()]), &element(0xa0, &[content])])
}
