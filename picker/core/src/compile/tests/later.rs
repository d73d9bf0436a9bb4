//! Parts of llm-d's configurations that this release takes without having them.

use super::*;

const QUEUES: &str =
    "has no effect: this release queues no requests, and each goes to a model server at once";

#[test]
fn flow_control_is_taken_with_a_warning() {
    let routing = yaml(
        "
plugins:
- {type: fcfs-ordering-policy, name: fcfs}
- {type: static-usage-limit-policy, parameters: {threshold: 0.9}}
- {type: queue-scorer}
flowControl:
  maxBytes: 1G
  maxRequests: 100
  defaultRequestTTL: 10s
  enableEviction: true
  usageLimitPolicyPluginRef: static-usage-limit-policy
  saturationDetector: {pluginRef: utilization-detector}
  defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}
  priorityBands:
  - {priority: 1, orderingPolicyRef: fcfs}
  - {priority: 2, maxRequests: 7}
dataLayer:
  crossReplicaSyncInterval: 200ms
",
    );
    let queues = "this release queues no requests";
    assert_eq!(
        warnings(&routing),
        [
            warning("plugins[0].type", &format!("fcfs-ordering-policy has no effect: {queues}")),
            warning("plugins[1].type", &format!("static-usage-limit-policy has no effect: {queues}")),
            warning("flowControl", QUEUES),
            warning(
                "dataLayer.crossReplicaSyncInterval",
                "has no effect: replicas of this picker tell each other nothing"
            ),
        ]
    );
}

#[test]
fn what_is_wrong_in_them_is_told_all_the_same() {
    let routing = yaml(
        "
plugins:
- {type: queue-scorer}
- {type: static-usage-limit-policy, parameters: {treshold: 0.9}}
flowControl:
  maxRequest: 100
  priorityBands:
  - {priority: 1, orderingPolicyRef: nobody}
  - {priority: 1}
",
    );
    let known = "maxBytes, maxRequests, defaultRequestTTL, noEndpointRequestTTL, enableEviction, usageLimitPolicyPluginRef, \
                 defaultPriorityBand, defaultNegativePriorityBand, saturationDetector, priorityBands";
    assert_eq!(
        errors(&routing, Scope::File),
        [
            error(
                "plugins[1].parameters.treshold",
                ErrorKind::UnknownField,
                "unknown field; the nearest is \"threshold\"; known here: threshold"
            ),
            error(
                "flowControl.maxRequest",
                ErrorKind::UnknownField,
                &format!("unknown field; the nearest is \"maxRequests\"; known here: {known}")
            ),
            error(
                "flowControl.priorityBands[0].orderingPolicyRef",
                ErrorKind::UnknownRef,
                "no plugin is called \"nobody\"; there are: queue-scorer, static-usage-limit-policy"
            ),
            error(
                "flowControl.priorityBands[1].priority",
                ErrorKind::Duplicate,
                "1 is the priority of an earlier band; each has its own"
            ),
        ]
    );
    // A RoutingStrategy has no such sections.
    let of_a_resource = json!({"plugins": [], "flowControl": {}});
    let known = "unknown field; known here: plugins, schedulingProfiles, health, explain, models, trust, requestHandler";
    assert_eq!(
        errors(&of_a_resource, Scope::Resource),
        [error("flowControl", ErrorKind::UnknownField, known)]
    );
}

#[test]
fn a_type_whose_absence_sends_requests_elsewhere_is_an_error_with_what_to_write() {
    let routing = json!({
        "plugins": [{"type": "precise-prefix-cache-scorer", "parameters": {"indexerConfig": {}}}, {"type": "queue-scorer"}],
        "schedulingProfiles": [{"name": "default", "plugins": [{"pluginRef": "precise-prefix-cache-scorer", "weight": 2}]}],
    });
    let message = "precise-prefix-cache-scorer is a type of llm-d's that is not built here: this release does not read the \
                   cache events of model servers; write prefix-cache-scorer, which keeps account of the prefixes itself";
    assert_eq!(errors(&routing, Scope::File), [error("plugins[0].type", ErrorKind::UnknownPlugin, message)]);
}

#[test]
fn what_has_no_part_in_a_profile_is_taken_there_with_a_warning() {
    let routing = json!({
        "plugins": [{"type": "queue-scorer"}, {"type": "approx-prefix-cache-producer"}, {"type": "random-picker"}],
        "schedulingProfiles": [{"name": "default", "plugins": [
            {"pluginRef": "queue-scorer"},
            {"pluginRef": "approx-prefix-cache-producer"},
            {"pluginRef": "random-picker", "weight": 1},
        ]}],
    });
    assert_eq!(
        warnings(&routing),
        [
            warning(
                "schedulingProfiles[0].plugins[1].pluginRef",
                "\"approx-prefix-cache-producer\" is no filter, scorer or picker, and works without being named here; take it \
                 out"
            ),
            warning(
                "schedulingProfiles[0].plugins[2].weight",
                "\"random-picker\" is no scorer: its weight has no effect; take it out"
            ),
        ]
    );
}
