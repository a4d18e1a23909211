//! `abuse_files CASE`: tries to leave, to change or to fill what it must not. /data and /small are volumes that can be written, /ro is
//! read-only, /twin is /data mounted read-only. Case names are those of docs/THREAT_MODEL.md.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};

use guest_abuse::{fail, holds, must, refused, symlink};
use libc::{
    EACCES, EBUSY, EEXIST, EINVAL, EIO, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, EPERM, EROFS,
    EXDEV,
};

fn main() {
    let case = guest_abuse::arg(1);
    match case.as_str() {
        "f05" => links_out(),
        "f06" => slashes(),
        "f07" => links_across(),
        "f08" => truncate(),
        "f09" => names(),
        "f10" => descriptors(),
        "f11" => flood(),
        "f12" => fill(),
        "f13" => inodes(),
        "f14" => uncounted(),
        "f15" => replace(),
        "f16" => host_descriptors(),
        _ => guest_abuse::unknown(&case),
    }
    println!("abuse_files {case}: all refused");
}

/// F5: a link with `..`, or an absolute one, leads nowhere, for reading, writing and making.
fn links_out() {
    refused("an absolute link", symlink("/etc/hostname", "/data/absolute"), &[EPERM]);
    let targets = ["../../../etc/passwd", "../etc/hostname", "../../../../../../proc/self/environ"];
    for (n, target) in targets.iter().enumerate() {
        let link = format!("/data/out{n}");
        must("symlink", symlink(target, &link));
        refused(&format!("reading {target}"), fs::read(&link), &[EPERM, ENOENT]);
        refused(&format!("writing {target}"), fs::write(&link, "x"), &[EPERM, ENOENT]);
    }
    must("a link to the parent", symlink("..", "/data/up"));
    refused("a file beside the volume", fs::write("/data/up/escaped", "x"), &[EPERM, ENOENT]);
    refused("a folder beside the volume", fs::create_dir("/data/up/escaped"), &[EPERM, ENOENT]);
    must("mover", fs::write("/data/mover", "x"));
    refused("a rename out", fs::rename("/data/mover", "/data/up/escaped"), &[EPERM, ENOENT]);
    refused("a link out", fs::hard_link("/data/mover", "/data/up/escaped"), &[EPERM, ENOENT, EXDEV]);
    must("a folder", fs::create_dir("/data/d"));
    must("a link through itself", symlink("d/../../etc/hostname", "/data/through"));
    refused("through a folder and up", fs::read("/data/through"), &[EPERM, ENOENT]);
    holds("nothing was made beside it", fs::metadata("/escaped").is_err(), &());
}

/// F6: slashes at the end mean a directory, and lead nowhere else.
fn slashes() {
    must("file", fs::write("/data/file", "x"));
    must("folder", fs::create_dir("/data/dir/"));
    refused("a file as a folder", fs::read("/data/file/"), &[ENOTDIR]);
    refused("a file made as a folder", fs::write("/data/new/", "x"), &[EISDIR, ENOENT, EINVAL]);
    refused("unlink of file/", fs::remove_file("/data/file/"), &[ENOTDIR]);
    refused("rename of file/", fs::rename("/data/file/", "/data/other"), &[ENOTDIR]);
    refused("rename to a name with a slash", fs::rename("/data/file", "/data/other/"), &[ENOTDIR, ENOENT, EISDIR]);
    refused("a link made as a folder", symlink("file", "/data/link/"), &[ENOENT, ENOTDIR, EEXIST]);
    must("a link out with a slash", symlink("../etc/", "/data/etc"));
    refused("listing it", fs::read_dir("/data/etc/"), &[EPERM, ENOENT]);
    refused("reading through it", fs::read("/data/etc//hostname"), &[EPERM, ENOENT]);
    must("a link with slashes to a folder", symlink("dir///", "/data/slashed"));
    must("goes there", fs::write("/data/slashed/inside", "x"));
    holds("and only there", fs::read("/data/dir/inside").is_ok_and(|text| text == b"x"), &());
    must("rename of a folder with slashes", fs::rename("/data/dir/", "/data/moved//"));
}

