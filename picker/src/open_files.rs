//! The limit on open files and connections of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit to the most that the process may have. Container runtimes start programs with 1,024 for the sake of those
/// that use `select`; this one does not, and a picker has a connection to each endpoint and many from gateways.
///
/// Returns how many those are; `None` when there is no limit.
pub fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_be() {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let less = current.unwrap_or(2048) - 1;
        setrlimit(Resource::Nofile, Rlimit { current: Some(less), maximum }).unwrap();
        assert_eq!((raise(), getrlimit(Resource::Nofile).current), (maximum, maximum));
    }
}
