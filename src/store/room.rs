//! Room on the medium: whether the next enrolment finds what it needs, told before it fails for that.

/// What they hold beyond a block each: saved operation and chain, of the largest keys.
const BYTES: u64 = 64 * 1024;
/// Where the home does not say how large its blocks are, or says less than most have.
const BLOCK_BYTES: u64 = 4096;

/// What is free on the medium of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeRoom {
    /// Bytes that this process may use.
    pub bytes: u64,
    /// What the smallest file takes.
    pub block_bytes: u64,
    /// Files and folders that can be made; `None` where nothing but bytes bounds them.
    pub files: Option<u64>,
}

impl FreeRoom {
    /// Files and folders that an enrolment or a key update adds to device memory before anything of the one before gives way, with some to
    /// spare: those of a new generation, its key and the request while they wait, what is remembered, and what is written beside each before
    /// it takes its place.
    pub const FILES_OF_ENROLMENT: u64 = 32;

    /// The bytes that they take, on a medium with blocks of this size.
    pub const fn bytes_of_enrolment(block_bytes: u64) -> u64 {
        let block = if block_bytes > BLOCK_BYTES { block_bytes } else { BLOCK_BYTES };
        Self::FILES_OF_ENROLMENT * block + BYTES
    }

    /// What an enrolment lacks, in words.
    pub(super) fn lack(&self) -> Option<String> {
        let bytes = Self::bytes_of_enrolment(self.block_bytes);
        if self.bytes < bytes {
            return Some(format!("{} bytes are free on its medium, and an enrolment takes up to {bytes}", self.bytes));
        }
        let files = self.files.filter(|files| *files < Self::FILES_OF_ENROLMENT)?;
        Some(format!(
            "{files} more files can be made on its medium, and an enrolment makes up to {}",
            Self::FILES_OF_ENROLMENT
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_lacking_in_bytes_or_in_files() {
        let free = |bytes, block_bytes, files| FreeRoom { bytes, block_bytes, files }.lack();
        assert_eq!(free(1 << 20, 4096, Some(1000)), None);
        assert_eq!(free(1 << 20, 4096, None), None);
        assert!(free(100_000, 4096, None).unwrap().contains("bytes are free"));
        assert!(free(1 << 20, 65_536, None).is_some(), "large blocks");
        assert!(free(100_000, 512, None).is_some(), "small ones are not believed");
        assert!(free(1 << 20, 4096, Some(3)).unwrap().contains("3 more files"));
    }
}
