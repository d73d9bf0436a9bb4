use std::time::Duration;

use serde_json::json;

use super::*;
use crate::deep_json::deep;
use crate::fake_api::{self, Answer};
use crate::view;

/// A ready pod, with changes as a mapping of its top-level fields.
fn json(name: &str, uid: &str, ip: &str, changes: &str) -> serde_json::Value {
    let text = format!(
        "metadata:\n  name: {name}\n  namespace: llm\n  uid: {uid}\n  labels: {{app: vllm}}\n\
         status:\n  podIP: {ip}\n  conditions:\n  - {{type: ContainersReady, status: 'False'}}\n  - {{type: Ready, status: 'True'}}\n"
    );
    let mut value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let changes: serde_json::Value = serde_saphyr::from_str(changes).unwrap();
    merge(&mut value, changes);
    // As a hostile neighbour may make it.
    value["metadata"]["managedFields"] = json!([{"manager": "m", "fieldsV1": deep()}]);
    value["spec"] = deep();
    value
}

fn pod(name: &str, uid: &str, ip: &str, changes: &str) -> SeenPod {
    serde_json::from_str(&json(name, uid, ip, changes).to_string()).unwrap()
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            from.into_iter()
                .for_each(|(key, value)| merge(into.entry(key).or_insert(serde_json::Value::Null), value));
        }
        (into, from) => *into = from,
    }
}

fn spec(name: &str, uid: &str, address: &str, rank: u8) -> EndpointSpec {
    let address: SocketAddr = address.parse().unwrap();
    EndpointSpec {
        id: EndpointId { pod_uid: uid.into(), port: address.port(), rank },
        pod: name.to_owned(),
        namespace: "llm".to_owned(),
        address,
        labels: Labels::from([("app".to_owned(), "vllm".to_owned())]),
    }
}

fn endpoints(pod: &SeenPod, ports: &[u16]) -> Vec<EndpointSpec> {
    ReadyPod::read(pod)
        .map(|pod| pod.endpoints(ports, None).map(|wanted| wanted.spec).collect())
        .unwrap_or_default()
}

#[test]
fn each_port_of_a_ready_pod_is_an_endpoint() {
    let pod = pod("a", "u1", "10.0.0.7", "{}");
    assert_eq!(
        endpoints(&pod, &[8000, 8001]),
        [spec("a", "u1", "10.0.0.7:8000", 0), spec("a", "u1", "10.0.0.7:8001", 1)]
    );
}

#[test]
fn ipv6_addresses_are_taken() {
    assert_eq!(
        endpoints(&pod("a", "u1", "'fd00::7'", "{}"), &[8000]),
        [spec("a", "u1", "[fd00::7]:8000", 0)]
    );
}

#[test]
fn pods_that_must_not_be_named() {
    for changes in [
        "{status: {conditions: [{type: Ready, status: 'False'}]}}",
        "{status: {conditions: []}}",
        "{status: {podIP: null}}",
        "{status: {podIP: nonsense}}",
        "{metadata: {deletionTimestamp: '2026-11-21T10:00:00Z'}}",
        "{status: null}",
    ] {
        assert_eq!(endpoints(&pod("a", "u1", "10.0.0.7", changes), &[8000]), [], "{changes}");
    }
}

#[test]
fn an_annotation_limits_the_ports_and_ranks_stay() {
    for name in ACTIVE_PORTS {
        let changes = format!("{{metadata: {{annotations: {{{name}: '8001, 8002,x'}}}}}}");
        let pod = pod("a", "u1", "10.0.0.7", &changes);
        assert_eq!(
            endpoints(&pod, &[8000, 8001, 8002]),
            [spec("a", "u1", "10.0.0.7:8001", 1), spec("a", "u1", "10.0.0.7:8002", 2)]
        );
    }
}

/// A pod in the network of its node, which declares `ports` and is ready or not.
fn on_host(name: &str, ip: &str, ports: &[u16], ready: bool) -> SeenPod {
    let mut pod = json(name, name, ip, "{}");
    let ports: Vec<_> = ports.iter().map(|port| json!({"containerPort": port})).collect();
    pod["spec"] = json!({"hostNetwork": true, "containers": [{"ports": ports}], "volumes": deep()});
    pod["status"]["conditions"][1]["status"] = if ready { "True" } else { "False" }.into();
    serde_json::from_str(&pod.to_string()).unwrap()
}

fn owners(pods: &Pods) -> Vec<String> {
    pods.endpoints(&[8000, 8001])
        .iter()
        .map(|wanted| format!("{} {}", wanted.spec.pod, wanted.spec.address))
        .collect()
}

