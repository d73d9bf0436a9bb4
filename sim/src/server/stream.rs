//! Answers as server-sent events.
//!
//! Everything of an event but its words is made once for a stream; tokens that are there together leave together.

use std::fmt::Write as _;
use std::io;

use axum::body::Bytes;
use serde_json::json;

use super::answer::Answer;
use super::api::Api;
use super::driver::{Generation, Progress};
use super::job::Job;
use super::models::unix_time;

/// The events of one answer.
pub(super) struct Events {
    api: Api,
    generation: Generation,
    choices: Vec<Choice>,
    /// From `data: {` to the list of choices.
    head: String,
    /// From the list of choices to the end, for chunks that tell the usage last: `null` before.
    tail: &'static str,
    /// Tokens of the prompt, if every chunk tells the usage.
    continuous: Option<u32>,
    /// The event that tells the usage, once it is known.
    usage: Option<serde_json::Value>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Running,
    /// Break off instead of the next event.
    Cut,
    Done,
}

struct Choice {
    answer: Answer,
    sent: u32,
    cached_tokens: u32,
}

/// What the client of a cut answer meets, after what was sent before.
pub(super) async fn connection_lost() -> io::Error {
    // An error that follows at once would overtake what still waits to be written.
    tokio::task::yield_now().await;
    io::Error::new(io::ErrorKind::ConnectionReset, "cut off on purpose")
}

impl Events {
    pub fn new(job: &Job, server: &str, generation: Generation, cut: bool) -> Self {
        let fields = [
            ("id", json!(job.id)),
            ("object", json!(job.api.object(true))),
            ("created", json!(unix_time().as_secs())),
            ("model", json!(job.model)),
            ("system_fingerprint", json!(server)),
        ];
        let mut head = "data: {".to_owned();
        for (name, value) in fields {
            // Writing to a string does not fail.
            let _ = write!(head, "\"{name}\":{value},");
        }
        let choices =
            job.answers.iter().map(|answer| Choice { answer: answer.clone(), sent: 0, cached_tokens: 0 });
        Self {
            api: job.api,
            generation,
            choices: choices.collect(),
            head,
            tail: if job.include_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" },
            continuous: job.continuous_usage.then_some(job.prompt_tokens),
            usage: job.include_usage.then(|| job.usage(0)),
            state: if cut { State::Cut } else { State::Opening },
        }
    }

    /// The next piece of the body, as [`futures::stream::unfold`] asks for it.
    pub async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        if self.state == State::Done {
            return None;
        }
        let mut out = String::new();
        let progress = self.generation.next().await;
        let Some(progress) = progress else {
            self.state = State::Done;
            return Some((Err(connection_lost().await), self));
        };
        if self.state == State::Cut && self.choices.iter().any(|choice| choice.sent > 0) {
            self.state = State::Done;
            return Some((Err(connection_lost().await), self));
        }
        if self.choices.iter().all(|choice| choice.sent == 0) {
            self.open(&mut out);
        }
        self.token(progress, &mut out);
        while self.state == State::Running
            && let Some(progress) = self.generation.ready()
        {
            self.token(progress, &mut out);
        }
        if self.generation.is_finished() {
            if self.state == State::Cut {
                self.state = State::Done;
                return Some((Err(connection_lost().await), self));
            }
            self.close(&mut out);
        }
        Some((Ok(out.into()), self))
    }

    /// A chat begins with one event for each choice that names the role.
    fn open(&mut self, out: &mut String) {
        if self.state == State::Opening {
            self.state = State::Running;
        }
        if self.api == Api::Chat {
            for index in 0..self.choices.len() {
                let _ = write!(
                    out,
                    "{}\"choices\":[{{\"index\":{index},\"delta\":{{\"role\":\"assistant\",\"content\":\"\"}},\
                     \"logprobs\":null,\"finish_reason\":null}}",
                    self.head
                );
                self.end_chunk(index, out);
            }
        }
    }

    fn token(&mut self, progress: Progress, out: &mut String) {
        let choice = &mut self.choices[progress.sequence];
        choice.cached_tokens = progress.cached_tokens;
        let content = match self.api {
            Api::Chat => "\"delta\":{\"content\":\"",
            Api::Completion => "\"text\":\"",
        };
        let _ = write!(out, "{}\"choices\":[{{\"index\":{},{content}", self.head, progress.sequence);
        choice.answer.text(choice.sent, progress.tokens, out);
        choice.sent = progress.tokens;
        out.push_str(if self.api == Api::Chat { "\"}" } else { "\"" });
        out.push_str(",\"logprobs\":null,\"finish_reason\":");
        if progress.finished {
            let stop = json!(choice.answer.stop_reason);
            let _ = write!(out, "\"{}\",\"stop_reason\":{stop}}}", choice.answer.finish_reason);
        } else {
            out.push_str("null}");
        }
        self.end_chunk(progress.sequence, out);
    }

    /// What comes behind the choice of a chunk; with the tokens of that choice up to now, if they are asked for.
    fn end_chunk(&self, index: usize, out: &mut String) {
        let Some(prompt) = self.continuous else {
            out.push_str(self.tail);
            return;
        };
        let made = self.choices[index].sent;
        let total = prompt + made;
        let _ = write!(
            out,
            "],\"usage\":{{\"prompt_tokens\":{prompt},\"total_tokens\":{total},\"completion_tokens\":{made}}}}}\n\n"
        );
    }

    fn close(&mut self, out: &mut String) {
        if let Some(mut usage) = self.usage.take() {
            let cached: u32 = self.choices.iter().map(|choice| choice.cached_tokens).sum();
            usage["prompt_tokens_details"]["cached_tokens"] = json!(cached);
            let _ = write!(out, "{}\"choices\":[],\"usage\":{usage}}}\n\n", self.head);
        }
        out.push_str("data: [DONE]\n\n");
        self.state = State::Done;
    }
}
