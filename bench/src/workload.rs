//! Workloads, each a row of the table: length of the prompts and form of the answers.

use std::fmt;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde_json::json;

use super::exchange::Exchange;
use super::pace::Pace;
use super::programs::WAYPOST;
use e2e::load::Prompts;

/// Different requests of a row, asked one after the other again and again.
const REQUESTS: u64 = 256;
/// Conversations that they belong to.
const FAMILIES: usize = 32;
/// Bytes of a word of [`Prompts`], with its space.
const WORD: usize = 5;

/// The picker whose strategy needs no body.
pub const HEADERS_ALONE: &str = "Waypost, headers alone";

/// A row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Row {
    /// 4.4 KB chat, one JSON answer
    Short,
    /// 4.4 KB chat, 100 SSE chunks back
    Stream,
    /// 60 KB chat, one JSON answer
    Long,
    /// 220 KB chat, one JSON answer
    Huge,
    /// 4.4 KB chat, headers alone
    Headers,
}

impl Row {
    /// In the order of the table.
    pub const ALL: [Self; 5] = [Self::Short, Self::Stream, Self::Long, Self::Huge, Self::Headers];

    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Requests of this row when a short one has `requests`, so that all take about as long.
    pub fn share(self, requests: usize) -> usize {
        requests / self.weight()
    }

    /// The pace of this row when this is that of a short one.
    pub fn pace(self, pace: Pace) -> Pace {
        match pace {
            Pace::Closed(_) => pace,
            Pace::Open(rate) => Pace::Open(rate / self.weight() as f64),
        }
    }

    /// What the picker's CPU time may be at most, as a share of the yardstick's in which row. With headers alone that is
    /// the short row: what the same chat costs a picker that has bodies sent whatever it needs.
    pub fn bar(self) -> (f64, Self) {
        match self {
            Self::Short => (0.8, self),
            Self::Stream => (0.4, self),
            Self::Long => (0.7, self),
            Self::Huge => (0.85, self),
            Self::Headers => (0.5, Self::Short),
        }
    }

    /// The name of the picker whose figures of this row must hold.
    pub fn picker(self) -> &'static str {
        match self {
            Self::Headers => HEADERS_ALONE,
            _ => WAYPOST,
        }
    }

    /// About how many short exchanges take as long.
    fn weight(self) -> usize {
        match self {
            Self::Short | Self::Headers => 1,
            Self::Long => 2,
            Self::Stream | Self::Huge => 4,
        }
    }

    fn prompt(self) -> usize {
        match self {
            Self::Short | Self::Stream | Self::Headers => 4_200,
            Self::Long => 60_000,
            Self::Huge => 220_000,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        let said = value.as_ref().and_then(PossibleValue::get_help);
        said.map_or(Ok(()), |said| write!(f, "{said}"))
    }
}

/// The exchanges of a row.
pub fn exchanges(row: Row) -> Vec<Exchange> {
    let (answer, content_type) = answer(row);
    let exchange = |body: String| match row {
        Row::Headers => Exchange::headers_alone(body.len(), content_type),
        _ => Exchange::new(body.as_bytes(), &answer, content_type),
    };
    bodies(row).into_iter().map(exchange).collect()
}

/// The requests' bodies of a row: two thirds of each prompt are the conversation's, the rest is its own.
pub fn bodies(row: Row) -> Vec<String> {
    let words = row.prompt() / WORD;
    let prompts = Prompts::families(FAMILIES, words * 2 / 3, words / 3);
    let body = |number| {
        let body = json!({
            "model": "sim-model",
            "messages": [
                {"role": "system", "content": "You are a helpful assistant. Answer shortly, and say what you don't know."},
                {"role": "user", "content": prompts.prompt(number)},
            ],
            "max_tokens": 128,
            "temperature": 0.7,
            "stream": row == Row::Stream,
        });
        body.to_string()
    };
    (0..REQUESTS).map(body).collect()
}

/// The answer to each request of a row, piece by piece, and its content type.
pub fn answer(row: Row) -> (Vec<Vec<u8>>, &'static str) {
    if row == Row::Stream {
        let piece = |number| {
            let event = json!({
                "id": "chatcmpl-7f0c5b1e2d3a4958", "object": "chat.completion.chunk", "created": 1_790_000_000,
                "model": "sim-model",
                "choices": [{"index": 0, "delta": {"content": format!(" word{number}")}, "finish_reason": null}],
            });
            format!("data: {event}\n\n").into_bytes()
        };
        return ((0..100).map(piece).collect(), "text/event-stream");
    }
    let whole = json!({
        "id": "chatcmpl-7f0c5b1e2d3a4958", "object": "chat.completion", "created": 1_790_000_000, "model": "sim-model",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word ".repeat(64)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1100, "completion_tokens": 64, "total_tokens": 1164},
    });
    (vec![whole.to_string().into_bytes()], "application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_the_length_of_their_row() {
        let lengths: Vec<usize> = Row::ALL.iter().map(|row| exchanges(*row)[0].body / 1000).collect();
        assert_eq!(lengths, [4, 4, 60, 220, 0]);
        assert_eq!(exchanges(Row::Stream)[0].pieces.len(), 100);
    }

    #[test]
    fn a_row_says_what_it_is() {
        assert_eq!(
            (Row::Long.name(), Row::Long.to_string()),
            ("long".into(), "60 KB chat, one JSON answer".into())
        );
    }
}
