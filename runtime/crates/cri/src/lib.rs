//! The container runtime: what containerd is to a kubelet. Sandboxes, containers, images and logs, in the words of the CRI API
//! (kubernetes/cri-api). It knows no Pod manifest and no restart policy: the node agent above decides, this carries out.
//!
//! A map of the code:
//! - [`runtime`]: the node: its cgroups, its fabric, its storage, its sandboxes.
//! - [`sandbox`]: what the containers of a pod share.
//! - [`container`]: one run of one container, as a state machine.
//! - [`image`]: a `.wasm` file or a directory as a root filesystem.
//! - [`holdings`]: what pods hold of the node, which is nothing at the end.
//! - [`exec`]: finding a program in a root filesystem.
//! - [`rootfs`]: a container's mount namespace, `/proc`, `/dev` and `/etc` included.
//! - [`log`]: the container's log in CRI format.
//! - [`deadlock`]: who waits for what, when nothing can ever happen again.
//! - [`inspect`]: what is inside of a pod at one moment.
//! - [`fault`]: what can be done to a container or a link from outside, to see what comes of it.
//! - [`events`]: what is told to the node agent.
//! - [`mod@publish`]: a port of this machine's loopback that leads into a pod.
#![forbid(unsafe_code)]

pub mod container;
pub mod deadlock;
pub mod events;
pub mod exec;
pub mod fault;
pub mod holdings;
pub mod image;
pub mod inspect;
pub mod log;
pub mod publish;
pub mod rootfs;
pub mod runtime;
pub mod sandbox;

pub use container::{Container, ContainerConfig, ContainerState, Exited, Mount, Port};
pub use events::{ContainerEvent, ContainerEventKind, Events};
pub use holdings::Holdings;
pub use image::{Image, ImageError, ImageSource};
pub use inspect::PodInspection;
pub use log::{ContainerLog, LogLimits, OutputSink, StdStream};
pub use publish::{Protocol, PublishError, Published, publish};
pub use runtime::{NodeConfig, Runtime, RuntimeConfig};
pub use sandbox::{DnsSettings, Sandbox, SandboxConfig};
pub use wasmpod_kernel::fabric::link::{self, LinkProps};
pub use wasmpod_kernel::fabric::tap;

/// Why the runtime could not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// The container cannot be made (the kubelet shows CreateContainerError).
    #[error("{0}")]
    Create(String),
    /// The container was made but its program cannot be started (RunContainerError; the state is exited, code 128, StartError).
    #[error("{0}")]
    Start(String),
    /// The sandbox cannot be made (FailedCreatePodSandBox).
    #[error("{0}")]
    Sandbox(String),
    /// It is in a state that does not allow this.
    #[error("{0}")]
    State(String),
    /// The host's file system failed.
    #[error("{path}: {source}")]
    Host {
        /// What was used.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}
