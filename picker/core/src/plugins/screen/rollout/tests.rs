use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::RefusalKind;
use crate::endpoint::{EndpointId, EndpointSpec, Slots};
use crate::request::{Headers, Request};
use crate::strategy::Strategy as Compiled;
use crate::testing::{Instance, build, spec, strategy, unknown, view_of, with_headers};
use crate::view::{Address, View};

const KIND: &str = RolloutScreener::TYPE;
const REVISION: &str = "disaggregatedset.x-k8s.io/revision";
const ROLE: &str = "disaggregatedset.x-k8s.io/role";

/// Pods of the set `chat`, by revision and role; one of no revision where that is empty.
fn pods<'a>(rows: impl IntoIterator<Item = (&'a str, &'a str)>) -> View {
    let mut slots = Slots::default();
    view_of(rows.into_iter().zip(0..).map(|((revision, role), n)| {
        let labels = [("set", "chat"), (REVISION, revision), (ROLE, role)];
        let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Arc::new(slots.admit(EndpointSpec { labels, ..spec(n) }))
    }))
}

/// So many pods of each revision and role.
fn counts(counts: &[(&str, &str, usize)]) -> View {
    pods(counts.iter().flat_map(|&(revision, role, count)| std::iter::repeat_n((revision, role), count)))
}

/// In the middle of a rollout from `a` to `b`.
fn rollout() -> View {
    counts(&[("a", "prefill", 2), ("a", "decode", 9), ("b", "prefill", 1), ("b", "decode", 1)])
}

fn parameters(mode: &str) -> Value {
    json!({
        "scope": {"labelSelector": "set=chat"},
        "headerSelectors": [
            {"name": "revision", "headerName": "X-Revision", "labelKey": REVISION, "mode": "strict"},
            {"name": "role", "headerName": "x-role", "labelKey": ROLE, "mode": "prefer"},
        ],
        "revisionGating": {"mode": mode, "requireRoles": {"values": ["prefill", "decode"]}},
    })
}

/// What the screener leaves of `view`, by its draw.
fn left(parameters: Value, view: &View, request: &Request, seed: u64) -> Vec<usize> {
    let mut screener = Instance::new(KIND, parameters).unwrap();
    screener.cx = Cx::new(Instant::now(), seed);
    screener.kept(request, view)
}

/// The revisions of what is left, as a text.
fn revisions(view: &View, left: &[usize]) -> String {
    let mut of: Vec<_> = left.iter().map(|&i| view.endpoints[i].labels[REVISION].as_str()).collect();
    of.dedup();
    of.concat()
}

#[rstest]
#[case::sum("sum", 2.0 / 13.0)]
#[case::max_role("max-role", 0.1)]
fn a_revision_is_drawn_in_proportion_to_its_pods(#[case] mode: &str, #[case] share: f64) {
    let (view, request, mut screener) =
        (rollout(), Request::default(), Instance::new(KIND, parameters(mode)).unwrap());
    let mut drawn = BTreeMap::<String, u32>::new();
    for seed in 0..20_000 {
        screener.cx = Cx::new(Instant::now(), seed);
        let left = screener.kept(&request, &view);
        let revision = revisions(&view, &left);
        assert_eq!(left.len(), if revision == "a" { 11 } else { 2 }, "{revision}");
        *drawn.entry(revision).or_default() += 1;
    }
    let found = f64::from(drawn["b"]) / 20_000.0;
    assert_eq!(drawn.len(), 2);
    assert!((found - share).abs() < 0.01, "{found}");
}

