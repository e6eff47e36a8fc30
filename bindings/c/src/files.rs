//! CMP by files, for devices that never see a network (RFC 9483 section 6.4.1): a message a file, carried by people.

use super::args::null;
use super::prelude::*;
use devid_core::transport::file::FileExchange;

/// Let the messages of an operation of any kind travel as files instead of over a network: requests go to
/// NAME-1-request.pki, NAME-2-request.pki and so on, answers are expected in NAME-1-answer.pki and so on, each one PKIMessage in
/// DER. A file appears whole or not at all, and is on the medium when the call returns: a stick may be pulled.
///
/// As long as an answer is not there, devid_op_run() and devid_op_exchange() answer DEVID_E_BUSY. The operation stands where it
/// was: saved, or bound by devid_op_install_into(), it continues weeks and reboots later, finds its own request again and looks for
/// the answer once more.
///
/// @param folder  An existing directory, such as where the stick is mounted. NULL: the network again. May be NULL.
/// @param name    Keeps transactions apart: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with a dot. NULL only if `folder` is. May be
///                NULL.
/// @return DEVID_OK; DEVID_E_NULL for a folder without a name, DEVID_E_INVALID_ARGUMENT for a name that cannot be used.
#[export]
fn devid_op_set_files(op: &mut devid_op, folder: Option<&str>, name: Option<&str>) -> Result<(), Error> {
    op.callbacks.files = match folder {
        Some(folder) => Some(FileExchange::new(folder, name.ok_or_else(|| null("name"))?)?),
        None => None,
    };
    Ok(())
}
