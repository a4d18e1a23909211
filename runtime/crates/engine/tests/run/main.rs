//! The engine as a whole: small programs in the text format, run as processes of a real cgroup, in virtual time, where every
//! figure is exact; and in real time where threads matter.

mod cache;
mod ends;
mod fuel;
mod harness;
mod load;
