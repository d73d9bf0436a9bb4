use std::io;

use http::StatusCode;

use super::*;

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
    let why = |figure| readout.why_unknown(figure);
    let created = readout.state().created;
    let at = |n: u32| created + SECOND * n;
    let unknown = |reason: &str, n| Unknown { reason: reason.to_owned(), since: at(n) };
    assert_eq!((why(WAITING), readout.attempted()), (unknown("not scraped yet", 0), false));

    let refused = || Failure::Connect(io::ErrorKind::ConnectionRefused.into());
    readout.record(Err(&refused()), at(1), SECOND);
    readout.record(Err(&Failure::Status(StatusCode::NOT_FOUND)), at(2), SECOND);
    assert_eq!((why(WAITING), readout.attempted()), (unknown("http 404", 1), true));

    readout.record(Ok(page(Signals { lora: Some(Default::default()), ..waiting() })), at(3), SECOND);
    readout.record(Ok(page(waiting())), at(4), SECOND);
    assert_eq!(why(Figure::Lora), unknown("series absent", 3));
    assert_eq!(why(Figure::Blocks), unknown("series absent", 3));
    // It was told, and nobody asked again.
    assert_eq!(why(WAITING), unknown("too old", 4));
    readout.record(Ok(Page { signals: Signals::default(), cut: true }), at(5), SECOND);
    assert_eq!(why(WAITING), unknown("page too large: not in the part of it that is read", 4));
    readout.doubt(true, at(6));
    readout.doubt(true, at(7));
    assert_eq!(why(WAITING), unknown("does not move while others do", 6));
    readout.record(Err(&refused()), at(6), SECOND);
    assert_eq!(why(Figure::Lora), unknown("connection refused", 6));
}

#[test]
fn a_reading_that_counts_for_longer_is_newer_for_a_view_until_a_scrape_fails() {
    let (readout, at) = (Readout::default(), Instant::now());
    readout.record(Ok(page(waiting())), at, SECOND * 3);
    assert_eq!(readout.reading(), Reading { signals: waiting(), at: Some(at) });
    assert_eq!(readout.reading_for(SECOND * 2).at, Some(at + SECOND));
    assert_eq!(readout.reading_for(SECOND * 5).at, Some(at));
    readout.record(Err(&Failure::Timeout), at + SECOND, SECOND * 3);
    assert_eq!(readout.reading_for(SECOND * 2), Reading { signals: waiting(), at: Some(at) });
}
