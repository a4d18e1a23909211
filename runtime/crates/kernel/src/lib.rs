//! The simulated kernel: what a pod shares and what its containers are kept apart by, as plain structs and `poll`-style calls.
//! No tokio, no wasmtime, no host IO but for hostPath mounts. A call that would block says [`Errno::Again`] and keeps a waker
//! when it is polled; the `wasi` crate turns that into system calls.
//!
//! A map of the code, in the words of Linux:
//! - [`errno`]: the one error type of all system calls.
//! - [`wait`]: readiness and wait queues.
//! - [`wchan`]: what a process is blocked on.
//! - [`mod@file`]: open file descriptions, the descriptor table, and byte streams.
//! - [`pipe`]: pipes with back-pressure and EPIPE.
//! - [`signal`]: signals and how an ended process is described.
//! - [`pidns`]: the processes of a container or a pod, by number.
//! - [`process`]: a process: its ids, namespaces, arguments and descriptors.
//! - [`usage`]: what a process has used.
//! - [`cgroup`]: cpu.max, cpu.weight and memory.max, with their statistics.
//! - [`mntns`]: the file system: layers, tmpfs, hostPath, mounts, `/proc` and `/dev`.
//! - [`netns`]: a pod's network stack: TCP and UDP over `lo` and `eth0`.
//! - [`fabric`]: what joins the pods' network stacks: addresses and names.
//! - [`ipcns`]: a pod's message queues, semaphores and shared memory.
//! - [`utsns`]: the hostname.
//!
//! Lock order, outermost first: process descriptors; mount table, inode; socket control, one pod's port table, listener, connect
//! request, stream halves; IPC names, one IPC object, a process' undo list; wait queue; cgroup. A lock is never held while a waker is called.
#![forbid(unsafe_code)]

pub mod cgroup;
pub mod errno;
pub mod fabric;
pub mod file;
pub mod ipcns;
pub mod mntns;
pub mod netns;
pub mod pidns;
pub mod pipe;
pub mod process;
pub mod signal;
pub mod usage;
pub mod utsns;
pub mod wait;
pub mod wchan;

pub use errno::{Errno, Result};
pub use wasmpod_sim as sim;
