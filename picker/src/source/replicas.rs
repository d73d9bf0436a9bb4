//! The number of replicas of the picker, as its RoutingStrategy tells it: they share what scraping costs the model servers.
//!
//! Each replica has an entry in the strategy's status, which all of them follow anyway, so no further right is needed. A
//! strategy has a Deployment for each of its pools, so the entries of others of them do not count.

use tokio::sync::watch;

/// The number of replicas that this one is one of, itself among them.
#[derive(Debug)]
pub struct Replicas {
    /// Name of the pod; `None` outside of one.
    pod: Option<String>,
    count: watch::Sender<u32>,
}

impl Replicas {
    /// Those of this pod, told by `count`, which begins at 1.
    pub fn new(pod: Option<String>, count: watch::Sender<u32>) -> Self {
        Self { pod, count }
    }

    /// The status has entries of `pickers`, and the strategy asks for `asked` replicas, which counts until this one has an
    /// entry. Returns how many there are.
    pub fn note<'a>(&self, pickers: impl Iterator<Item = &'a str>, asked: impl FnOnce() -> u32) -> u32 {
        let count = self.pod.as_deref().map_or(1, |pod| count(pod, pickers, asked));
        self.count.send_if_modified(|old| std::mem::replace(old, count) != count);
        count
    }
}

fn count<'a>(pod: &str, pickers: impl Iterator<Item = &'a str>, asked: impl FnOnce() -> u32) -> u32 {
    let (mut others, mut known) = (0, false);
    for picker in pickers {
        if picker == pod {
            known = true;
        } else if deployment(picker) == deployment(pod) {
            others += 1;
        }
    }
    let count = others + 1;
    if known { count } else { count.max(asked()) }
}

/// The name of the Deployment of `pod`: without the hash of its template and its own random end, which have no hyphen. Of
/// a name that Kubernetes cut, some part that all pods of the Deployment have; the whole name where it has no such ends.
fn deployment(pod: &str) -> &str {
    pod.rsplitn(3, '-').nth(2).unwrap_or(pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "qwen3-32b-picker-7d9f8b6c4-x2x5z";

    #[test]
    fn replicas_are_those_of_the_same_deployment() {
        let of = |pickers: &[&str]| count(POD, pickers.iter().copied(), || 1);
        assert_eq!(of(&[POD]), 1);
        assert_eq!(of(&[POD, "qwen3-32b-picker-7d9f8b6c4-b7b8c"]), 2);
        // One of another template, while a rollout is under way.
        assert_eq!(of(&[POD, "qwen3-32b-picker-7d9f8b6c4-b7b8c", "qwen3-32b-picker-5c6d7f8b9-b7b8c"]), 3);
        // Those of other pools of the strategy.
        let others =
            ["llama-picker-7d9f8b6c4-b7b8c", "qwen3-picker-7d9f8b6c4-b7b8c", "b-picker-7d9f8b6c4-b7b8c"];
        assert_eq!(of(&[&others[..], &[POD]].concat()), 1);
        // Whoever reports without being a pod of a Deployment, as one that is started by hand, is no replica.
        assert_eq!(of(&[POD, "laptop", "qwen3-32b-picker", "picker-0"]), 1);
        assert_eq!(count("laptop", ["laptop", "desktop", POD].into_iter(), || 2), 1);
    }

    #[test]
    fn until_this_one_has_an_entry_there_are_as_many_as_asked_for() {
        let other = "qwen3-32b-picker-7d9f8b6c4-b7b8c";
        let of = |pickers: &[&str], asked| count(POD, pickers.iter().copied(), || asked);
        assert_eq!([of(&[], 1), of(&[], 3), of(&[other], 1), of(&[other], 3)], [1, 3, 2, 3]);
        assert_eq!([of(&[POD], 3), of(&[POD, other], 3)], [1, 2]);
    }

    #[test]
    fn of_a_name_that_was_cut_all_pods_have_the_same_part() {
        let long = format!("{}-00214287-picker", "m".repeat(46));
        // The name of the ReplicaSet is cut to 58 characters, and five follow.
        let pod = |end: &str| format!("{}{end}", &format!("{long}-7d9f8b6c4-")[..58]);
        let (a, b) = (pod("x2x5z"), pod("b7b8c"));
        assert_eq!(count(&a, [a.as_str(), b.as_str(), POD].into_iter(), || 1), 2);
    }

    #[test]
    fn only_another_number_is_told() {
        let told = watch::Sender::new(1);
        let mut follow = told.subscribe();
        let replicas = Replicas::new(Some(POD.to_owned()), told.clone());
        let mut seen = Vec::new();
        for (pickers, asked) in [(&[][..], 1), (&[], 2), (&[POD, "qwen3-32b-picker-a-b"], 2), (&[POD], 2)] {
            let count = replicas.note(pickers.iter().copied(), || asked);
            seen.push((count, follow.has_changed().unwrap(), *follow.borrow_and_update()));
        }
        assert_eq!(seen, [(1, false, 1), (2, true, 2), (2, false, 2), (1, true, 1)]);
        // Outside of a pod nobody shares.
        assert_eq!(Replicas::new(None, told).note(["laptop"].into_iter(), || 3), 1);
        assert!(!follow.has_changed().unwrap());
    }
}
