use serde_json::json;

use picker_core::scrape::ScrapePlan;

use super::*;

fn desk() -> Desk {
    Desk::new(Arc::default(), StrategyMetrics::default())
}

fn offer(routing: &Value, generation: i64) -> Offer<'_> {
    Offer { routing, scope: Scope::Resource, generation: Some(generation) }
}

/// What is installed, without its time.
fn installed(desk: &Desk) -> Installed {
    let mut installed = desk.installed().borrow().clone();
    assert_eq!(installed.since.take().is_some(), installed.revision.is_some());
    installed
}

#[test]
fn a_good_routing_serves() {
    let desk = desk();
    let routing = json!({"plugins": [{"type": "queue-scorer"}]});
    assert!(desk.offer(offer(&routing, 1)));
    let expected = Installed {
        revision: Some(revision(&routing)),
        routing: Some(Arc::new(routing.clone())),
        scrape: Some(Arc::new(ScrapePlan::of(&[]))),
        offered: Some(revision(&routing)),
        generation: Some(1),
        ..Installed::default()
    };
    assert_eq!(installed(&desk), expected);
}

/// Looks at what is installed at the very moment when it changes.
struct Look(watch::Receiver<Installed>, std::sync::Mutex<Vec<Installed>>);

impl std::task::Wake for Look {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0.borrow().clone());
    }
}

#[test]
fn a_swap_is_told_all_at_once() {
    let desk = desk();
    let routing = json!({"plugins": [{"type": "queue-scorer"}]});
    let look = Arc::new(Look(desk.installed(), Default::default()));
    let mut follow = desk.installed();
    {
        let mut changed = std::pin::pin!(follow.changed());
        let waker = look.clone().into();
        assert!(changed.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
        assert!(desk.offer(offer(&routing, 1)));
    }
    assert_eq!(*look.1.lock().unwrap(), [follow.borrow().clone()]);
    assert_eq!(follow.borrow().generation, Some(1));
}

#[test]
fn scraping_is_asked_for_only_by_those_who_need_it() {
    let desk = desk();
    assert!(desk.offer(offer(&json!({"plugins": [{"type": "random-picker"}]}), 1)));
    assert_eq!(installed(&desk).scrape, None);
    assert!(desk.offer(offer(&json!({"plugins": [{"type": "kv-cache-utilization-scorer"}]}), 2)));
    assert_eq!(installed(&desk).scrape, Some(Arc::new(ScrapePlan::of(&[]))));
}

#[test]
fn a_bad_routing_never_serves_and_the_error_goes_with_the_next_good_one() {
    let desk = desk();
    let (good, bad) =
        (json!({"plugins": [{"type": "queue-scorer"}]}), json!({"plugins": [{"type": "queue-scorerr"}]}));
    assert!(desk.offer(offer(&good, 1)));
    let before = installed(&desk);
    assert!(!desk.offer(offer(&bad, 2)));
    let after = installed(&desk);
    let error = after.error.clone().unwrap();
    assert!(error.starts_with("plugins[0].type: "), "{error}");
    let expected = Installed {
        offered: Some(revision(&bad)),
        generation: Some(2),
        error: Some(error),
        ..before.clone()
    };
    assert_eq!(after, expected);

    assert!(desk.offer(offer(&good, 3)));
    assert_eq!(installed(&desk), Installed { generation: Some(3), ..before });
}

#[test]
fn where_endpoints_come_from_is_settled_at_start() {
    let from_cluster = json!({"plugins": [{"type": "queue-scorer"}]});
    let from_file = json!({
        "plugins": [{"type": "file-discovery", "parameters": {"path": "endpoints.yaml"}}],
        "dataLayer": {"discovery": {"pluginRef": "file-discovery"}},
    });
    let broken = json!({"plugins": [{"type": "x"}], "dataLayer": {"discovery": {"pluginRef": "x"}}});
    let bring = |desk: &Desk, routing: &Value| {
        desk.offer(Offer { routing, scope: Scope::File, generation: None });
        (installed(desk).revision, installed(desk).error)
    };
    let serves = |routing: &Value| (Some(revision(routing)), None);
    let refused = |serving: Option<&Value>, message: &str| (serving.map(revision), Some(message.to_owned()));
    let to_file = "dataLayer.discovery: this picker began with endpoints from the cluster; to read them from a file it needs a restart";
    let to_cluster = "dataLayer.discovery: this picker began with endpoints from a file, and without this there are none; to take them from the cluster it needs a restart, with --pool-name or --endpoint-selector";

    let of_cluster = desk();
    assert_eq!(bring(&of_cluster, &from_cluster), serves(&from_cluster));
    assert_eq!(of_cluster.settle(true), Source::Cluster);
    assert_eq!(bring(&of_cluster, &from_file), refused(Some(&from_cluster), to_file));
    let (_, error) = bring(&of_cluster, &broken);
    assert!(error.as_ref().unwrap().starts_with("plugins[0].type: unknown plugin type"), "{error:?}");
    assert_eq!(bring(&of_cluster, &from_cluster), serves(&from_cluster));

    // A file counts for more than flags.
    let of_file = desk();
    assert_eq!(bring(&of_file, &from_file), serves(&from_file));
    assert_eq!(of_file.settle(true), Source::File);
    assert_eq!(bring(&of_file, &from_cluster), refused(Some(&from_file), to_cluster));

    // When nothing served yet, the flags say it.
    for (cluster, source, routing, message) in
        [(true, Source::Cluster, &from_file, to_file), (false, Source::File, &from_cluster, to_cluster)]
    {
        let desk = desk();
        assert_eq!(desk.settle(cluster), source);
        assert_eq!(bring(&desk, routing), refused(None, message));
    }
}

#[test]
fn an_equal_routing_wakes_nobody_but_for_its_generation() {
    let desk = desk();
    let bad = json!({"plugins": [{"type": "x"}]});
    desk.offer(offer(&bad, 1));
    let mut follow = desk.installed();
    follow.mark_unchanged();
    desk.offer(offer(&bad, 1));
    assert!(!follow.has_changed().unwrap());
    desk.offer(offer(&bad, 2));
    assert!(follow.has_changed().unwrap());
    assert_eq!(follow.borrow_and_update().generation, Some(2));
}

#[test]
fn the_last_accepted_routing_serves_in_place_of_a_bad_one() {
    let desk = desk();
    let (good, bad) = (json!({"plugins": [{"type": "queue-scorer"}]}), json!({"plugins": [{"type": "x"}]}));
    assert!(!desk.offer(offer(&bad, 7)));
    let refused = installed(&desk);
    assert!(desk.rescue(&good, Scope::Resource));
    let scrape = Some(Arc::new(ScrapePlan::of(&[])));
    let expected =
        Installed { revision: Some(revision(&good)), routing: Some(Arc::new(good)), scrape, ..refused };
    assert_eq!(installed(&desk), expected);
}

#[test]
fn what_cannot_be_read_leaves_what_serves() {
    let desk = desk();
    desk.offer(offer(&json!({}), 1));
    let before = installed(&desk);
    desk.unavailable("gone");
    assert_eq!(installed(&desk), Installed { offered: None, error: Some("gone".to_owned()), ..before });
}
