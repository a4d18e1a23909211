//! cgroup: being built
