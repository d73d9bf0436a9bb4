use super::*;

fn sample(sent: Instant, ms: u64, outcome: Outcome) -> Sample {
    let took = Duration::from_millis(ms);
    Sample { sent, took, first_byte: took, streamed: false, outcome }
}

fn served(pod: &str, prompt: u64, cached: u64) -> Outcome {
    Outcome::Served { pod: pod.into(), usage: Usage { prompt, cached, completion: 1 } }
}

#[test]
fn counts_and_ratios() {
    let began = Instant::now();
    let later = began + Duration::from_secs(1);
    let refused = Outcome::Refused { status: StatusCode::SERVICE_UNAVAILABLE, body: "none".to_owned() };
    let report = Report {
        began,
        samples: vec![
            sample(began, 10, served("a", 100, 0)),
            sample(began, 20, served("b", 100, 50)),
            sample(later, 30, served("a", 200, 150)),
            sample(later, 5, refused),
        ],
    };
    assert_eq!(report.by_pod(), BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
    assert_eq!(report.by_status(), BTreeMap::from([("200".to_owned(), 3), ("503".to_owned(), 1)]));
    assert_eq!(report.hit_ratio(), 0.5);
    assert_eq!(report.between(began, later).hit_ratio(), 0.25);
    assert_eq!(report.took(0.5), Duration::from_millis(20));
    assert_eq!(report.took(1.0), Duration::from_millis(30));
    assert_eq!(
        report.to_string(),
        "4 requests, 1 failed, {\"200\": 3, \"503\": 1}, hit ratio 0.500, p50 20.0 ms, p99 30.0 ms\n  \
         at 1.000 s, whole, 5 ms: 503 Service Unavailable: none"
    );
}

#[test]
fn a_load_without_answers_has_neutral_figures() {
    let report = Report { began: Instant::now(), samples: Vec::new() };
    assert_eq!((report.hit_ratio(), report.took(0.99)), (0.0, Duration::ZERO));
}
