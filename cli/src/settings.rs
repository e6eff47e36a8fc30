//! The settings, which the library reads.

pub use devid::client::device::{
    DEFAULT_FILE, Export, Loaded, Settings, Source, StatusCheck, judge, keys, load, load_made,
};
