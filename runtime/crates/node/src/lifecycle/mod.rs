//! The decisions of a pod's life, pure: no clock, no tasks, no effects.
//!
//! - [`plan`]: what of a manifest the decisions need
//! - [`state`]: what has happened so far
//! - [`back_off`]: when a container that ended may start again
//! - [`phase`]: the pod's phase
//! - [`actions`]: what to do next
//! - [`status`]: the state as a Kubernetes PodStatus
//!
//! ```text
//!              volumes, sandbox, init containers, containers, restarts
//!             ┌──────────────────────────────────────────────────────┐
//!   submit ──►│ Syncing │── all ended, deadline, stop ──► Terminating │──► Terminated
//!             └──────────────────────────────────────────────────────┘   (phase is final)
//! ```

pub mod actions;
pub mod back_off;
pub mod phase;
pub mod plan;
pub mod state;
pub mod status;

#[cfg(test)]
mod properties;
