use std::io;

use http::StatusCode;

use picker_core::column::Columns;
use picker_core::scrape::SourceKind;

use super::*;

const METRICS: SourceId = SourceId { kind: SourceKind::Metrics, n: 0 };

const SECOND: Duration = Duration::from_secs(1);
const WAITING: Figure = Figure::Number(Column::WAITING);

fn page(signals: Signals) -> Page {
    Page { signals, cut: false }
}

fn waiting() -> Signals {
    Signals { waiting: Some(1.0), ..Signals::default() }
}

#[test]
fn an_unknown_figure_has_a_reason_and_a_time() {
    let readout = Readout::default();
    let why = |figure| readout.why_unknown(METRICS, figure);
    let created = readout.state().created;
    let at = |n: u32| created + SECOND * n;
    let unknown = |reason: &str, n| Unknown { reason: reason.to_owned(), since: at(n) };
    assert_eq!((why(WAITING), readout.attempted()), (unknown("not scraped yet", 0), false));

    let refused = || Failure::Connect(io::ErrorKind::ConnectionRefused.into());
    readout.record(METRICS, Err(&refused()), at(1), SECOND);
    readout.record(METRICS, Err(&Failure::Status(StatusCode::NOT_FOUND)), at(2), SECOND);
    assert_eq!((why(WAITING), readout.attempted()), (unknown("http 404", 1), true));

    readout.record(METRICS, Ok(page(Signals { lora: Some(Default::default()), ..waiting() })), at(3), SECOND);
    readout.record(METRICS, Ok(page(waiting())), at(4), SECOND);
    assert_eq!(why(Figure::Lora), unknown("series absent", 3));
    assert_eq!(why(Figure::Blocks), unknown("series absent", 3));
    // It was told, and nobody asked again.
    assert_eq!(why(WAITING), unknown("too old", 4));
    readout.record(METRICS, Ok(Page { signals: Signals::default(), cut: true }), at(5), SECOND);
    assert_eq!(why(WAITING), unknown("page too large: not in the part of it that is read", 4));
    readout.doubt(true, at(6));
    readout.doubt(true, at(7));
    assert_eq!(why(WAITING), unknown("does not move while others do", 6));
    readout.record(METRICS, Err(&refused()), at(6), SECOND);
    assert_eq!(why(Figure::Lora), unknown("connection refused", 6));
}

#[test]
fn a_reading_that_counts_for_longer_is_newer_for_a_view_until_a_scrape_fails() {
    let (readout, at) = (Readout::default(), Instant::now());
    readout.record(METRICS, Ok(page(waiting())), at, SECOND * 3);
    assert_eq!(readout.reading(), Reading { signals: waiting(), at: Some(at) });
    let reading = |stale_after| readout.reading_for(stale_after, at + SECOND);
    assert_eq!((reading(SECOND * 2).0.at, reading(SECOND * 2).1), (Some(at + SECOND), Some(SECOND)));
    assert_eq!(reading(SECOND * 5).0.at, Some(at));
    readout.record(METRICS, Err(&Failure::Timeout), at + SECOND, SECOND * 3);
    assert_eq!(reading(SECOND * 2).0, Reading { signals: waiting(), at: Some(at) });
}

/// Each source has an age and a failure of its own, and what it told last goes when it is too old.
#[test]
fn sources_go_stale_one_by_one_and_what_lasts_stays() {
    let (readout, at) = (Readout::default(), Instant::now());
    let gpu = SourceId { kind: SourceKind::Dcgm, n: 0 };
    let mut columns = Columns::default();
    let busy = columns.intern("busy").unwrap();
    let utilization = || Signals { others: vec![(busy, 0.5)], ..Signals::default() };
    let load = || Signals { block_size: Some(16), num_blocks: Some(9), ..waiting() };
    readout.follow([METRICS, gpu].into_iter(), at);
    readout.record(METRICS, Ok(page(load())), at, Duration::ZERO);
    assert!(!readout.attempted());
    assert_eq!(readout.reading_for(SECOND, at), (Reading { signals: load(), at: Some(at) }, None));
    readout.record(gpu, Ok(page(utilization())), at + SECOND, SECOND * 5);
    assert!(readout.attempted());
    let both = Signals { others: vec![(busy, 0.5)], ..load() };
    assert_eq!(readout.reading(), Reading { signals: both.clone(), at: Some(at + SECOND) });
    let longer = at + SECOND * 5;
    let of = |seconds: u32| readout.reading_for(SECOND, at + SECOND * seconds);
    assert_eq!(of(1), (Reading { signals: both, at: Some(longer) }, Some(SECOND)));
    let lasting = Signals { waiting: None, others: vec![(busy, 0.5)], ..load() };
    assert_eq!(of(6), (Reading { signals: lasting, at: Some(longer) }, None));
    let lasting = Signals { waiting: None, ..load() };
    assert_eq!(of(7), (Reading { signals: lasting, at: None }, None));
    readout.record(gpu, Err(&Failure::Timeout), at + SECOND * 2, SECOND);
    assert_eq!(readout.why_unknown(gpu, Figure::Number(busy)).reason, "no answer in time");
    assert_eq!(readout.why_unknown(METRICS, WAITING).reason, "too old");
    // Nobody asks for it any more.
    readout.follow([METRICS].into_iter(), at + SECOND * 3);
    // What is under way comes too late.
    readout.record(gpu, Ok(page(utilization())), at + SECOND * 4, SECOND * 5);
    assert_eq!(readout.reading(), Reading { signals: load(), at: Some(at) });
}
