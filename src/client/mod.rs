//! The Rust API people use; ties the rooms below together.
