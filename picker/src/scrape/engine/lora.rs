//! The LoRA adapters of vLLM, which are labels of a series whose value is a Unix time. vLLM makes a new series for each
//! combination and never takes one back, so the newest one is the truth.

use picker_core::view::LoraState;

use crate::scrape::labels::Labels;

/// The most adapters, running or waiting, that a server is believed to have.
const MOST: usize = 1024;

/// The state that the newest series says, with its time; no state when it names too many adapters.
pub(super) type Newest = Option<(f64, Option<LoraState>)>;

pub(super) fn newest(known: &mut Newest, labels: &Labels<'_>, time: f64) {
    if known.as_ref().is_some_and(|(newest, _)| *newest > time) {
        return;
    }
    let adapters = |name| -> Option<Vec<Box<str>>> {
        let list = labels.get(name).unwrap_or_default();
        let names = || list.split(',').map(str::trim).filter(|name| !name.is_empty());
        (names().count() <= MOST).then(|| names().map(Box::from).collect())
    };
    let state = || {
        Some(LoraState {
            max: labels.get("max_lora").and_then(|max| max.trim().parse().ok()).unwrap_or(0),
            running: adapters("running_lora_adapters")?,
            waiting: adapters("waiting_lora_adapters")?,
        })
    };
    *known = Some((time, state()));
}
