//! The state of a pod whose status does not say why it is not ready.

/// How far a pod came whose status does not say why it is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SilentState {
    /// No scheduler has looked at it.
    Unscheduled,
    /// It has a node, and not all of its containers have started.
    Starting,
    /// Its containers run.
    Running,
}
