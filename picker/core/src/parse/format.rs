//! The request formats: what the body of each path has, and which of its fields make the prompt.

mod shape;
mod table;

pub(super) use shape::{Body, Field, Format, Message, Refused, Rewrite};
pub(super) use table::{FORMATS, OTHER};

#[cfg(test)]
mod tests;
