//! One conversation at a time for each identity, over all processes: the daemon and a person at the shell.

use super::Device;
use crate::client::install::who;
use crate::error::Error;
use crate::store::Conversation;

/// Held while there is a conversation about an identity.
#[derive(Debug)]
pub struct Busy {
    _alone: Conversation,
}

impl Device {
    /// Keeps others from beginning anything about this identity until what is answered is dropped. `what`: for whoever meets
    /// with it, such as the command's name. Nests in one thread.
    ///
    /// Errors: [`Code::Locked`](crate::codes::Code::Locked) if somebody is at work, with who and since when; device memory cannot be written.
    pub fn busy(&self, name: &str, what: &str) -> Result<Busy, Error> {
        let alone = self.store.converse(name, &who(what))?;
        self.store.finish_removal(name)?;
        Ok(Busy { _alone: alone })
    }
}
