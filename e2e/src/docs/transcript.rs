//! Commands with their output, as a page shows them.

/// A command of a transcript, and lines of its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many lines of the transcript are above it.
    pub above: usize,
    /// The command.
    pub command: String,
    /// Lines of its output, in their order; `…` stands for anything.
    pub output: Vec<String>,
}

/// The steps of a transcript, whose commands follow `$ `.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (above, line) in text.lines().enumerate() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => {
                steps.push(Step { above, command: command.to_owned(), output: Vec::new() });
            }
            (None, Some(step)) if !line.trim().is_empty() => step.output.push(line.to_owned()),
            (None, _) => {}
        }
    }
    steps
}

/// The first of the `expected` lines that is not among those of `output`, below the one before it.
pub fn missing<'a>(expected: &'a [String], output: &str) -> Option<&'a str> {
    let mut lines = output.lines();
    let missing = expected.iter().find(|line| !lines.any(|said| agrees(line, said)));
    missing.map(String::as_str)
}

/// Whether a line of a page is this line of output: widths of columns and ages aside.
fn agrees(line: &str, said: &str) -> bool {
    let (line, said) = (words(line), words(said));
    let parts: Vec<&str> = line.split('…').map(str::trim).collect();
    let [first, between @ .., last] = &parts[..] else { return line == said };
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    for part in between {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The words of a line, each age as one that stands for all.
fn words(line: &str) -> String {
    let word = |word| if is_age(word) { "AGE-OF-IT" } else { word };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

/// Whether this is a time as `kubectl get` prints it: `25s`, `3m12s`, `4d`.
fn is_age(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.ends_with(['s', 'm', 'h', 'd'])
        && word.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_commands_with_their_output() {
        let text = "$ ls a\nb   c\n\n$ true\n";
        let step = |above, command: &str, output: &[&str]| Step {
            above,
            command: command.to_owned(),
            output: output.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(steps(text), [step(0, "ls a", &["b   c"]), step(3, "true", &[])]);
    }

    #[test]
    fn lines_are_missing_when_they_differ_in_more_than_widths_and_ages() {
        let missing = |expected: &[&str], output: &str| {
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            missing(&expected, output).map(ToOwned::to_owned)
        };
        let output = "NAME   AGE   WHY\nchat   3m2s  unknown type \"x\"; known: a, b\nother  4d    fine\n";
        assert_eq!(missing(&["NAME AGE WHY", "chat 25s unknown type \"x\"; known: …"], output), None);
        assert_eq!(missing(&["… type …; known: …b", "other 1s …"], output), None);
        assert_eq!(
            missing(&["chat 25s unknown type \"y\"…"], output).as_deref(),
            Some("chat 25s unknown type \"y\"…")
        );
        assert_eq!(missing(&["other 1s fine", "NAME AGE WHY"], output).as_deref(), Some("NAME AGE WHY"));
        assert_eq!(missing(&["chat 25s"], output).as_deref(), Some("chat 25s"));
    }
}
