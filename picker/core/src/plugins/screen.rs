//! Screeners: plugins that take candidates out for all profiles.

room! {
    rollout::RolloutScreener,
}
