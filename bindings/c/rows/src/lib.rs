//! Rows of the C face.
//!
//! A C function is one row: its documentation, a signature of Rust types, its own work. From the type of a parameter follows its
//! kind (`kind`): what C passes for it, how that becomes a safe value, what the header says about NULL. The same row is read
//! twice: by the attributes of `devid-macros`, which make the function that C calls (`function`, `callback`, `handle`), and by the
//! generator of the header, which takes the declarations from it (`header`). What the header promises about NULL and what
//! the function does can therefore not differ: a row whose documentation says something else does not compile (`doc`).

mod callback;
mod doc;
mod function;
mod handle;
mod header;
mod kind;

pub use callback::Callback;
pub use function::Function;
pub use handle::Handle;
pub use header::{declarations, handles};
