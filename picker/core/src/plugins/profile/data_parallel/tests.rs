use std::time::Instant;

use rstest::rstest;
use serde_json::json;

use crate::cx::Cx;
use crate::request::Request;
use crate::testing::{build, strategy, unknown};

/// The address to which a request goes, and the headers that are written.
fn route(picker: &str) -> (String, Vec<(String, String)>) {
    let routing = format!(
        "plugins: [{{type: data-parallel-profile-handler, parameters: {{primaryPort: 9000}}}}, {picker}]"
    );
    let strategy = strategy(&routing);
    let view = unknown(2);
    let flight = strategy.route(&Request::default(), &view, None, &mut Cx::new(Instant::now(), 1)).unwrap();
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let headers = flight.edits().headers().iter().map(|(name, value)| (name.to_string(), text(value)));
    (text(flight.edits().destination().unwrap()), headers.collect())
}

#[test]
fn requests_go_to_the_primary_port_and_a_header_names_the_rank() {
    let (destination, headers) = route("{type: max-score-picker}");
    let rank = headers[0].1.clone();
    assert_eq!(headers, [("x-data-parallel-host-port".to_owned(), rank.clone())]);
    let ip = rank.strip_suffix(":8000").unwrap();
    assert_eq!(destination, format!("{ip}:9000"));
}

#[test]
fn of_several_endpoints_all_are_reached_by_it() {
    let (destination, _) = route("{type: max-score-picker, parameters: {maxNumOfEndpoints: 2}}");
    let mut addresses: Vec<_> = destination.split(',').collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["10.0.0.0:9000", "10.0.0.1:9000"]);
}

#[rstest]
#[case(json!({"primaryPort": 0}), "primaryPort: must lie between 1 and 65535")]
#[case(json!({"primaryPort": 65536}), "primaryPort: invalid value: integer `65536`, expected u16")]
fn wrong_ports_are_refused(#[case] parameters: serde_json::Value, #[case] message: &str) {
    let error = build("data-parallel-profile-handler", parameters).err().unwrap().to_string();
    assert_eq!(error, format!("plugins[0].parameters.{message}"));
}
