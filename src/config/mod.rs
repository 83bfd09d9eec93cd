//! From TOML to the model.

pub mod model;
pub mod template;
