//! `fs_cat PATH...`: prints files, links and directories (recursively, sorted).
use std::path::Path;

fn main() {
    std::env::args().skip(1).for_each(|path| guest_fs::show(Path::new(&path)));
}