/// F7: a name for a file of a read-only mount in one that can be written would make it writable.
fn links_across() {
    must("a file of both", fs::write("/data/shared", "before"));
    for (from, what) in [("/ro/config", "another volume"), ("/twin/shared", "the same volume, read-only")] {
        let linked = fs::hard_link(from, "/data/linked");
        refused(&format!("a hard link from {what}"), linked, &[EXDEV, EPERM, EROFS]);
        refused(&format!("a rename from {what}"), fs::rename(from, "/data/linked"), &[EXDEV, EPERM, EROFS]);
        refused(&format!("a rename into {what}"), fs::rename("/data/shared", from), &[EXDEV, EPERM, EROFS]);
    }
    refused("a rename within it", fs::rename("/twin/shared", "/twin/other"), &[EROFS]);
    holds("the file is as it was", fs::read("/data/shared").is_ok_and(|text| text == b"before"), &());
}

/// F8: opening for reading with TRUNC is a change too.
fn truncate() {
    let before = must("read", fs::read("/ro/config"));
    for (name, options) in [
        ("write and truncate", OpenOptions::new().write(true).truncate(true).to_owned()),
        ("append", OpenOptions::new().append(true).to_owned()),
        ("create and truncate", OpenOptions::new().write(true).create(true).truncate(true).to_owned()),
    ] {
        refused(name, options.open("/ro/config"), &[EROFS]);
    }
    match sys::truncate_for_reading("/ro", "config") {
        Err(error) => holds("truncating without the right to write is refused", sys::is_read_only(&error), &error),
        Ok(()) => fail("truncating without the right to write", "it worked"),
    }
    let file = must("open for reading", File::open("/ro/config"));
    refused("set_len of what is open for reading", file.set_len(0), &[EROFS, EINVAL, EACCES, EPERM, libc::EBADF]);
    holds("it is as it was", fs::read("/ro/config").is_ok_and(|text| text == before), &before.len());
}

/// F9: loops, dangling links, deep trees, endless names.
fn names() {
    must("one half of a loop", symlink("b", "/data/a"));
    must("the other half", symlink("a", "/data/b"));
    refused("opening a loop", File::open("/data/a"), &[ELOOP]);
    refused("a loop in the middle", File::open("/data/a/b/a"), &[ELOOP]);
    must("a link that doubles itself", symlink("x/x", "/data/x"));
    refused("opening it", File::open("/data/x"), &[ELOOP]);
    must("a link to nowhere", symlink("nowhere", "/data/dangling"));
    refused("opening nowhere", File::open("/data/dangling"), &[ENOENT]);
    let (long, endless) = ("n".repeat(256), "n".repeat(1 << 20));
    for name in [&long, &endless, &"d/".repeat(1 << 19)] {
        refused("a name too long", fs::write(format!("/data/{name}"), ""), &[ENAMETOOLONG, ENOENT]);
        refused("a folder too long", fs::create_dir(format!("/data/{name}")), &[ENAMETOOLONG, ENOENT]);
    }
    refused("a link to what is too long", symlink(&endless, "/data/endless"), &[ENAMETOOLONG]);
    refused("an empty name", fs::write("", ""), &[ENOENT, EINVAL, EISDIR]);
    sys::raw_names();
    let depth = sys::dig("/data", 10_000);
    holds("a tree 10,000 deep ends at the limit or is there", (8_000..=10_000).contains(&depth), &depth);
}

/// F10: descriptors closed, moved and overwritten.
fn descriptors() {
    sys::descriptor_games();
    // the last: even the way to the files can be thrown away
    for fd in 3..64 {
        // SAFETY: whoever held it is not used any more
        let _ = unsafe { libc::close(fd) };
    }
    holds("without its folders nothing is found", File::open("/etc/hostname").is_err(), &());
}

/// F11: as many open files as there may be, and no more.
fn flood() {
    must("a file", fs::write("/data/f", "x"));
    for turn in 0..2 {
        let (mut held, end) = (Vec::new(), 100_000);
        let error = loop {
            match File::open("/data/f") {
                Ok(file) if held.len() < end => held.push(file),
                Ok(_) => fail("opening without end", "100000 are open"),
                Err(error) => break error,
            }
        };
        holds("the errno is that of too many files", sys::is_too_many(&error), &error);
        holds("there is a limit", (900..=20_000).contains(&held.len()), &held.len());
        println!("turn {turn}: {} open files", held.len());
    }
    must("afterwards they can be opened again", File::open("/data/f"));
}

