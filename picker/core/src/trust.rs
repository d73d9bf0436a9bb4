//! Which request headers are believed that say how a request is to be treated.

use crate::header;

/// What is believed. A plugin or a rule that reads such a header because its parameters name it is the author's own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The name of the InferenceObjective.
    pub objective: bool,
    /// On whose behalf a request is made.
    pub fairness_id: bool,
    /// How fast an answer has to be.
    pub slo: bool,
    /// The model under which a request goes on.
    pub model_rewrite: bool,
    /// Whether model servers get these headers.
    pub forward: bool,
}

impl Default for Trust {
    fn default() -> Self {
        Self { objective: true, fairness_id: true, slo: false, model_rewrite: false, forward: false }
    }
}

impl Trust {
    /// Whether `name` is a header that model servers don't get.
    #[inline]
    pub fn strips(&self, name: &str) -> bool {
        name.starts_with("x-") && is_control(name) && (!self.forward || self.ignores(name))
    }

    /// Whether the header `name` is not believed: then it does not go on either.
    fn ignores(&self, name: &str) -> bool {
        let named = |names: &[&str]| names.contains(&name);
        !self.objective && named(&header::OBJECTIVE)
            || !self.fairness_id && named(&header::FAIRNESS_ID)
            || !self.slo && named(&header::SLO)
            || !self.model_rewrite && named(&header::MODEL_REWRITE)
    }
}

fn is_control(name: &str) -> bool {
    [&header::OBJECTIVE[..], &header::FAIRNESS_ID, &header::SLO, &header::MODEL_REWRITE]
        .iter()
        .any(|names| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_headers_are_stripped_unless_they_are_to_go_on() {
        let names = [
            "x-llm-d-inference-objective",
            "x-gateway-inference-fairness-id",
            "x-slo-tpot-ms",
            "x-llm-d-model-name-rewrite",
            "x-request-id",
            "authorization",
        ];
        let stripped = |trust: Trust| names.map(|name| trust.strips(name));
        assert_eq!(stripped(Trust::default()), [true, true, true, true, false, false]);
        // Those that are not believed don't go on.
        let forwarding = Trust { forward: true, ..Trust::default() };
        assert_eq!(stripped(forwarding), [false, false, true, true, false, false]);
        assert_eq!(stripped(Trust { slo: true, model_rewrite: true, ..forwarding }), [false; 6]);
    }

    #[test]
    fn by_default_objective_and_fairness_are_believed_and_nothing_else() {
        let Trust { objective, fairness_id, slo, model_rewrite, forward } = Trust::default();
        assert_eq!([objective, fairness_id, slo, model_rewrite, forward], [true, true, false, false, false]);
    }
}
