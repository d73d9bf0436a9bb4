//! The meaning of labels: what the series of one metric are to each other, by engine.
//!
//! A page of metrics may tell one figure in several series. Some are parts of a whole and add up, some say the same
//! thing again, and some are the whole beside its parts. Which of these it is, is told by the names of their labels.
//!
//! Sources: SGLang's `SchedulerMetricsCollector` (labels `tp_rank`, `pp_rank`, `moe_ep_rank`, `dp_rank`, and `priority`,
//! which is empty on the total; pull requests 7597, 17026 and 38825), vLLM's `PrometheusStatLogger` (`engine` is the rank of
//! data parallelism), Triton's metrics page (`model` and `version`).

/// The meaning of a label for the series that differ in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Each value is a part of the server: numbers of requests and blocks add up, shares are averaged.
    Part,
    /// Each value says the same thing again, as ranks of one group do that computes the same requests: the series of the
    /// lowest rank counts.
    Repetition,
    /// Each value is a part of a total that is told too, by the series where the label is empty or missing: this one
    /// counts, and where it isn't there the parts add up.
    Breakdown,
}

/// The meaning of a label that no table has: its values are parts.
pub const UNKNOWN: Meaning = Meaning::Part;

/// Labels that mean the same in every engine that has them.
const ALL: [(&str, Meaning); 14] = [
    // Data parallelism: each rank has requests and a cache of its own.
    ("dp_rank", Meaning::Part),
    ("attn_dp_rank", Meaning::Part),
    // Parallelism within the computation of the same requests: tensor, pipeline, expert and context.
    ("tp_rank", Meaning::Repetition),
    ("attn_tp_rank", Meaning::Repetition),
    ("moe_tp_rank", Meaning::Repetition),
    ("pp_rank", Meaning::Repetition),
    ("ep_rank", Meaning::Repetition),
    ("moe_ep_rank", Meaning::Repetition),
    ("cp_rank", Meaning::Repetition),
    ("attn_cp_rank", Meaning::Repetition),
    ("dcp_rank", Meaning::Repetition),
    ("pcp_rank", Meaning::Repetition),
    ("priority", Meaning::Breakdown),
    ("model_name", Meaning::Part),
];

/// Labels of single engines, by their names.
const OWN: [(&str, &[(&str, Meaning)]); 5] = [
    ("vllm", &[("engine", Meaning::Part)]),
    ("sglang", &[("engine_type", Meaning::Part)]),
    ("trtllm-serve", &[("engine_type", Meaning::Part)]),
    ("triton-tensorrt-llm", &[("model", Meaning::Part), ("version", Meaning::Part)]),
    ("triton", &[("model", Meaning::Part), ("version", Meaning::Part)]),
];

/// The labels whose meaning is known in pages of `engine`; those of an engine that is not known are what all have.
pub fn meanings(engine: &str) -> impl Iterator<Item = (&'static str, Meaning)> {
    let own = OWN.iter().find(|(name, _)| *name == engine).map_or(&[][..], |(_, own)| own);
    own.iter().chain(&ALL).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_one_meaning_and_every_engine_its_labels() {
        for engine in super::super::builtin::engines() {
            let mut names: Vec<_> = meanings(&engine.name).map(|(name, _)| name).collect();
            let all = names.len();
            assert!(all > ALL.len(), "{}", engine.name);
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{}", engine.name);
        }
        assert_eq!(meanings("my-engine").count(), ALL.len());
    }
}