/// F12: a full volume and a full writable layer.
fn fill() {
    for (path, at_least, at_most) in [("/small/fill", 500 << 10, 1 << 20), ("/fill", 1 << 20, 4 << 20)] {
        for _ in 0..2 {
            let mut file = must("create", File::create(path));
            let (chunk, mut held) = (vec![7u8; 16 << 10], 0usize);
            let error = loop {
                match file.write(&chunk) {
                    Ok(0) => fail("filling", "a write of nothing"),
                    Ok(n) => held += n,
                    Err(error) => break error,
                }
                holds_below(path, held, at_most + chunk.len());
            };
            // the libc of WASI 0.2 makes EIO of every failure of a stream
            let expected = if cfg!(target_env = "p2") { EIO } else { ENOSPC };
            holds("the errno is that of a full disk", error.raw_os_error() == Some(expected), &error);
            holds("as much as allowed was held", (at_least..=at_most).contains(&held), &held);
            drop(file);
            must("remove it", fs::remove_file(path));
        }
        must("there is room again", fs::write(path, vec![1u8; 64 << 10]));
    }
    refused(
        "a file that is a hole beyond the quota is no way to have more",
        hole("/small/hole"),
        &[ENOSPC, libc::EFBIG, EIO],
    );
}

/// A file of 1 TiB of nothing, then written at both ends and all over.
fn hole(path: &str) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::create(path)?;
    file.set_len(1 << 40)?;
    for at in 0..10_000u64 {
        file.seek(SeekFrom::Start(at << 26))?;
        file.write_all(b"x")?;
    }
    Ok(())
}

fn holds_below(what: &str, held: usize, limit: usize) {
    if held > limit {
        fail(what, &format!("it holds {held} bytes, more than {limit}"));
    }
}

/// F13: names are counted even of what is empty.
fn inodes() {
    let mut made = 0u32;
    let error = loop {
        match File::create(format!("/data/{made}")) {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        holds_below("empty files", made as usize, 500_000);
    };
    holds("the errno is that of a full disk", error.raw_os_error() == Some(ENOSPC), &error);
    println!("made {made} empty files");
    refused("a folder more", fs::create_dir("/data/more"), &[ENOSPC]);
    refused("a link more", symlink("x", "/data/more"), &[ENOSPC]);
    must("one less", fs::remove_file("/data/0"));
    must("makes room for one", File::create("/data/more"));
}

/// F14: the files that nobody counts.
fn uncounted() {
    for path in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/termination-log"] {
        let file = OpenOptions::new().append(true).open(path);
        let mut file = match file {
            Ok(file) => file,
            Err(error) => {
                println!("refused opening {path}: {:?}", error.kind());
                continue;
            }
        };
        let (chunk, mut held) = (vec![b'#'; 4 << 10], 0usize);
        while let Ok(n @ 1..) = file.write(&chunk) {
            held += n;
            holds_below(path, held, 1 << 20);
        }
        println!("{path} is full");
    }
    let written = (0..100_000).all(|_| fs::write("/dev/null", [0; 4096]).is_ok());
    holds("/dev/null takes everything and keeps nothing", written, &());
}

/// F15: what the runtime made stays what it is.
fn replace() {
    let made =
        ["/dev/null", "/dev/zero", "/dev/urandom", "/proc/self/status", "/proc/mounts", "/proc/self", "/etc/hosts"];
    let errnos = [EPERM, EBUSY, EROFS, EACCES, EXDEV, EISDIR, ENOTDIR, EEXIST];
    must("a link to put in place", symlink("data", "/tmp-link"));
    for path in made {
        refused(&format!("removing {path}"), fs::remove_file(path), &errnos);
        refused(&format!("replacing {path}"), fs::rename("/tmp-link", path), &errnos);
        refused(&format!("a link over {path}"), symlink("data", path), &errnos);
        refused(&format!("moving {path} away"), fs::rename(path, "/data/away"), &errnos);
    }
    for folder in ["/dev", "/proc"] {
        refused(&format!("moving {folder} away"), fs::rename(folder, "/away"), &errnos);
        refused(
            &format!("removing {folder}"),
            fs::remove_dir(folder),
            &[EPERM, EBUSY, EROFS, EACCES, libc::ENOTEMPTY, EINVAL],
        );
        let console = symlink("null", &format!("{folder}/console"));
        refused(&format!("a link in {folder}"), console, &[EPERM, EROFS, EACCES, EEXIST]);
    }
    holds("/dev/null is empty still", fs::read("/dev/null").is_ok_and(|bytes| bytes.is_empty()), &());
}