#[rstest]
// Of the steps of a rollout of 2 prefill and 10 decode pods.
#[case::nothing_new(&[("a", "prefill", 2), ("a", "decode", 8)], "a")]
#[case::new_decode_alone(&[("a", "prefill", 2), ("a", "decode", 8), ("b", "decode", 2)], "a")]
#[case::both(&[("a", "prefill", 1), ("a", "decode", 6), ("b", "prefill", 1), ("b", "decode", 4)], "ab")]
#[case::old_decode_alone(&[("a", "decode", 2), ("b", "prefill", 2), ("b", "decode", 10)], "b")]
#[case::nobody_complete(&[("a", "decode", 8), ("b", "prefill", 2)], "")]
#[case::no_revisions(&[("", "decode", 8), ("", "prefill", 2)], "")]
#[case::some_without_a_revision(&[("", "decode", 8), ("b", "prefill", 1), ("b", "decode", 1)], "b")]
#[case::another_role(&[("a", "prefill", 1), ("a", "decode", 1), ("a", "encode", 1), ("b", "encode", 3)], "a")]
fn what_is_not_complete_gets_nothing(#[case] rows: &[(&str, &str, usize)], #[case] expected: &str) {
    let view = counts(rows);
    for mode in ["sum", "max-role"] {
        let mut seen: Vec<_> = (0..200)
            .map(|seed| {
                let left = left(parameters(mode), &view, &Request::default(), seed);
                let revision = revisions(&view, &left);
                // All of it: other roles too.
                let all = view.endpoints.iter().filter(|e| e.labels.get(REVISION) == Some(&revision));
                assert_eq!(left.len(), all.count());
                revision
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.concat(), expected, "{mode}");
    }
}

#[test]
fn the_share_of_a_rollout_follows_the_largest_role() {
    // Old and new pods at three steps, and the share of the new ones.
    for (old, new, share) in [((1, 6), (1, 4), 0.4), ((1, 4), (1, 6), 0.6), ((1, 2), (1, 8), 0.8)] {
        let view = counts(&[
            ("a", "prefill", old.0),
            ("a", "decode", old.1),
            ("b", "prefill", new.0),
            ("b", "decode", new.1),
        ]);
        let mut screener = Instance::new(KIND, parameters("max-role")).unwrap();
        let drawn = (0..10_000).filter(|&seed| {
            screener.cx = Cx::new(Instant::now(), seed);
            revisions(&view, &screener.kept(&Request::default(), &view)) == "b"
        });
        let found = drawn.count() as f64 / 10_000.0;
        assert!((found - share).abs() < 0.02, "{found} {share}");
    }
}

#[test]
fn a_pod_with_several_ranks_counts_once_and_one_out_of_scope_not_at_all() {
    let mut slots = Slots::default();
    let mut endpoint = |pod: u8, rank: u8, set: &str, revision: &str, role: &str| {
        let labels = [("set", set), (REVISION, revision), (ROLE, role)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let EndpointId { pod_uid, port, .. } = spec(pod).id;
        let id = EndpointId { pod_uid, port: port + u16::from(rank), rank };
        Arc::new(slots.admit(EndpointSpec { id, labels, ..spec(pod) }))
    };
    let mut endpoints = vec![endpoint(0, 0, "chat", "a", "prefill"), endpoint(1, 0, "chat", "b", "prefill")];
    endpoints.extend((0..8).map(|rank| endpoint(2, rank, "chat", "a", "decode")));
    endpoints.push(endpoint(3, 0, "chat", "b", "decode"));
    // Served all the same, with the others of its revision.
    endpoints.push(endpoint(4, 0, "other", "b", "decode"));
    let view = view_of(endpoints);
    let mut screener = Instance::new(KIND, parameters("sum")).unwrap();
    let drawn = (0..10_000).filter(|&seed| {
        screener.cx = Cx::new(Instant::now(), seed);
        let left = screener.kept(&Request::default(), &view);
        let is_new = revisions(&view, &left) == "b";
        assert_eq!(left.len(), if is_new { 3 } else { 9 });
        is_new
    });
    let found = drawn.count() as f64 / 10_000.0;
    assert!((found - 0.5).abs() < 0.02, "{found}");
}

#[rstest]
#[case::asked_for("sum", "b", &[11, 12])]
#[case::the_usual_one("max-role", "a", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])]
#[case::nobody("sum", "c", &[])]
#[case::a_part_of_a_name("sum", "", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])]
#[case::without_gating("disabled", "b", &[11, 12])]
#[case::nobody_without_gating("disabled", "10.0.0.1:8000", &[])]
fn a_strict_header_leaves_those_with_the_label_alone(
    #[case] mode: &str,
    #[case] revision: &str,
    #[case] expected: &[usize],
) {
    // The draw of this seed is a.
    let request = with_headers([("x-revision", revision), ("x-role", "nobody")]);
    assert_eq!(left(parameters(mode), &rollout(), &request, 1), expected);
}

/// Otherwise a prefill and a decode server of one request could be of two revisions.
#[test]
fn a_strict_header_about_another_label_leaves_one_revision_still() {
    let mut parameters = parameters("sum");
    parameters["headerSelectors"][1]["mode"] = json!("strict");
    let request = with_headers([("x-role", "decode")]);
    let drawn: BTreeMap<_, _> = (0..32)
        .map(|seed| left(parameters.clone(), &rollout(), &request, seed))
        .map(|left| (revisions(&rollout(), &left), left))
        .collect();
    let of = |revision: &str| drawn[revision].clone();
    assert_eq!((drawn.len(), of("a"), of("b")), (2, (2..11).collect(), vec![12]));
}

#[test]
fn a_revision_that_is_not_complete_cannot_be_asked_for() {
    let view = counts(&[("a", "prefill", 1), ("a", "decode", 1), ("b", "decode", 2)]);
    let request = with_headers([("x-revision", "b")]);
    assert_eq!(left(parameters("sum"), &view, &request, 1), [0; 0]);
    assert_eq!(left(parameters("disabled"), &view, &request, 1), [2, 3]);
    assert_eq!(left(parameters("disabled"), &view, &Request::default(), 1), [0, 1, 2, 3]);
}

#[test]
fn bytes_that_are_no_text_ask_for_nobody() {
    let headers = Headers(vec![(Bytes::from("x-revision"), Bytes::from_static(b"\xff\0a"))]);
    let request = Request { headers, ..Request::default() };
    assert_eq!(left(parameters("sum"), &rollout(), &request, 1), [0; 0]);
}

/// Disaggregated serving behind the screener.
fn disaggregated(mode: &str) -> Arc<Compiled> {
    let filter = |role: &str| json!({"type": "label-selector-filter", "name": role, "parameters": {"matchLabels": {ROLE: role}}});
    strategy(
        &json!({
            "plugins": [
                {"type": KIND, "parameters": parameters(mode)},
                {"type": "disagg-profile-handler", "parameters": {"deciders": {"prefill": "always-disagg-pd-decider"}}},
                {"type": "always-disagg-pd-decider"},
                filter("decode"), filter("prefill"),
                {"type": "random-picker"},
            ],
            "schedulingProfiles": [
                {"name": "decode", "plugins": [{"pluginRef": "decode"}]},
                {"name": "prefill", "plugins": [{"pluginRef": "prefill"}]},
            ],
        })
        .to_string(),
    )
}

#[test]
fn no_request_is_served_by_two_revisions() {
    let (view, strategy) = (rollout(), disaggregated("max-role"));
    let mut seen = BTreeMap::<&str, u32>::new();
    for seed in 0..2000 {
        let flight =
            strategy.route(&Request::default(), &view, None, &mut Cx::new(Instant::now(), seed)).unwrap();
        let prefill =
            flight.edits().headers().iter().find(|(name, _)| name == "x-prefiller-host-port").unwrap();
        let prefill = view.endpoints.iter().find(|e| e.destination.as_bytes() == &prefill.1[..]).unwrap();
        let [prefill, decode] = [prefill, flight.endpoint()].map(|e| &e.labels[REVISION]);
        assert_eq!(prefill, decode);
        *seen.entry(if decode == "a" { "a" } else { "b" }).or_default() += 1;
    }
    assert!((1700..1900).contains(&seen["a"]), "{seen:?}");
}

#[test]
fn a_request_for_which_nobody_is_left_is_refused_as_without_endpoints() {
    let (view, strategy) = (rollout(), disaggregated("sum"));
    let mut cx = Cx::new(Instant::now(), 1);
    let request = with_headers([("x-revision", "c")]);
    let refusal = strategy.route(&request, &view, None, &mut cx).err().unwrap();
    assert_eq!((refusal.kind, refusal.kind.row().status), (RefusalKind::NoEndpoints, 503));
    // A gateway may leave a part of the pool: the draw is among the revisions that are left.
    let subset: Vec<Address> = [11, 12].map(|i: usize| view.endpoints[i].address.into()).into();
    for seed in 0..20 {
        let mut cx = Cx::new(Instant::now(), seed);
        let flight = strategy.route(&Request::default(), &view, Some(&subset), &mut cx).unwrap();
        assert_eq!(flight.endpoint().labels[REVISION], "b");
    }
}

#[test]
fn a_session_keeps_its_revision_and_moves_once_in_a_rollout() {
    let mut parameters = parameters("max-role");
    parameters["revisionGating"]["sessionHeaderName"] = json!("X-Session");
    let mut screener = Instance::new(KIND, parameters).unwrap();
    let mut moved = 0;
    let mut of = vec!["a".to_owned(); 1000];
    for new in [0, 1, 3, 5, 9, 10] {
        let old = 10 - new;
        let role = |n: usize| n.min(1);
        let view = counts(&[
            ("a", "prefill", role(old)),
            ("a", "decode", old),
            ("b", "prefill", role(new)),
            ("b", "decode", new),
        ]);
        for (n, of) in of.iter_mut().enumerate() {
            let request = with_headers([("x-session", n.to_string().as_str())]);
            let now = revisions(&view, &screener.kept(&request, &view));
            assert_eq!(revisions(&view, &screener.kept(&request, &view)), now);
            // Never back.
            assert!(*of <= now, "{n}: {of} {now}");
            moved += u32::from(*of != now);
            *of = now;
        }
        let share = of.iter().filter(|of| *of == "b").count() as f64 / 1000.0;
        assert!((share - new as f64 / 10.0).abs() < 0.05, "{new}: {share}");
    }
    assert_eq!(moved, 1000);
    // What a header asks for goes before, and without a session each request is drawn by itself.
    let view = rollout();
    let request = with_headers([("x-session", "1"), ("x-revision", "b")]);
    assert_eq!(screener.kept(&request, &view), [11, 12]);
    let mut drawn: Vec<_> = (0..200)
        .map(|_| revisions(&view, &screener.kept(&with_headers([("x-session", " ")]), &view)))
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn, ["a", "b"]);
}

#[test]
fn the_count_follows_the_endpoints() {
    let (before, after) =
        (rollout(), counts(&[("a", "prefill", 1), ("b", "prefill", 1), ("b", "decode", 1)]));
    let mut screener = Instance::new(KIND, parameters("sum")).unwrap();
    for _ in 0..20 {
        assert!(!screener.kept(&Request::default(), &before).is_empty());
        assert_eq!(screener.kept(&Request::default(), &after), [1, 2]);
    }
    drop(before);
    assert_eq!(screener.kept(&Request::default(), &unknown(3)), [0; 0]);
}

/// The response headers of a request that goes to the first of `view`, when `served` serves.
fn stamped(view: &View, served: Option<&str>) -> Vec<(String, String)> {
    let strategy =
        strategy(&json!({"plugins": [{"type": KIND, "parameters": parameters("disabled")}]}).to_string());
    let first = [Address::from(view.endpoints[0].address)];
    let mut cx = Cx::new(Instant::now(), 1);
    let mut flight = strategy.route(&Request::default(), view, Some(&first), &mut cx).unwrap();
    let (headers, served) = (Headers::default(), served.map(|address| address.parse().unwrap()));
    let edits = flight.head(&ResponseHead { status: Some(200), headers: &headers, served });
    let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
    edits.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

#[test]
fn responses_tell_the_labels_of_who_served() {
    let view = pods([("a", "decode"), ("b", "prefill"), ("", ""), ("c\nd", "ö")]);
    let told = |revision: &str, role: &str| {
        [("x-revision", revision), ("x-role", role)].map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    assert_eq!(stamped(&view, None), told("a", "decode"));
    assert_eq!(stamped(&view, Some("10.0.0.1:8000")), told("b", "prefill"));
    // Somebody whom the pool does not know.
    assert_eq!(stamped(&view, Some("10.9.9.9:8000")), told("a", "decode"));
    // Those without labels, and with values that no header can have.
    assert_eq!(stamped(&view, Some("10.0.0.2:8000")), []);
    assert_eq!(stamped(&view, Some("10.0.0.3:8000")), []);
}

#[test]
fn without_headers_nobody_watches() {
    let mut parameters = parameters("sum");
    parameters["headerSelectors"] = json!([]);
    assert_eq!(build(KIND, parameters).unwrap().played(), [Role::Screener]);
}

#[rstest]
#[case("scope", json!({"labelSelector": ""}), "scope.labelSelector: \"\" is no requirement of a label selector; write key=value, key!=value, key in (a,b), key notin (a,b), key or !key")]
#[case("headerSelectors", json!([{"name": "", "headerName": "a", "labelKey": "b", "mode": "strict"}]), "headerSelectors[0].name: must not be empty")]
#[case("headerSelectors", json!([{"name": "a", "headerName": ":path", "labelKey": "b", "mode": "strict"}]), "headerSelectors[0].headerName: \":path\" is no name of a header")]
#[case("headerSelectors", json!([{"name": "a", "headerName": "a", "labelKey": "b", "mode": "strict"}, {"name": "b", "headerName": "A", "labelKey": "b", "mode": "prefer"}]), "headerSelectors[1].headerName: \"a\" is the header of an earlier selector; give each its own")]
#[case("headerSelectors", json!([{"name": "a", "headerName": "a", "labelKey": "b", "mode": "strict"}, {"name": "a", "headerName": "b", "labelKey": "b", "mode": "prefer"}]), "headerSelectors[1].name: \"a\" is the name of an earlier selector; give each its own")]
#[case("revisionGating", json!({"mode": "sum", "sessionHeaderName": "a b"}), "revisionGating.sessionHeaderName: \"a b\" is no name of a header")]
#[case("revisionGating", json!({"mode": "sum"}), "revisionGating.requireRoles: is required unless the mode is disabled")]
#[case("revisionGating", json!({"mode": "sum", "requireRoles": {"values": []}}), "revisionGating.requireRoles.values: must have at least one role")]
#[case("revisionGating", json!({"mode": "sum", "requireRoles": {"values": ["a", ""]}}), "revisionGating.requireRoles.values[1]: must not be empty")]
#[case("revisionGating", json!({"mode": "sum", "requireRoles": {"values": ["a", "a"]}}), "revisionGating.requireRoles.values[1]: \"a\" is there twice; take one out")]
#[case("revisionGating", json!({"mode": "sum", "requireRoles": {"values": vec!["a"; 65]}}), "revisionGating.requireRoles.values: has 65 roles, more than 64")]
fn wrong_parameters_are_named(#[case] field: &str, #[case] value: Value, #[case] expected: &str) {
    let mut parameters = parameters("sum");
    parameters[field] = value;
    let error = build(KIND, parameters).err().map(|e| e.to_string());
    assert_eq!(error, Some(format!("plugins[0].parameters.{expected}")));
}

/// The published rule, in its own words: shares of the complete revisions by name, and the first whose cumulated share
/// exceeds the draw.
fn published(pods: &[(&str, &str)], roles: &[&str], max_role: bool, draw: f64) -> Option<String> {
    let count = |revision: &str, role: &str| pods.iter().filter(|pod| **pod == (revision, role)).count();
    let mut names: Vec<_> = pods.iter().map(|pod| pod.0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| roles.iter().all(|role| count(name, role) > 0));
    let mut dominant = roles[0];
    let total = |role: &str| names.iter().map(|name| count(name, role)).sum::<usize>();
    for role in roles {
        if total(role) > total(dominant) {
            dominant = role;
        }
    }
    let weight = |name: &str| {
        if max_role { count(name, dominant) } else { roles.iter().map(|role| count(name, role)).sum() }
    };
    let all: usize = names.iter().map(|name| weight(name)).sum();
    let mut cumulated = 0.0;
    for name in &names {
        cumulated += weight(name) as f64 / all as f64;
        if draw < cumulated - 1e-9 {
            return Some((*name).to_owned());
        }
    }
    names.last().map(|name| (*name).to_owned())
}

proptest! {
    #[test]
    fn the_published_rule_holds(
        rows in prop::collection::vec((0..4_usize, 0..4_usize), 1..24),
        roles in 1..=3_usize,
        max_role in any::<bool>(),
        seed in any::<u64>(),
    ) {
        const NAMES: [&str; 4] = ["", "a", "b", "c"];
        let rows: Vec<_> = rows.into_iter().map(|(revision, role)| (NAMES[revision], NAMES[role])).collect();
        let roles = ["b", "a", "c"].split_at(roles).0;
        let view = pods(rows.iter().copied());
        let mut parameters = parameters(if max_role { "max-role" } else { "sum" });
        parameters["revisionGating"]["requireRoles"]["values"] = json!(roles);
        let left = left(parameters, &view, &Request::default(), seed);
        let draw = Cx::new(Instant::now(), seed).unit();
        let expected = published(&rows, roles, max_role, draw);
        let of: Vec<_> = rows.iter().enumerate().filter(|(_, row)| Some(row.0) == expected.as_deref()).map(|(i, _)| i).collect();
        prop_assert_eq!(left, of);
    }
}
