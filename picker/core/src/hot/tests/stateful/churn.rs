//! What plugins remember stays within its bounds while endpoints, sessions and prompts come and go.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::endpoint::{Endpoint, EndpointSpec, Slots};
use crate::flight::Flight;
use crate::outcome::{ResponseHead, Usage};
use crate::request::{Headers, Request};
use crate::testing::spec;
use crate::view::Reading;

const MINUTES: u64 = 60;
/// Endpoints at a time.
const PODS: usize = 48;
/// New ones a minute, each in place of an old one.
const NEW_PODS: u64 = 12;
/// Requests a minute: each of a new session, with a prompt that nobody has sent.
const REQUESTS: u64 = 2400;
/// Answers that are awaited at a time.
const UNDER_WAY: usize = 64;

/// Bytes by which all that is allocated may have grown: what is under way differs from one moment to another.
const SLACK: i64 = 256 << 10;

/// A picker in virtual time.
struct World {
    hot: Hot,
    now: Instant,
    slots: Slots,
    pods: VecDeque<Arc<Endpoint>>,
    made: u64,
    view: View,
    flights: VecDeque<Flight>,
    asked: u64,
    /// When the work at intervals is due, by place.
    due: Vec<Instant>,
}

impl World {
    fn new() -> Self {
        let (hot, now) = (serving(&routing()).0, Instant::now());
        let due = vec![now; hot.current().unwrap().upkeeps().len()];
        let (slots, pods, flights) = (Slots::default(), VecDeque::new(), VecDeque::new());
        let mut world = Self { hot, now, slots, pods, made: 0, view: View::empty(), flights, asked: 0, due };
        (0..PODS).for_each(|_| world.add_pod());
        world.look();
        world
    }

    fn add_pod(&mut self) {
        self.made += 1;
        let mut spec = EndpointSpec { pod: format!("pod-{}", self.made), ..spec((self.made % 200) as u8) };
        spec.id.pod_uid = format!("uid-{}", self.made).into();
        self.pods.push_back(Arc::new(self.slots.admit(spec)));
    }

    fn look(&mut self) {
        let rows = self.pods.iter().map(|pod| (pod.clone(), Reading::default())).collect();
        self.view = View::build(rows, self.now, Duration::from_secs(60));
    }

    /// The oldest pod goes, and a new one comes.
    fn replace_pod(&mut self) {
        let gone = self.pods.pop_front().unwrap();
        self.slots.release(&gone);
        self.add_pod();
        self.look();
    }

    fn ask(&mut self) {
        self.asked += 1;
        let bytes = |text: String| Bytes::from(text);
        let headers = [
            (":path", "/v1/chat/completions".to_owned()),
            ("x-session-id", format!("session {}", self.asked)),
            ("session-id", format!("agent {}", self.asked)),
        ];
        let headers = headers.map(|(name, value)| (bytes(name.to_owned()), bytes(value)));
        let prompt = format!("{} {}", self.asked, "what nobody has asked before ".repeat(32));
        let image = json!({"type": "image_url", "image_url": {"url": format!("https://example.com/{}.png", self.asked)}});
        let messages = json!([{"role": "user", "content": [{"type": "text", "text": prompt}, image]}]);
        let body = json!({"model": format!("model {}", self.asked % 2000), "messages": messages});
        let request = Request::new(Headers(headers.into()), bytes(body.to_string())).unwrap();
        let mut cx = Cx::new(self.now, self.asked);
        let mut flight = self.hot.current().unwrap().route(&request, &self.view, None, &mut cx).unwrap();
        let headers =
            Headers(vec![(Bytes::from("content-type"), Bytes::from("text/event-stream; charset=utf-8"))]);
        flight.head(&ResponseHead { status: Some(200), headers: &headers, served: None });
        flight.chunk(b"data: {}", || self.now);
        self.flights.push_back(flight);
        if self.flights.len() > UNDER_WAY {
            let flight = self.flights.pop_front().unwrap();
            // One in ten is cut off.
            if !self.asked.is_multiple_of(10) {
                flight.ended(Some(Usage { prompt: 250, cached: 0, completion: 100, reasoning: 0 }), self.now);
            }
        }
    }

    fn keep_up(&mut self) {
        let strategy = self.hot.current().unwrap();
        for (due, upkeep) in self.due.iter_mut().zip(strategy.upkeeps()) {
            if *due <= self.now {
                upkeep.role.tick(self.now, &self.view);
                *due = self.now + upkeep.role.every();
            }
        }
    }

    fn minute(&mut self) {
        for n in 0..REQUESTS {
            self.now += Duration::from_secs(60) / REQUESTS as u32;
            if n % (REQUESTS / NEW_PODS) == 0 {
                self.replace_pod();
            }
            self.keep_up();
            self.ask();
        }
    }
}

#[test]
fn an_hour_of_churn_takes_no_more_memory_than_half_of_it_and_never_more_than_the_caps() {
    let mut world = World::new();
    // The most that each table said, in each half.
    let mut most: [BTreeMap<(&str, String), usize>; 2] = Default::default();
    let mut halves = most.iter_mut().map(|most| {
        let grown = allocation_counter::measure(|| {
            for _ in 0..MINUTES / 2 {
                world.minute();
                for table in world.hot.tables() {
                    assert!(table.bytes <= table.max_bytes, "{table:?}");
                    let most = most.entry((table.kind, table.name)).or_default();
                    *most = table.bytes.max(*most);
                }
            }
        });
        grown.bytes_current
    });
    let grown = [halves.next().unwrap(), halves.next().unwrap()];
    drop(halves);
    let [first, second] = most;
    assert_eq!(second, first);
    // A window of requests is empty once they are decided.
    let keeps_none = |kind: &str| kind == "burst-prefix-cache-producer";
    let tried = |stateful: &Stateful| {
        (first[&(stateful.kind, named(stateful.kind))] > 0) != keeps_none(stateful.kind)
    };
    assert!(STATEFUL.iter().all(tried), "{first:?}");
    // What the tables say is what is taken.
    let told: usize = first.values().sum();
    assert!((grown[0] - told as i64).abs() < told as i64 / 20, "{grown:?} {told}");
    assert!(grown[1] < SLACK, "{grown:?}");
}