/// F16: nothing names a descriptor, a folder or the memory of the host.
fn host_descriptors() {
    for path in [
        "/proc/self/root/etc/hostname",
        "/proc/self/mem",
        "/proc/self/maps",
        "/proc/self/map_files",
        "/proc/kcore",
        "/proc/sysrq-trigger",
        "/dev/mem",
        "/sys/kernel",
    ] {
        refused(&format!("opening {path}"), File::open(path), &[ENOENT, EPERM, EACCES, ENOTDIR]);
    }
    for fd in 0..256 {
        for form in ["/proc/self/fd", "/proc/1/fd", "/dev/fd"] {
            let path = format!("{form}/{fd}/..");
            if fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_some()) {
                fail("a descriptor is a way out", &path);
            }
        }
    }
    println!("refused 256 descriptors by name");
}

#[cfg(target_env = "p1")]
mod sys {
    use super::*;

    /// The descriptor of a pre-opened folder.
    fn folder(path: &str) -> u32 {
        let wanted = path.trim_start_matches('/');
        for fd in 3..64 {
            // SAFETY: the host checks descriptors; the name fits its buffer
            unsafe {
                let Ok(prestat) = wasip1::fd_prestat_get(fd) else { continue };
                let mut name = vec![0; prestat.u.dir.pr_name_len];
                let got = wasip1::fd_prestat_dir_name(fd, name.as_mut_ptr(), name.len());
                if got.is_ok() && String::from_utf8_lossy(&name).trim_start_matches('/') == wanted {
                    return fd;
                }
            }
        }
        fail("no such folder", path)
    }

    fn open(fd: u32, name: &str, how: wasip1::Oflags, rights: wasip1::Rights) -> Result<u32, wasip1::Errno> {
        // SAFETY: the host checks descriptors, the name lives through the call
        unsafe { wasip1::path_open(fd, 0, name, how, rights, 0, 0) }
    }

    pub fn truncate_for_reading(at: &str, name: &str) -> Result<(), String> {
        let opened = open(folder(at), name, wasip1::OFLAGS_TRUNC, wasip1::RIGHTS_FD_READ);
        opened.map(drop).map_err(|e| e.name().to_owned())
    }

    pub fn is_read_only(error: &str) -> bool {
        error == "ROFS"
    }

    pub fn is_too_many(error: &io::Error) -> bool {
        error.raw_os_error() == Some(EMFILE)
    }

    /// Folders in one another, until it is refused.
    pub fn dig(at: &str, depth: u32) -> u32 {
        let mut here = folder(at);
        for level in 0..depth {
            // SAFETY: as above; the descriptor that is closed is our own
            unsafe {
                if wasip1::path_create_directory(here, "d").is_err() {
                    return level;
                }
                let Ok(next) = open(here, "d", wasip1::OFLAGS_DIRECTORY, 0) else { return level };
                if level > 0 {
                    let _ = wasip1::fd_close(here);
                }
                here = next;
            }
        }
        depth
    }

    /// Names that Rust's own strings or C's would not let through.
    pub fn raw_names() {
        #[link(wasm_import_module = "wasi_snapshot_preview1")]
        unsafe extern "C" {
            #[link_name = "path_create_directory"]
            fn path_create_directory(fd: u32, path: *const u8, len: usize) -> u32;
        }
        let fd = folder("/data");
        for name in [&b"\xff\xfe"[..], b"a\0b", b"\xed\xa0\x80", b"", b"/", b"\0", &[b'/'; 5000]] {
            // SAFETY: the name is as long as said
            let errno = unsafe { path_create_directory(fd, name.as_ptr(), name.len()) } as i32;
            let known = [libc::EILSEQ, EINVAL, ENOENT, ENAMETOOLONG, EPERM, EEXIST];
            holds("a name of wrong bytes is an errno", known.contains(&errno), &errno);
        }
    }

