//! Tokens: published vectors, hostile ones, and what holds for all of them. Nothing here asks a
//! running origin.

mod carried;
mod hostile;
pub mod issue;
mod issuers;
mod laws;
mod scopes;
mod vectors;
