use picker_core::scrape::ScrapePlan;
use serde_json::json;

use super::*;

fn installer() -> Installer {
    Installer::new(Arc::default(), StrategyMetrics::default())
}

fn offer(routing: &Value, generation: i64) -> Offer<'_> {
    Offer { routing, scope: Scope::Resource, generation: Some(generation) }
}

/// What is serving, without its time.
fn serving(installer: &Installer) -> Serving {
    let mut serving = installer.serving().borrow().clone();
    assert_eq!(serving.since.take().is_some(), serving.revision.is_some());
    serving
}

#[test]
fn a_good_routing_serves() {
    let installer = installer();
    let routing = json!({"plugins": [{"type": "queue-scorer"}]});
    assert!(installer.offer(offer(&routing, 1)));
    let expected = Serving {
        revision: Some(revision(&routing)),
        routing: Some(Arc::new(routing.clone())),
        scrape: Some(Arc::new(ScrapePlan::of(&[]))),
        offered: Some(revision(&routing)),
        generation: Some(1),
        ..Serving::default()
    };
    assert_eq!(serving(&installer), expected);
}

/// Looks at what is serving at the very moment when it changes.
struct Look(watch::Receiver<Serving>, std::sync::Mutex<Vec<Serving>>);

impl std::task::Wake for Look {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0.borrow().clone());
    }
}

#[test]
fn a_swap_is_told_all_at_once() {
    let installer = installer();
    let routing = json!({"plugins": [{"type": "queue-scorer"}]});
    let look = Arc::new(Look(installer.serving(), Default::default()));
    let mut follow = installer.serving();
    {
        let mut changed = std::pin::pin!(follow.changed());
        let waker = look.clone().into();
        assert!(changed.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        assert!(installer.offer(offer(&routing, 1)));
    }
    assert_eq!(*look.1.lock().unwrap(), [follow.borrow().clone()]);
    assert_eq!(follow.borrow().generation, Some(1));
}

#[test]
fn scraping_is_asked_for_only_by_those_who_need_it() {
    let installer = installer();
    assert!(installer.offer(offer(&json!({"plugins": [{"type": "random-picker"}]}), 1)));
    assert_eq!(serving(&installer).scrape, None);
    assert!(installer.offer(offer(&json!({"plugins": [{"type": "kv-cache-utilization-scorer"}]}), 2)));
    assert_eq!(serving(&installer).scrape, Some(Arc::new(ScrapePlan::of(&[]))));
}

#[test]
fn a_bad_routing_never_serves_and_the_error_goes_with_the_next_good_one() {
    let installer = installer();
    let (good, bad) =
        (json!({"plugins": [{"type": "queue-scorer"}]}), json!({"plugins": [{"type": "queue-scorerr"}]}));
    assert!(installer.offer(offer(&good, 1)));
    let before = serving(&installer);
    assert!(!installer.offer(offer(&bad, 2)));
    let after = serving(&installer);
    let error = after.error.clone().unwrap();
    assert!(error.starts_with("plugins[0].type: "), "{error}");
    let expected =
        Serving { offered: Some(revision(&bad)), generation: Some(2), error: Some(error), ..before.clone() };
    assert_eq!(after, expected);

    assert!(installer.offer(offer(&good, 3)));
    assert_eq!(serving(&installer), Serving { generation: Some(3), ..before });
}

#[test]
fn where_endpoints_come_from_is_settled_at_start() {
    let from_cluster = json!({"plugins": [{"type": "queue-scorer"}]});
    let from_file = json!({
        "plugins": [{"type": "file-discovery", "parameters": {"path": "endpoints.yaml"}}],
        "dataLayer": {"discovery": {"pluginRef": "file-discovery"}},
    });
    let broken = json!({"plugins": [{"type": "x"}], "dataLayer": {"discovery": {"pluginRef": "x"}}});
    let bring = |installer: &Installer, routing: &Value| {
        installer.offer(Offer { routing, scope: Scope::File, generation: None });
        (serving(installer).revision, serving(installer).error)
    };
    let serves = |routing: &Value| (Some(revision(routing)), None);
    let refused = |serving: Option<&Value>, message: &str| (serving.map(revision), Some(message.to_owned()));
    let to_file = "dataLayer.discovery: this picker began with endpoints from the cluster; to read them from a file it needs a restart";
    let to_cluster = "dataLayer.discovery: this picker began with endpoints from a file, and without this there are none; to take them from the cluster it needs a restart, with --pool-name or --endpoint-selector";

    let of_cluster = installer();
    assert_eq!(bring(&of_cluster, &from_cluster), serves(&from_cluster));
    assert_eq!(of_cluster.settle(true), Source::Cluster);
    assert_eq!(bring(&of_cluster, &from_file), refused(Some(&from_cluster), to_file));
    let (_, error) = bring(&of_cluster, &broken);
    assert!(error.as_ref().unwrap().starts_with("plugins[0].type: unknown plugin type"), "{error:?}");
    assert_eq!(bring(&of_cluster, &from_cluster), serves(&from_cluster));

    // A file counts for more than flags.
    let of_file = installer();
    assert_eq!(bring(&of_file, &from_file), serves(&from_file));
    assert_eq!(of_file.settle(true), Source::File);
    assert_eq!(bring(&of_file, &from_cluster), refused(Some(&from_file), to_cluster));

    // When nothing served yet, the flags say it.
    for (cluster, source, routing, message) in
        [(true, Source::Cluster, &from_file, to_file), (false, Source::File, &from_cluster, to_cluster)]
    {
        let installer = installer();
        assert_eq!(installer.settle(cluster), source);
        assert_eq!(bring(&installer, routing), refused(None, message));
    }
}

#[test]
fn an_equal_routing_wakes_nobody_but_for_its_generation() {
    let installer = installer();
    let bad = json!({"plugins": [{"type": "x"}]});
    installer.offer(offer(&bad, 1));
    let mut follow = installer.serving();
    follow.mark_unchanged();
    installer.offer(offer(&bad, 1));
    assert!(!follow.has_changed().unwrap());
    installer.offer(offer(&bad, 2));
    assert!(follow.has_changed().unwrap());
    assert_eq!(follow.borrow_and_update().generation, Some(2));
}

#[test]
fn the_last_accepted_routing_serves_in_place_of_a_bad_one() {
    let installer = installer();
    let (good, bad) = (json!({"plugins": [{"type": "queue-scorer"}]}), json!({"plugins": [{"type": "x"}]}));
    assert!(!installer.offer(offer(&bad, 7)));
    let refused = serving(&installer);
    assert!(installer.rescue(&good, Scope::Resource, Rescue::Refused));
    let scrape = Some(Arc::new(ScrapePlan::of(&[])));
    let expected =
        Serving { revision: Some(revision(&good)), routing: Some(Arc::new(good)), scrape, ..refused };
    assert_eq!(serving(&installer), expected);
}

#[test]
fn what_cannot_be_read_leaves_what_serves() {
    let installer = installer();
    installer.offer(offer(&json!({}), 1));
    let before = serving(&installer);
    installer.unavailable("gone");
    assert_eq!(serving(&installer), Serving { offered: None, error: Some("gone".to_owned()), ..before });
}
