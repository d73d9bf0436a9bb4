use super::*;

fn history(steps: &[(&str, Content)]) -> Vec<State> {
    let state = |(at, (name, what)): (usize, &(&str, Content))| State {
        version: at as u64,
        name: (*name).to_owned(),
        what: what.clone(),
    };
    steps.iter().enumerate().map(state).collect()
}

fn pool(picker: &str) -> Content {
    Content::Pool(Some(picker.to_owned()))
}

#[test]
fn a_picker_that_comes_first_and_goes_last_is_right() {
    let right = history(&[
        ("a", pool("a-epp")),
        ("a-picker", Content::Service(true)),
        ("a-picker", Content::Deployment(false)),
        ("a-picker", Content::Deployment(true)),
        ("a", pool("a-picker")),
        ("a", pool("a-epp")),
        ("a-picker", Content::Deployment(false)),
        ("a-picker", Content::Service(false)),
    ]);
    assert_eq!(find_violations(&right), Vec::<String>::new());
}

#[test]
fn a_pool_that_is_early_or_late_is_told_once() {
    let early = history(&[
        ("a-picker", Content::Service(true)),
        ("a", pool("a-picker")),
        ("b", pool("b-epp")),
        ("a-picker", Content::Deployment(true)),
        ("a-picker", Content::Service(false)),
    ]);
    assert_eq!(
        find_violations(&early),
        [
            "pool a names a-picker, which has no available pod (version 1)",
            "pool a names a-picker, which is not there (version 4)",
        ]
    );
}