    pub fn descriptor_games() {
        // SAFETY: the host checks descriptors; those that are moved are not used otherwise
        unsafe {
            for fd in [u32::MAX, 1 << 31, 1024, 99] {
                let errnos = [
                    wasip1::fd_close(fd).err(),
                    wasip1::fd_renumber(fd, 3).err(),
                    wasip1::fd_renumber(3, fd).err(),
                    wasip1::fd_tell(fd).err(),
                    wasip1::fd_prestat_get(fd).err(),
                    wasip1::path_create_directory(fd, "x").err(),
                ];
                holds("what is not open is EBADF", errnos.iter().all(|e| *e == Some(wasip1::ERRNO_BADF)), &errnos);
            }
            let data = folder("/data");
            let file = open(data, "f", wasip1::OFLAGS_CREAT, wasip1::RIGHTS_FD_WRITE | wasip1::RIGHTS_FD_READ);
            let file = file.unwrap_or_else(|e| fail("open", e.name()));
            holds("onto itself", wasip1::fd_renumber(file, file).is_ok(), &());
            holds("a folder over standard input", wasip1::fd_renumber(data, 0).is_ok(), &());
            holds("it is a folder now", wasip1::path_create_directory(0, "made").is_ok(), &());
            holds("its old number is dangling", wasip1::path_create_directory(data, "x").is_err(), &());
            holds("a file over it", wasip1::fd_renumber(file, 0).is_ok(), &());
            holds("it is a file now", wasip1::path_create_directory(0, "x").is_err(), &());
            holds("closing it", wasip1::fd_close(0).is_ok(), &());
            holds("closing it again", wasip1::fd_close(0) == Err(wasip1::ERRNO_BADF), &());
            holds("closing standard error", wasip1::fd_close(2).is_ok(), &());
            holds("a flood of renumbering", (0..10_000).all(|_| wasip1::fd_renumber(99, 98).is_err()), &());
        }
    }
}

#[cfg(target_env = "p2")]
mod sys {
    use super::*;
    use guest_abuse::checked;
    use wasip2::filesystem::preopens::get_directories;
    use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};

    fn folder(path: &str) -> Descriptor {
        let found = get_directories().into_iter().find(|(_, name)| name == path);
        found.unwrap_or_else(|| fail("no such folder", path)).0
    }

    pub fn truncate_for_reading(at: &str, name: &str) -> Result<(), String> {
        let opened = folder(at).open_at(PathFlags::empty(), name, OpenFlags::TRUNCATE, DescriptorFlags::READ);
        opened.map(drop).map_err(|e| format!("{e:?}"))
    }

    /// WASI 0.2 has no way to ask for it: truncating needs the right to write, and without it the call makes no sense.
    pub fn is_read_only(error: &str) -> bool {
        error.contains("read-only") || error.contains("ReadOnly") || error.contains("invalid")
    }

    pub fn is_too_many(error: &io::Error) -> bool {
        [EMFILE, libc::ENFILE, libc::ENOMEM].iter().any(|errno| error.raw_os_error() == Some(*errno))
    }

    /// Folders in one another, until it is refused.
    pub fn dig(at: &str, depth: u32) -> u32 {
        let mut here = folder(at);
        for level in 0..depth {
            if here.create_directory_at("d").is_err() {
                return level;
            }
            match here.open_at(PathFlags::empty(), "d", OpenFlags::DIRECTORY, DescriptorFlags::READ) {
                Ok(next) => here = next,
                Err(_) => return level,
            }
        }
        depth
    }

    pub fn raw_names() {
        let data = folder("/data");
        for name in ["a\0b", "", "/", "\0", "..", "a/../../b", &"/".repeat(5000)] {
            let made = data.create_directory_at(name);
            holds("a name of wrong bytes is an error", made.is_err(), &name.len());
        }
    }

    pub fn descriptor_games() {
        let data = folder("/data");
        let file = data
            .open_at(PathFlags::empty(), "f", OpenFlags::CREATE, DescriptorFlags::READ | DescriptorFlags::WRITE)
            .unwrap_or_else(|e| fail("open", e.name()));
        holds("a file is no folder", file.create_directory_at("x") == Err(ErrorCode::NotDirectory), &());
        let streams: Vec<_> = (0..4).map(|n| file.write_via_stream(n << 40)).collect();
        holds("streams far behind the end", streams.iter().all(Result::is_ok), &());
        drop(data);
        holds("a file outlives its folder's handle", file.stat().is_ok(), &());
        // SAFETY: nothing uses standard input and error afterwards
        holds(
            "closing what is open",
            unsafe { checked(libc::close(0)).is_ok() && checked(libc::close(2)).is_ok() },
            &(),
        );
    }
}