#[test]
fn a_port_of_a_node_is_that_of_the_pod_that_declares_it() {
    let mut pods = Pods::default();
    pods.apply(watcher::Event::Apply(on_host("decode", "10.0.0.7", &[8000], true)));
    // As long as it is alone, all ports may be its own: ranks need not be declared.
    assert_eq!(owners(&pods), ["decode 10.0.0.7:8000", "decode 10.0.0.7:8001"]);
    // One that is not ready has its port too.
    assert!(pods.apply(watcher::Event::Apply(on_host("prefill", "10.0.0.7", &[8001], false))));
    assert_eq!(owners(&pods), ["decode 10.0.0.7:8000"]);
    assert!(pods.apply(watcher::Event::Apply(on_host("prefill", "10.0.0.7", &[8001], true))));
    assert_eq!(owners(&pods), ["decode 10.0.0.7:8000", "prefill 10.0.0.7:8001"]);
    // Its rank is its place among the pool's ports, as of any endpoint.
    assert_eq!(pods.endpoints(&[8000, 8001])[1].spec.id.rank, 1);
    pods.apply(watcher::Event::Apply(on_host("elsewhere", "10.0.0.8", &[8000], true)));
    assert_eq!(owners(&pods).len(), 4);
    assert_eq!(pods.unclear(&[8000, 8001]), Vec::<String>::new());
    let mut failed = on_host("prefill", "10.0.0.7", &[8001], false);
    failed.status.as_mut().unwrap().phase = Some("Failed".to_owned());
    pods.apply(watcher::Event::Apply(failed));
    assert_eq!(owners(&pods)[..2], ["decode 10.0.0.7:8000", "decode 10.0.0.7:8001"]);
    pods.apply(watcher::Event::Apply(on_host("prefill", "10.0.0.7", &[8001], true)));
    assert!(pods.apply(watcher::Event::Delete(on_host("prefill", "10.0.0.7", &[8001], true))));
    assert_eq!(owners(&pods)[..2], ["decode 10.0.0.7:8000", "decode 10.0.0.7:8001"]);
}

/// However many pods say that they are on one node.
#[test]
fn twice_as_many_pods_of_a_node_take_twice_as_much() {
    let taken = |count: usize| {
        let mut pods = Pods::default();
        for n in 0..count {
            pods.apply(watcher::Event::Apply(on_host(&format!("pod-{n}"), "10.0.0.7", &[], n % 2 == 0)));
        }
        let info = allocation_counter::measure(|| {
            assert_eq!(pods.endpoints(&[8000]).len(), count / 2);
            assert_eq!(pods.unclear(&[8000]).len(), count / 2);
        });
        info.bytes_total
    };
    let (one, two) = (taken(40), taken(80));
    assert!(two < 5 * one / 2, "{two} bytes after {one}");
}

#[test]
fn ports_that_an_annotation_names_twice_are_kept_once() {
    let list = "8000,8001,".repeat(20_000);
    let pod = pod(
        "a",
        "u1",
        "10.0.0.7",
        &format!("{{metadata: {{annotations: {{{}: '{list}'}}}}}}", ACTIVE_PORTS[0]),
    );
    let active = ReadyPod::read(&pod).unwrap().active.unwrap();
    assert_eq!(active.into_iter().collect::<Vec<_>>(), [8000, 8001]);
}

#[test]
fn pods_of_a_node_that_declare_nothing_are_told() {
    let mut pods = Pods::default();
    for name in ["a", "b"] {
        pods.apply(watcher::Event::Apply(on_host(name, "10.0.0.7", &[], true)));
    }
    assert_eq!(pods.unclear(&[8000, 8001]), ["a", "b"]);
    assert_eq!(owners(&pods).len(), 4);
    // One annotation is enough: the rest is the other's.
    let mut annotated = on_host("a", "10.0.0.7", &[], true);
    annotated.metadata.annotations = Some([(ACTIVE_PORTS[0].to_owned(), "8000".to_owned())].into());
    pods.apply(watcher::Event::Apply(annotated));
    assert_eq!(pods.unclear(&[8000, 8001]), Vec::<String>::new());
    assert_eq!(owners(&pods), ["a 10.0.0.7:8000", "b 10.0.0.7:8001"]);
}

fn names(pods: &Pods) -> Vec<String> {
    pods.endpoints(&[8000])
        .iter()
        .map(|wanted| format!("{}/{}", wanted.spec.pod, wanted.spec.id.pod_uid))
        .collect()
}

