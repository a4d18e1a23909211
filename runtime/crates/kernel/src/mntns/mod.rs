//! mntns: being built
