//! The content of a chat message: a text, or parts of text, pictures and more.

use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<Value>),
}

impl Content {
    /// The content as the prompt holds it. Parts that are no text count with their JSON: equal pictures are equal
    /// tokens.
    pub fn render(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Parts(parts) => parts.iter().map(render_part).collect::<Vec<_>>().join("\n").into(),
        }
    }
}

fn render_part(part: &Value) -> String {
    part.as_str().or_else(|| part.get("text")?.as_str()).map_or_else(|| part.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_texts_and_keeps_what_is_no_text() {
        let content: Content = serde_json::from_str(
            r#"[{"type":"text","text":"Look:"},{"type":"image_url","image_url":{"url":"http://x/y.png"}},"end"]"#,
        )
        .unwrap();
        assert_eq!(
            content.render(),
            "Look:\n{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://x/y.png\"}}\nend"
        );
    }
}
