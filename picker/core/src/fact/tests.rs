use super::*;

#[derive(Debug, Default, PartialEq)]
struct Words(Vec<&'static str>);

impl Fact for Words {
    const NAME: &'static str = "list of words";
    const DEFAULT_PRODUCER: Option<&'static str> = None;

    fn clear(&mut self) {
        self.0.clear();
    }
}

fn facts() -> (Layout, Slot<Words>, Slot<PrefixMatch>, Facts) {
    let mut layout = Layout::default();
    let (words, prefix) = (layout.add::<Words>(), layout.add::<PrefixMatch>());
    let mut facts = Facts::default();
    facts.fit(&layout);
    (layout, words, prefix, facts)
}

#[test]
fn a_producer_writes_its_own_and_reads_the_others() {
    let (layout, words, prefix, mut facts) = facts();
    facts.produce(&[1], |facts, own| {
        assert_eq!(facts.get(words), &Words::default());
        own.get_mut(prefix).hashes.push(7);
    });
    facts.produce(&[0], |facts, own| {
        assert_eq!(facts.get(prefix).hashes, [7]);
        own.get_mut(words).0.push("seven");
    });
    assert_eq!((facts.get(words), &facts.get(prefix).hashes), (&Words(vec!["seven"]), &vec![7]));
    facts.forget();
    facts.fit(&layout);
    assert_eq!((facts.get(words), facts.get(prefix)), (&Words::default(), &PrefixMatch::default()));
}

#[test]
fn a_cleared_fact_keeps_its_memory() {
    let (layout, _, prefix, mut facts) = facts();
    facts.produce(&[1], |_, own| own.get_mut(prefix).hashes.extend(0..100));
    let before = facts.get(prefix).hashes.as_ptr();
    facts.forget();
    facts.fit(&layout);
    facts.produce(&[1], |_, own| own.get_mut(prefix).hashes.push(1));
    assert_eq!(facts.get(prefix).hashes.as_ptr(), before);
}

#[test]
fn facts_of_another_layout_are_made_anew() {
    let (_, _, prefix, mut facts) = facts();
    facts.produce(&[1], |_, own| own.get_mut(prefix).hashes.push(7));
    let mut other = Layout::default();
    let first = other.add::<PrefixMatch>();
    assert!(!facts.are_of(&other));
    facts.fit(&other);
    assert_eq!(facts.get(first), &PrefixMatch::default());
}

#[test]
fn what_was_prepared_is_there_until_the_next_request() {
    let (layout, words, _, mut facts) = facts();
    facts.learn([words.found(Words(vec!["found"]))]);
    assert_eq!(facts.get(words).0, ["found"]);
    facts.forget();
    facts.fit(&layout);
    assert_eq!(facts.get(words).0, Vec::<&str>::new());
}

#[test]
#[should_panic = "the slot of a prefix match is not one of this strategy's"]
fn a_slot_of_another_layout_is_a_fault() {
    let (_, _, _, facts) = facts();
    facts.get(Slot::<PrefixMatch>::new(0));
}

#[test]
fn a_prefix_match_counts_in_blocks_and_tokens() {
    let found = PrefixMatch { hashes: vec![0; 4], block_tokens: 64, matched: vec![0, 3] };
    assert_eq!([found.share(0), found.share(1), found.share(2)], [0.0, 0.75, 0.0]);
    assert_eq!((found.tokens(), found.cached_tokens(1), found.cached_tokens(9)), (256, 192, 0));
    assert_eq!((PrefixMatch::default().share(0), PrefixMatch::default().cached_tokens(0)), (0.0, 0));
}

#[test]
fn a_request_costs_an_endpoint_what_it_does_not_have_and_the_answer() {
    let mut load = RequestLoad { prompt: 100, output: 5, uncached: vec![0, 40] };
    assert_eq!([load.tokens(0), load.tokens(1), load.tokens(9)], [5, 45, 105]);
    assert_eq!([load.prompt_tokens(0), load.prompt_tokens(1), load.prompt_tokens(9)], [0, 40, 100]);
    Fact::clear(&mut load);
    assert_eq!(load, RequestLoad::default());
    assert_eq!(load.tokens(0), 0);
}
