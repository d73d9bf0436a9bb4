use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::{Instant, sleep};

use super::*;

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn an_address_stays_while_it_is_one_of_several() {
    let found = ips(&["fd00::1", "10.0.0.9", "10.0.0.2"]);
    let of = |old: Option<&str>| choose(&found, old.map(|old| old.parse().unwrap())).unwrap().to_string();
    assert_eq!(of(None), "10.0.0.2");
    assert_eq!(of(Some("10.0.0.9")), "10.0.0.9");
    assert_eq!(of(Some("10.0.0.7")), "10.0.0.2");
    assert_eq!(choose(&ips(&["fd00::2", "fd00::1"]), None), Some(ips(&["fd00::1"])[0]));
    assert_eq!(choose(&[], Some(ips(&["10.0.0.7"])[0])), None);
    // Whoever has a name can't lead requests to the gateway's own node, or to where clouds have their metadata service.
    let own = ips(&["127.0.0.1", "169.254.169.254", "::1"]);
    assert_eq!((choose(&own, None), choose(&own, Some(own[0]))), (None, None));
}

/// A server of names that answers nothing, or that it knows no such name, takes no endpoint away, and no longer than it may.
#[tokio::test(start_paused = true)]
async fn names_that_are_not_found_keep_their_addresses_and_hold_nothing_up() {
    let answers: Arc<Mutex<Vec<&str>>> = Arc::new(Mutex::new(vec!["10.0.0.1"]));
    let asked = Arc::new(AtomicUsize::new(0));
    let (given, counted) = (answers.clone(), asked.clone());
    let look_up: LookUp = Arc::new(move |name| {
        counted.fetch_add(1, Ordering::Relaxed);
        let found = given.lock().unwrap().clone();
        Box::pin(async move {
            match &*name {
                "slow" => sleep(Duration::from_secs(3600)).await,
                "gone" => return Err(io::ErrorKind::NotFound.into()),
                _ => {}
            }
            Ok(ips(&found))
        })
    });
    let mut names = Names::new(look_up);
    let all = ["gw", "slow", "gone", "gw"].map(Arc::<str>::from);
    let started = Instant::now();
    names.follow(all.iter()).await;
    assert_eq!(started.elapsed(), DEADLINE);
    let known = |names: &Names| ["gw", "slow", "gone"].map(|name| names.get(name));
    assert_eq!(known(&names), [Some(ips(&["10.0.0.1"])[0]), None, None]);
    // Each once.
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    answers.lock().unwrap().clear();
    names.follow(all[..1].iter()).await;
    assert_eq!(known(&names), [Some(ips(&["10.0.0.1"])[0]), None, None]);
    answers.lock().unwrap().push("10.0.0.8");
    names.follow(all[..1].iter()).await;
    assert_eq!(known(&names), [Some(ips(&["10.0.0.8"])[0]), None, None]);
    names.follow(std::iter::empty()).await;
    assert!(names.is_empty());
}

#[tokio::test(start_paused = true)]
async fn there_is_an_end_to_names_and_to_questions_at_a_time() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, highest) = (now.clone(), most.clone());
    let look_up: LookUp = Arc::new(move |_| {
        let (now, most) = (counted.clone(), highest.clone());
        Box::pin(async move {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            sleep(Duration::from_millis(1)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok(ips(&["10.0.0.1"]))
        })
    });
    let mut names = Names::new(look_up);
    let all: Vec<Arc<str>> = (0..MOST + 10).map(|n| format!("h{n:05}").into()).collect();
    names.follow(all.iter()).await;
    assert_eq!(most.load(Ordering::Relaxed), AT_ONCE);
    assert_eq!((names.get(&all[MOST - 1]).is_some(), names.get(&all[MOST])), (true, None));
}
