//! The documentation: each block of commands is run by a story, or says why not.

use e2e::docs::{How, documentation};

use crate::sources::root;

#[test]
fn every_block_of_commands_is_run_or_says_why_not() {
    let pages = documentation(&root()).unwrap();
    let faults: Vec<_> = pages.iter().flat_map(|page| &page.faults).collect();
    assert_eq!(faults, Vec::<&String>::new(), "e2e/src/docs.rs has the comments that a block may have");
    let blocks: Vec<_> = pages.iter().flat_map(|page| &page.blocks).collect();
    let run = blocks.iter().filter(|block| block.is_run()).count();
    assert!(run * 2 > blocks.len(), "most blocks are run, not {run} of {}", blocks.len());
    let reasons = blocks.iter().filter_map(|block| match &block.how {
        How::Help(reason) | How::Not(reason) => Some(reason),
        How::ToItsEnd | How::On(_) | How::For(_) => None,
    });
    let short: Vec<_> = reasons.filter(|reason| reason.split_whitespace().count() < 2).collect();
    assert_eq!(short, Vec::<&String>::new(), "a reason says what a block needs");
}
