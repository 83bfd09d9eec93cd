//! From TOML to the model.

pub mod model;
pub mod names;
pub mod template;
