//! The commands of the documentation, run as its readers run them: the blocks of a page one after the other in one shell, at the
//! root of a copy of the checkout, with `kubectl` and `helm` of the cluster and the project's own programs.
//!
//! A fenced block of the language `sh`, `bash` or `console` is run. Comments right above it, which a reader does not see, say what
//! a reader knows without them:
//!
//! | comment | meaning |
//! |---|---|
//! | `<!-- run before: COMMANDS -->` | what the page takes for granted there; may have several lines |
//! | `<!-- shows: TEXT -->` | the output holds this |
//! | `<!-- runs on: ADDRESS -->` | it does not end: it runs beside the blocks below, which begin when it takes connections at ADDRESS |
//! | `<!-- stops after: 3s -->` | it does not end: it still runs after this time, and is ended |
//! | `<!-- only help: REASON -->` | each command has `--help` added, which tells whether its arguments are right |
//! | `<!-- not run: REASON -->` | it needs what is not there |
//!
//! A block of `console` is a transcript: its commands follow `$ `, and the lines below each of them are lines of the output, where
//! `…` stands for anything; a status other than 0 is no failure. Above a block of another language, `<!-- file: NAME -->` writes it
//! to that file before the page begins.

mod checkout;
mod page;
mod programs;
mod reader;
mod session;
mod terminal;
mod transcript;

pub use checkout::Checkout;
pub use page::{Block, How, Page, documentation};
pub use reader::{Counts, read};
