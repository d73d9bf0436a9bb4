//! Admitters: plugins that turn requests away before an endpoint is chosen.

room! {
    probabilistic::ProbabilisticAdmitter,
}
