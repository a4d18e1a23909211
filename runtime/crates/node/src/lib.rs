//! The node agent: what the kubelet is on a node. It takes pods and makes them run, through the container runtime.
//!
//! A map of the code:
//! - [`lifecycle`]: the decisions, pure: plan, state, actions, phase, back-off, status.
//! - [`env`]: a container's environment, `$(NAME)` expansion, the downward API's values.
//! - [`objects`]: the ConfigMaps and Secrets that pods refer to.
//! - [`fields`]: the one table of what each field of a pod does here.
//! - [`events`]: events, and who is told.
//!
//! It does not read manifests (`api`), run programs (`cri`) or talk to people (the binary).
#![forbid(unsafe_code)]

pub mod env;
pub mod events;
pub mod lifecycle;
pub mod objects;
