//! The node agent: what the kubelet is on a node. It takes pods and makes them run, through the container runtime.
//!
//! A map of the code:
//! - [`agent`]: the agent and the handles to its pods.
//! - `worker`: one pod at work; effects only.
//! - [`lifecycle`]: the decisions, pure: plan, state, actions, phase, back-off, status.
//! - [`mod@env`]: a container's environment, `$(NAME)` expansion, the downward API's values.
//! - [`volumes`]: emptyDir, configMap, secret, downwardAPI, projected and hostPath volumes, and their mounts.
//! - [`resources`]: requests and limits, the QoS class. [`security`]: whom a container runs as. [`dns`]: resolv.conf.
//! - [`objects`]: the ConfigMaps and Secrets that pods refer to.
//! - [`fields`]: the one table of what each field of a pod does here.
//! - [`events`]: events, and who is told.
//!
//! It does not read manifests (`api`), run programs (`cri`) or talk to people (the binary).
#![forbid(unsafe_code)]

pub mod agent;
pub mod dns;
pub mod env;
pub mod events;
pub mod fields;
pub mod lifecycle;
mod mailbox;
pub mod objects;
pub mod resources;
pub mod security;
pub mod volumes;
mod worker;

pub use agent::{Agent, AgentConfig, PodHandle, PodRequest};
