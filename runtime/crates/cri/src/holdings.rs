//! What pods hold of the node at this moment, in one line: after the last pod is gone it is nothing, or something leaks. Owns the
//! sum; who holds what is the cgroups', the quotas' and the fabric's to say.

use std::fmt;

use crate::runtime::Runtime;

/// What all pods together hold of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Sandboxes that were made and not removed.
    pub sandboxes: usize,
    /// Addresses of pods.
    pub addresses: usize,
    /// Processes.
    pub processes: u64,
    /// Bytes charged to memory cgroups: programs' memories and tables, files in memory, buffers of sockets and pipes.
    pub memory_bytes: u64,
    /// Bytes on the node's disk: writable layers and volumes.
    pub storage_bytes: u64,
    /// Names on the node's disk.
    pub storage_inodes: u64,
}

impl Holdings {
    /// True if everything was given back.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_nothing() {
            return f.write_str("nothing");
        }
        let Self { sandboxes, addresses, processes, memory_bytes, storage_bytes, storage_inodes } = self;
        write!(
            f,
            "sandboxes={sandboxes} addresses={addresses} processes={processes} memory={memory_bytes} \
             storage={storage_bytes} inodes={storage_inodes}"
        )
    }
}

impl Runtime {
    /// What all pods together hold now.
    pub fn holdings(&self) -> Holdings {
        let storage = self.storage().usage();
        Holdings {
            sandboxes: self.sandboxes().len(),
            addresses: self.fabric().addresses_in_use(),
            processes: self.node_cgroup().pids_stats().current,
            memory_bytes: self.node_cgroup().memory_stats().current,
            storage_bytes: storage.bytes,
            storage_inodes: storage.inodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_as_such() {
        let mut holdings = Holdings::default();
        assert_eq!(holdings.to_string(), "nothing");
        holdings.memory_bytes = 1;
        assert_eq!(holdings.to_string(), "sandboxes=0 addresses=0 processes=0 memory=1 storage=0 inodes=0");
    }
}
