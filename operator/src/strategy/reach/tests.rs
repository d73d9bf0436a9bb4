use super::*;

const SECOND: Duration = Duration::from_secs(1);

struct World {
    reach: Reach,
    probes: Probes,
    /// The latest request.
    probe: Option<Probe>,
    start: Instant,
}

impl World {
    fn new() -> Self {
        let (reach, probes) = Reach::new(2 * SECOND);
        Self { reach, probes, probe: None, start: Instant::now() }
    }

    /// How many seconds a pool has to wait after `at` seconds.
    fn wait(&self, addresses: Option<bool>, at: u32) -> Option<u64> {
        let strategy = StrategyKey { namespace: "llm".to_owned(), name: "chat".to_owned() };
        let address = Some(SocketAddr::from(([10, 96, 0, 7], 9002)));
        let wait = self.reach.wait("uid", address, addresses, &strategy, self.start + at * SECOND);
        wait.map(|wait| wait.as_secs())
    }

    /// Whether the latest request goes on after an attempt that ended so.
    fn tried(&self, attempt: Attempt, at: u32) -> bool {
        self.reach.tried(self.probe.as_ref().unwrap(), attempt, self.start + at * SECOND)
    }

    /// How many requests came since the last call.
    fn asked(&mut self) -> usize {
        let new: Vec<_> = std::iter::from_fn(|| self.probes.try_recv().ok()).collect();
        self.probe = new.last().cloned().or(self.probe.take());
        new.len()
    }
}

#[test]
fn a_connection_that_arrives_gives_other_nodes_their_margin() {
    let mut world = World::new();
    assert_eq!(world.wait(Some(false), 0), Some(30));
    assert_eq!(world.asked(), 0);
    // Counted anew, from the first address on.
    assert_eq!(world.wait(Some(true), 4), Some(6));
    assert_eq!(world.asked(), 1);
    assert!(world.tried(Attempt::Refused, 5));
    assert_eq!(world.wait(Some(true), 5), Some(29));
    assert!(!world.tried(Attempt::Arrived, 6));
    assert_eq!(world.wait(Some(true), 6), Some(2));
    assert_eq!(world.wait(Some(true), 8), None);
    assert_eq!(world.asked(), 0);
    // And later at once.
    assert_eq!(world.wait(Some(true), 100), None);
    world.reach.lost("uid");
    assert_eq!(world.wait(Some(true), 101), Some(6));
    assert_eq!(world.asked(), 1);
}

#[test]
fn no_wait_is_for_ever() {
    let mut world = World::new();
    // Nobody may look at EndpointSlices, and nothing answers.
    assert_eq!(world.wait(None, 0), Some(6));
    assert_eq!(world.asked(), 1);
    assert!(world.tried(Attempt::Silent, 1));
    assert_eq!(world.wait(None, 1), Some(5));
    assert_eq!(world.wait(None, 6), None);
    let world = World::new();
    assert_eq!(world.wait(Some(false), 0), Some(30));
    assert_eq!(world.wait(Some(false), 30), None);
    let mut world = World::new();
    assert_eq!(world.wait(Some(true), 0), Some(6));
    assert_eq!(world.asked(), 1);
    assert!(world.tried(Attempt::Refused, 29));
    assert_eq!(world.wait(Some(true), 29), Some(1));
    assert!(!world.tried(Attempt::Refused, 30));
    assert_eq!(world.wait(Some(true), 30), None);
}

#[test]
fn an_earlier_request_for_a_service_neither_goes_on_nor_counts() {
    let mut world = World::new();
    assert_eq!(world.wait(None, 0), Some(6));
    assert_eq!(world.asked(), 1);
    let earlier = world.probe.clone().unwrap();
    assert_eq!(world.wait(Some(true), 1), Some(6));
    assert_eq!(world.asked(), 1);
    assert!(!world.reach.tried(&earlier, Attempt::Arrived, world.start + 2 * SECOND));
    assert_eq!(world.wait(Some(true), 2), Some(5));
    assert!(world.tried(Attempt::Silent, 2));
}

#[test]
fn what_is_forgotten_is_not_tried_any_more() {
    let mut world = World::new();
    assert_eq!(world.wait(Some(true), 0), Some(6));
    assert_eq!(world.asked(), 1);
    world.reach.begin();
    assert!(!world.tried(Attempt::Silent, 1));
    assert_eq!(world.wait(Some(true), 1), Some(6));
    world.reach.prune(|uid| uid != "uid");
    assert!(!world.tried(Attempt::Silent, 2));
}
