//! Tests of the mount namespace through its calls, one file for each subject. What belongs to one source file alone is tested
//! beside it.

mod crowd;
mod escape;
mod hostpath;
mod image;
mod model;
mod mounts;
mod names;
mod open;
mod special;
mod volumes;