#[test]
fn a_watch_keeps_the_pods_up_to_date() {
    use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
    let mut pods = Pods::default();
    let (a, b) = (pod("a", "u1", "10.0.0.1", "{}"), pod("b", "u2", "10.0.0.2", "{}"));
    let unready = |pod: &SeenPod| {
        let mut pod = pod.clone();
        pod.status = None;
        pod
    };

    assert!(!pods.apply(Init));
    assert!(!pods.apply(InitApply(a.clone())));
    assert_eq!(names(&pods), [""; 0]);
    assert!(pods.apply(InitDone));
    assert_eq!(names(&pods), ["a/u1"]);

    assert!(pods.apply(Apply(b.clone())));
    assert!(!pods.apply(Apply(b.clone())));
    assert_eq!(names(&pods), ["a/u1", "b/u2"]);

    assert!(pods.apply(Apply(unready(&b))));
    assert!(!pods.apply(Delete(b.clone())));
    assert_eq!(names(&pods), ["a/u1"]);

    // A new list leaves all as it is until it is complete.
    assert!(!pods.apply(Init));
    assert!(!pods.apply(InitApply(b)));
    assert_eq!(names(&pods), ["a/u1"]);
    assert!(pods.apply(InitDone));
    assert_eq!(names(&pods), ["b/u2"]);
}

#[test]
fn the_first_list_counts_even_when_it_is_empty() {
    let mut pods = Pods::default();
    assert!(!pods.apply(watcher::Event::Init));
    assert!(pods.apply(watcher::Event::InitDone));
    assert!(!pods.apply(watcher::Event::Init));
    assert!(!pods.apply(watcher::Event::InitDone));
}

#[test]
fn a_late_word_about_a_former_pod_does_not_remove_its_successor() {
    let mut pods = Pods::default();
    pods.apply(watcher::Event::Apply(pod("a", "new", "10.0.0.2", "{}")));
    assert!(!pods.apply(watcher::Event::Delete(pod("a", "old", "10.0.0.1", "{}"))));
    assert_eq!(names(&pods), ["a/new"]);
}

fn listed(pods: &[&serde_json::Value]) -> Answer {
    Answer::Object(json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7"}, "items": pods,
    }))
}

fn addresses(wanted: &Wanted) -> Vec<String> {
    wanted.iter().flat_map(|specs| specs.iter()).map(|wanted| wanted.spec.address.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn endpoints_follow_the_pool() {
    let (a, b) = (json("a", "u1", "10.0.0.1", "{}"), json("b", "u2", "10.0.0.2", "{}"));
    let (client, log) = fake_api::client(move |asked| match asked.what.as_str() {
        what if what.contains("watch=true") => Answer::Silence,
        what if what.contains("labelSelector=app%3Done") => listed(&[&a]),
        what if what.contains("labelSelector=app%3Dtwo") => listed(&[&a, &b]),
        // A selector that the server doesn't answer for.
        _ => Answer::Error(503),
    });
    let metrics = Metrics::new(view::empty());
    let present = |selector: &str, ports: &[u16]| {
        PoolState::Present(Members { selector: selector.to_owned(), ports: ports.into() })
    };
    let pool = watch::Sender::new(PoolState::Unknown);
    let wanted = watch::Sender::<Wanted>::default();
    let mut follow = wanted.subscribe();
    let run = run(client, "llm", pool.subscribe(), &metrics, wanted);
    let steps = async {
        pool.send_replace(present("app=one", &[8000]));
        follow.changed().await.unwrap();
        assert_eq!(addresses(&follow.borrow_and_update()), ["10.0.0.1:8000"]);

        // Other ports of the same pods need no new list.
        pool.send_replace(present("app=one", &[8000, 8001]));
        follow.changed().await.unwrap();
        assert_eq!(addresses(&follow.borrow_and_update()), ["10.0.0.1:8000", "10.0.0.1:8001"]);
        assert_eq!(log.lock().unwrap().iter().filter(|asked| !asked.what.contains("watch=true")).count(), 1);

        // A new selector, for which there is no answer yet: what is known stays.
        pool.send_replace(present("app=three", &[8000]));
        let early = tokio::time::timeout(Duration::from_secs(10), follow.changed()).await;
        assert!(early.is_err());
        assert_eq!(addresses(&follow.borrow()), ["10.0.0.1:8000", "10.0.0.1:8001"]);

        pool.send_replace(present("app=two", &[8000]));
        follow.changed().await.unwrap();
        assert_eq!(addresses(&follow.borrow_and_update()), ["10.0.0.1:8000", "10.0.0.2:8000"]);

        pool.send_replace(PoolState::Absent);
        follow.changed().await.unwrap();
        assert_eq!(*follow.borrow_and_update(), Some(Arc::default()));
        pool.send_replace(present("app=one", &[80]));
        follow.changed().await.unwrap();
        assert_eq!(addresses(&follow.borrow_and_update()), ["10.0.0.1:80"]);
        drop(pool);
    };
    tokio::join!(run, steps);
}
