//! A parser of server-sent events, for streamed completions.

use serde_json::Value;

/// Puts a streamed answer together from pieces cut anywhere.
#[derive(Debug, Default)]
pub struct Stream {
    rest: Vec<u8>,
    /// Events with JSON.
    pub events: usize,
    /// Whether `data: [DONE]` came, which ends a whole answer.
    pub done: bool,
    /// The last event that told the usage.
    pub usage: Option<Value>,
    /// The text of all choices, in order.
    pub text: String,
}

impl Stream {
    /// Takes in the next bytes.
    ///
    /// # Errors
    /// What was wrong with an event.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(line.trim_ascii_end())?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let Some(data) = line.strip_prefix(b"data:") else { return Ok(()) };
        let data = data.trim_ascii();
        if self.done {
            return Err("an event after [DONE]".to_owned());
        }
        if data == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        let event: Value =
            serde_json::from_slice(data).map_err(|error| format!("an event that is no JSON: {error}"))?;
        if let Some(message) = event.get("error").filter(|error| !error.is_null()) {
            return Err(format!("an error in the stream: {message}"));
        }
        self.events += 1;
        for choice in event["choices"].as_array().into_iter().flatten() {
            let piece = choice["delta"]["content"].as_str().or_else(|| choice["text"].as_str());
            self.text.push_str(piece.unwrap_or_default());
        }
        if event["usage"].is_object() {
            self.usage = Some(event["usage"].clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Stream;

    const WHOLE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a \"}}]}\n\n\
                         data: {\"choices\":[{\"delta\":{\"content\":\"b\"}}]}\n\n\
                         data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3}}\n\ndata: [DONE]\n\n";

    #[test]
    fn cuts_do_not_matter() {
        for cut in 1..WHOLE.len() {
            let mut stream = Stream::default();
            for piece in WHOLE.as_bytes().chunks(cut) {
                stream.feed(piece).unwrap();
            }
            assert_eq!((stream.events, stream.done, stream.text.as_str()), (3, true, "a b"));
            assert_eq!(stream.usage, Some(json!({"prompt_tokens": 3})));
        }
    }

    #[test]
    fn a_stream_that_is_cut_short_is_not_done() {
        let mut stream = Stream::default();
        stream.feed(&WHOLE.as_bytes()[..60]).unwrap();
        assert!(!stream.done);
    }

    #[test]
    fn broken_events_are_told() {
        let said = |text: &str| Stream::default().feed(text.as_bytes()).unwrap_err();
        assert!(said("data: {\n").starts_with("an event that is no JSON"));
        assert_eq!(said("data: [DONE]\ndata: {}\n"), "an event after [DONE]");
        assert_eq!(said("data: {\"error\":\"x\"}\n"), "an error in the stream: \"x\"");
    }
}
