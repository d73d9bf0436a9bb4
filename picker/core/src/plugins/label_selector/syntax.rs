//! What Kubernetes allows as the key and the value of a label.

const MAX_NAME: usize = 63;
const MAX_PREFIX: usize = 253;

/// Checks a label's key: an optional DNS subdomain and a slash, then a name.
pub fn key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if !prefix.is_none_or(subdomain) {
        return Err(format!("{key:?} is no label key: what is before the slash must be a DNS subdomain"));
    }
    if name.is_empty() || !word(name) {
        return Err(format!(
            "{key:?} is no label key: the name must be 1 to {MAX_NAME} letters, digits, '-', '_' or '.', and begin and \
             end with a letter or digit"
        ));
    }
    Ok(())
}

/// Checks a label's value.
pub fn value(value: &str) -> Result<(), String> {
    if value.is_empty() || word(value) {
        return Ok(());
    }
    Err(format!(
        "{value:?} is no label value: at most {MAX_NAME} letters, digits, '-', '_' or '.', with a letter or digit at \
         both ends"
    ))
}

fn word(text: &str) -> bool {
    let ends = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= MAX_NAME
        && ends(text.bytes().next())
        && ends(text.bytes().next_back())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

fn subdomain(text: &str) -> bool {
    let label = |part: &str| {
        let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.bytes().all(|c| inner(c) || c == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().next_back().is_some_and(inner)
    };
    text.len() <= MAX_PREFIX && text.split('.').all(label)
}
