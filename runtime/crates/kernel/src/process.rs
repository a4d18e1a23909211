//! A process (`fork(2)` has no counterpart yet): its ids, the namespaces it lives in, what it was started with, and its
//! descriptors. One process is one instance of a wasm program. Owns no execution: the `engine` runs it.

use std::sync::Arc;

use parking_lot::Mutex;
use wasmpod_sim::{Clock, Sim, Stream as RandomStream};

use crate::cgroup::Cgroup;
use crate::file::{Descriptor, FdTable};
use crate::mntns::{Cred, MountNs};
use crate::netns::NetNs;
use crate::utsns::UtsNs;
use crate::{Errno, Result};

/// The longest argument list plus environment, in bytes, as Linux' usual ARG_MAX.
pub const MAX_ARGS_BYTES: usize = 2 * 1024 * 1024;

/// What a process is started with.
pub struct ProcessSpec {
    /// Its number in its pid namespace; 1 for a container's entry point.
    pub pid: u32,
    /// For people: `<pod>/<container>`. Also names its random streams.
    pub name: String,
    /// The arguments, the program's name first.
    pub args: Vec<String>,
    /// The environment, in order; names hold no `=`.
    pub env: Vec<(String, String)>,
    /// The working directory, an absolute path.
    pub cwd: String,
    /// Who it runs as.
    pub cred: Cred,
    /// Its file system.
    pub mnt: Arc<MountNs>,
    /// Its network stack, shared with the pod.
    pub net: Arc<NetNs>,
    /// Its hostname, shared with the pod.
    pub uts: Arc<UtsNs>,
    /// What it is charged to.
    pub cgroup: Arc<Cgroup>,
}

/// A running process, as its system calls see it.
pub struct Process {
    /// What it was started with.
    pub spec: ProcessSpec,
    /// Its descriptors.
    pub fds: Mutex<FdTable>,
    sim: Sim,
    random: Mutex<RandomStream>,
}

impl Process {
    /// Makes a process without descriptors.
    ///
    /// # Errors
    /// [`Errno::TooBig`] if arguments and environment exceed [`MAX_ARGS_BYTES`]; [`Errno::Inval`] if one holds a NUL byte.
    pub fn new(spec: ProcessSpec, sim: &Sim) -> Result<Arc<Self>> {
        let strings = || spec.args.iter().chain(spec.env.iter().flat_map(|(name, value)| [name, value]));
        if strings().map(|text| text.len() + 2).sum::<usize>() > MAX_ARGS_BYTES {
            return Err(Errno::TooBig);
        }
        if strings().any(|text| text.contains('\0')) {
            return Err(Errno::Inval);
        }
        let random = Mutex::new(sim.entropy().stream(&format!("process/{}/{}", spec.name, spec.pid)));
        Ok(Arc::new(Self { spec, fds: Mutex::new(FdTable::new()), sim: sim.clone(), random }))
    }

    /// The world's handle.
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// The clock this process sees.
    pub fn clock(&self) -> &Clock {
        self.sim.clock()
    }

    /// Fills `buffer` with random bytes (`getrandom(2)`), from a stream of this process' own.
    pub fn getrandom(&self, buffer: &mut [u8]) {
        self.random.lock().fill(buffer);
    }

    /// The descriptor `fd`, cloned out of the table so that no lock is held while it is used.
    ///
    /// # Errors
    /// [`Errno::BadF`] if it is not open.
    pub fn descriptor(&self, fd: u32) -> Result<Descriptor> {
        self.fds.lock().get(fd).cloned()
    }

    /// Closes every descriptor, as the end of a process does.
    pub fn close_all(&self) {
        let closed = self.fds.lock().take_all();
        drop(closed); // outside of the lock: closing a socket wakes its peer
    }
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").field("pid", &self.spec.pid).field("name", &self.spec.name).finish()
    }
}
