//! The warnings of a routing in a condition's message.

use picker_core::config::Warning;

/// Most warnings in one message.
const MAX_WARNINGS: usize = 5;
/// Longest message with warnings, in bytes.
const MAX_MESSAGE: usize = 1024;
const ELLIPSIS: &str = "…";

/// `lead` followed by the first of `warnings`, as far as they fit, and the number of the others.
pub(super) fn with(lead: &str, warnings: &[Warning]) -> String {
    let mut message = lead.to_owned();
    for (i, warning) in warnings.iter().take(MAX_WARNINGS).enumerate() {
        let start = if i == 0 { "; warnings: " } else { "; " };
        let mut text = format!("{start}{}: {}", in_spec(&warning.path), warning.message);
        let others = warnings.len() - i - 1;
        let room = MAX_MESSAGE.saturating_sub(message.len() + and_more(others).len());
        if text.len() > room {
            if i > 0 {
                return message + &and_more(others + 1);
            }
            // The first one is told in any case.
            text.truncate(text.floor_char_boundary(room.saturating_sub(ELLIPSIS.len())));
            text.push_str(ELLIPSIS);
        }
        message.push_str(&text);
    }
    message + &and_more(warnings.len().saturating_sub(MAX_WARNINGS))
}

fn and_more(others: usize) -> String {
    if others == 0 { String::new() } else { format!("; and {others} more") }
}

/// The path in a strategy of the field at `path` of its routing.
pub(super) fn in_spec(path: &str) -> String {
    match path {
        "" => "spec.routing".to_owned(),
        path => format!("spec.routing.{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(path: impl Into<String>, message: impl Into<String>) -> Warning {
        Warning { path: path.into(), message: message.into() }
    }

    #[test]
    fn all_warnings_are_told_when_they_fit() {
        assert_eq!(with("fine", &[]), "fine");
        let two = [warning("plugins[2].type", "is old"), warning("", "is odd")];
        assert_eq!(
            with("fine", &two),
            "fine; warnings: spec.routing.plugins[2].type: is old; spec.routing: is odd"
        );
    }

    #[test]
    fn of_many_warnings_the_first_five_are_told() {
        let many: Vec<_> = (0..7).map(|i| warning(format!("p[{i}]"), "old")).collect();
        let five = "fine; warnings: spec.routing.p[0]: old; spec.routing.p[1]: old; spec.routing.p[2]: old; \
                    spec.routing.p[3]: old; spec.routing.p[4]: old";
        assert_eq!(with("fine", &many), format!("{five}; and 2 more"));
        assert_eq!(with("fine", &many[..6]), format!("{five}; and 1 more"));
        assert_eq!(with("fine", &many[..5]), five);
    }

    #[test]
    fn long_warnings_take_a_kibibyte() {
        let long = warning("p", "é".repeat(600));
        let message = with("fine", &[long.clone(), long.clone()]);
        // An é has two bytes, and one does not fit.
        let expected = format!("fine; warnings: spec.routing.p: {}…; and 1 more", "é".repeat(488));
        assert_eq!((message.as_str(), message.len()), (expected.as_str(), MAX_MESSAGE - 1));
        // A later one that does not fit is counted.
        let short = warning("p", "old");
        let expected = "fine; warnings: spec.routing.p: old; and 2 more";
        assert_eq!(with("fine", &[short.clone(), long, short.clone()]), expected);
        // One that fits exactly is told whole.
        let lead = "x".repeat(MAX_MESSAGE - "; warnings: spec.routing.p: old".len());
        let message = with(&lead, std::slice::from_ref(&short));
        assert_eq!(message, format!("{lead}; warnings: spec.routing.p: old"));
    }
}
