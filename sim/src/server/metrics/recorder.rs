//! What the server counts of its engine's work.

use std::sync::Arc;

use super::histogram::{FIRST_TOKEN, Histogram, OUTPUT_TOKEN, REQUEST, TOKENS};
use crate::engine::{Counters, Engine, Finished, LoraId};
use crate::server::models::unix_time;

/// Sets of adapters whose last sight is remembered, at most.
const MAX_LORA_SETS: usize = 64;

/// Totals that the engine itself does not keep. Part of the task that drives the engine.
#[derive(Clone, Debug)]
pub(in crate::server) struct Recorder {
    lora_names: Arc<[String]>,
    totals: Totals,
    /// The sets of adapters seen, with the time. vLLM never forgets a set: readers must take the newest.
    lora_sets: Vec<LoraSet>,
    current_loras: (Vec<LoraId>, Vec<LoraId>),
}

/// Totals of finished requests.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    pub stopped: u64,
    pub cut_by_length: u64,
    pub aborted: u64,
    pub prompt_tokens: u64,
    pub first_token: Histogram,
    pub output_token: Histogram,
    pub request: Histogram,
    pub queue: Histogram,
    pub prefill: Histogram,
    pub decode: Histogram,
    pub prompt_length: Histogram,
    pub output_length: Histogram,
}

/// Adapters that ran or waited at the same time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LoraSet {
    /// Names, with commas.
    pub running: String,
    /// Names, with commas.
    pub waiting: String,
    /// Unix time in seconds when it was last so.
    pub seen: f64,
}

/// The metrics of one moment.
#[derive(Clone, Debug)]
pub(in crate::server) struct Snapshot {
    pub(super) running: usize,
    pub(super) waiting: usize,
    pub(super) kv_usage: f64,
    pub(super) counters: Counters,
    pub(super) totals: Totals,
    pub(super) lora_sets: Vec<LoraSet>,
}

impl Recorder {
    /// Nothing seen yet. `lora_names` gives the adapters' names by number.
    pub fn new(lora_names: Arc<[String]>) -> Self {
        let totals = Totals {
            stopped: 0,
            cut_by_length: 0,
            aborted: 0,
            prompt_tokens: 0,
            first_token: Histogram::new(FIRST_TOKEN),
            output_token: Histogram::new(OUTPUT_TOKEN),
            request: Histogram::new(REQUEST),
            queue: Histogram::new(REQUEST),
            prefill: Histogram::new(REQUEST),
            decode: Histogram::new(REQUEST),
            prompt_length: Histogram::new(TOKENS),
            output_length: Histogram::new(TOKENS),
        };
        Self { lora_names, totals, lora_sets: Vec::new(), current_loras: Default::default() }
    }

    pub fn finished(&mut self, finished: &Finished, reason: &str) {
        let totals = &mut self.totals;
        if reason == "stop" {
            totals.stopped += 1;
        } else {
            totals.cut_by_length += 1;
        }
        let Finished { prompt_tokens, output_tokens, arrived, admitted, first_token, ended } = *finished;
        totals.prompt_tokens += u64::from(prompt_tokens);
        totals.prompt_length.observe(f64::from(prompt_tokens));
        totals.output_length.observe(f64::from(output_tokens));
        totals.first_token.observe((first_token - arrived).as_secs_f64());
        totals.request.observe((ended - arrived).as_secs_f64());
        totals.queue.observe((admitted - arrived).as_secs_f64());
        totals.prefill.observe((first_token - admitted).as_secs_f64());
        let decode = (ended - first_token).as_secs_f64();
        totals.decode.observe(decode);
        if output_tokens > 1 {
            totals.output_token.observe(decode / f64::from(output_tokens - 1));
        }
    }

    pub fn aborted(&mut self) {
        self.totals.aborted += 1;
    }

    /// Notes which adapters run and wait now.
    pub fn loras(&mut self, engine: &Engine) {
        if self.lora_names.is_empty() {
            return;
        }
        let current = (engine.running_loras(), engine.waiting_loras());
        if current == self.current_loras && !self.lora_sets.is_empty() {
            return;
        }
        self.touch_current();
        self.current_loras = current;
        self.touch_current();
    }

    fn touch_current(&mut self) {
        let names = |loras: &[LoraId]| {
            let names: Vec<&str> = loras
                .iter()
                .filter_map(|lora| self.lora_names.get(lora.0 as usize))
                .map(String::as_str)
                .collect();
            names.join(",")
        };
        let (running, waiting) = (names(&self.current_loras.0), names(&self.current_loras.1));
        // Whoever reads the newest must find but one.
        let newest = self.lora_sets.iter().map(|set| set.seen).fold(0.0, f64::max);
        let seen = unix_time().as_secs_f64().max(newest + 1e-6);
        match self.lora_sets.iter_mut().find(|set| set.running == running && set.waiting == waiting) {
            Some(set) => set.seen = seen,
            None => {
                if self.lora_sets.len() == MAX_LORA_SETS {
                    self.lora_sets.remove(0);
                }
                self.lora_sets.push(LoraSet { running, waiting, seen });
            }
        }
    }

    pub fn snapshot(&mut self, engine: &Engine) -> Snapshot {
        // Requests may have come since the last step.
        self.loras(engine);
        if !self.lora_sets.is_empty() && engine.running() > 0 {
            self.touch_current();
        }
        Snapshot {
            running: engine.running(),
            waiting: engine.waiting(),
            kv_usage: engine.kv_usage(),
            counters: engine.counters(),
            totals: self.totals.clone(),
            lora_sets: self.lora_sets.clone(),
        }
    }
}
