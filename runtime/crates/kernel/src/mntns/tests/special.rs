//! `/dev`, `/proc` and `/sys/fs/cgroup`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};

use parking_lot::Mutex;

use super::super::testing::{ROOT, Words, builder, clock, layer, memory_of, user};
use super::super::{
    DevOptions, Device, MountNs, MountOptions, OpenFile, OpenOptions, ProcOptions, Quota, SeekFrom, Synthetic, Volume,
};
use crate::file::{FileType, Stream};
use crate::wait::Ready;
use crate::{Errno, Result};

const RW: OpenOptions = OpenOptions { create: false, ..OpenOptions::read_write_create() };

/// A terminal with what was typed and what was shown.
#[derive(Default)]
struct Terminal {
    typed: Mutex<VecDeque<u8>>,
    shown: Mutex<Vec<u8>>,
}

impl Stream for Terminal {
    fn read(&self, buf: &mut [u8]) -> Result<usize> {
        let mut typed = self.typed.lock();
        if typed.is_empty() {
            return Err(Errno::Again);
        }
        let length = buf.len().min(typed.len());
        for (to, byte) in buf.iter_mut().zip(typed.drain(..length)) {
            *to = byte;
        }
        Ok(length)
    }

    fn write(&self, buf: &[u8]) -> Result<usize> {
        self.shown.lock().extend_from_slice(buf);
        Ok(buf.len())
    }

    fn poll_ready(&self, interest: Ready, _cx: &mut Context<'_>) -> Ready {
        let mut ready = Ready::WRITE;
        ready.set(Ready::READ, !self.typed.lock().is_empty());
        ready.answering(interest)
    }

    fn is_terminal(&self) -> bool {
        true
    }
}

fn dev(tty: Option<Arc<dyn Stream>>) -> Synthetic {
    let random = Arc::new(|buf: &mut [u8]| buf.iter_mut().zip(1..).for_each(|(to, byte)| *to = byte));
    Synthetic::dev(DevOptions { random, tty: tty.clone(), stdio: [None, tty, None] })
}

fn root() -> Arc<OpenFile> {
    let uptime = AtomicU64::new(0);
    let proc = Synthetic::proc(ProcOptions {
        hostname: Some(Arc::new(|| b"web-0\n".to_vec())),
        uptime: Some(Arc::new(move || format!("{}.00 0.00\n", uptime.fetch_add(1, Ordering::Relaxed)).into_bytes())),
        cmdline: Some(Arc::new(|| b"sh\0".to_vec())),
        net: vec![("tcp".into(), Arc::new(|| b"  sl  local_address\n".to_vec()))],
        other: vec![("sys/net/ipv4/ip_local_port_range".into(), Arc::new(|| b"32768\t60999\n".to_vec()))],
        ..ProcOptions::default()
    });
    let cgroup = Synthetic::cgroup(&["cpu.max", "none"], |file| (file == "cpu.max").then(|| "max 100000\n".to_owned()));
    let image = layer(&[("dev/null", "an image's own"), ("etc/mtab", "-> /proc/mounts")]);
    let ns =
        builder(vec![image]).synthetic("/dev", dev(None)).synthetic("/proc", proc).synthetic("/sys/fs/cgroup", cgroup);
    ns.mount("/dev/termination-log", Volume::file(""), MountOptions::default()).build().unwrap().root_dir()
}

#[test]
fn devices_do_what_they_do() {
    let root = root();
    let open = |name: &str| root.open(&format!("dev/{name}"), RW).unwrap();
    let mut buf = [7; 4];
    assert_eq!((open("null").read(&mut buf), open("null").write(b"x")), (Ok(0), Ok(1)));
    assert_eq!((open("zero").read(&mut buf), buf), (Ok(4), [0; 4]));
    assert_eq!((open("full").write(b"x"), open("full").read_at(&mut buf, 9)), (Err(Errno::NoSpc), Ok(4)));
    assert_eq!((open("urandom").read(&mut buf), buf), (Ok(4), [1, 2, 3, 4]));
    assert_eq!(root.open("dev/tty", RW).map(drop), Err(Errno::Nxio));
    assert_eq!(open("stdout").write(b"x"), Err(Errno::Nxio));
    assert_eq!((open("stdout").stdio(), open("null").stdio()), (Some(1), None));
    assert_eq!(open("null").seek(SeekFrom::Start(5)), Ok(0));
    let stat = root.stat_at(ROOT, "dev/null", true).unwrap();
    assert_eq!((stat.file_type, stat.mode), (FileType::CharDevice, 0o666));
    assert!(root.open_at(&user(1000, 1000), "dev/null", RW).is_ok());
}

#[test]
fn a_terminal_is_reached_through_its_device() {
    let terminal = Arc::new(Terminal::default());
    let root = builder(vec![]).synthetic("/dev", dev(Some(terminal.clone()))).build().unwrap().root_dir();
    let tty = root.open("dev/tty", RW).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!((tty.read(&mut [0]), tty.poll_ready(Ready::READ, &mut cx)), (Err(Errno::Again), Ready::empty()));
    terminal.typed.lock().extend(b"ls\n");
    assert_eq!((tty.poll_ready(Ready::READ, &mut cx), tty.read(&mut [0; 9])), (Ready::READ, Ok(3)));
    root.open("dev/stdout", RW).unwrap().write(b"out").unwrap();
    assert_eq!((&terminal.shown.lock()[..], tty.is_terminal()), (&b"out"[..], true));
    assert_eq!((tty.seek(SeekFrom::Start(0)), tty.read_at(&mut [0], 0)), (Err(Errno::SPipe), Err(Errno::SPipe)));
    let file = root.open("f", OpenOptions::read_write_create()).unwrap();
    assert_eq!(file.poll_ready(Ready::READ, &mut cx), Ready::READ);
}

#[test]
fn proc_is_made_anew_for_each_open() {
    let root = root();
    assert_eq!(root.text("proc/sys/kernel/hostname").unwrap(), "web-0\n");
    let open = root.open("proc/uptime", OpenOptions::read_only()).unwrap();
    assert_eq!(root.text("proc/uptime").unwrap(), "1.00 0.00\n");
    let mut buf = [0; 16];
    assert_eq!((open.read_at(&mut buf, 0), &buf[..4]), (Ok(10), &b"0.00"[..]));
    assert_eq!(open.seek(SeekFrom::End(0)), Ok(10));
    assert_eq!(open.stat().unwrap().size, 0, "as on Linux");
    assert!(root.text("proc/net/tcp").unwrap().starts_with("  sl"));
    assert!(root.text("proc/sys/net/ipv4/ip_local_port_range").unwrap().starts_with("32768"));
    assert_eq!(root.text("sys/fs/cgroup/cpu.max").unwrap(), "max 100000\n");
    assert_eq!(root.names("sys/fs/cgroup").unwrap(), ["cpu.max"]);
    let mounts = root.text("etc/mtab").unwrap();
    assert!(mounts.contains("\nproc /proc proc rw,relatime 0 0\n"), "{mounts}");
    assert!(mounts.contains("\ncgroup2 /sys/fs/cgroup cgroup2 ro,relatime 0 0\n"), "{mounts}");
    assert!(root.text("proc/self/mountinfo").unwrap().starts_with("1 0 0:1 / / rw,relatime - overlay overlay rw\n"));
    assert_eq!(root.text("proc/self/fd/0"), Err(Errno::NoEnt), "F16");
}

#[test]
fn nothing_synthetic_can_be_replaced() {
    let root = root();
    root.put("evil", "x").unwrap();
    let new = OpenOptions::read_write_create();
    for path in ["dev/null", "dev/console", "proc/mounts", "proc/sys/kernel/hostname"] {
        assert_eq!(root.unlink_at(ROOT, path), Err(Errno::Perm), "{path}: F15");
        assert_eq!(root.rename_at(ROOT, path, &root, "taken"), Err(Errno::XDev), "{path}");
        assert_eq!(root.rename_at(ROOT, "evil", &root, path), Err(Errno::XDev), "{path}");
        assert_eq!(root.link_at(ROOT, "evil", false, &root, path), Err(Errno::XDev), "{path}");
        assert_eq!(root.symlink_at(ROOT, "/evil", path), Err(Errno::Exist), "{path}");
    }
    assert_eq!(root.rename_at(ROOT, "dev/zero", &root, "dev/null"), Err(Errno::Perm));
    assert_eq!(root.open("dev/new", new).map(drop), Err(Errno::Perm));
    assert_eq!(root.mkdir("proc/new"), Err(Errno::Perm));
    assert_eq!(root.rmdir_at(ROOT, "proc/self"), Err(Errno::Perm));
    assert_eq!(root.chmod_at(ROOT, "dev/null", true, 0), Err(Errno::Perm));
    assert_eq!(root.open("proc/uptime", RW).map(drop), Err(Errno::Acces));
    assert_eq!(root.open("sys/fs/cgroup/cpu.max", RW).map(drop), Err(Errno::RoFs));
    assert_eq!(root.rmdir_at(ROOT, "dev"), Err(Errno::Busy));
    assert_eq!(root.unlink_at(ROOT, "dev/termination-log"), Err(Errno::Busy));
    root.put("dev/termination-log", "bye").unwrap();
    assert_eq!(root.text("dev/termination-log").unwrap(), "bye");
}

#[test]
fn a_volume_at_the_place_of_a_synthetic_tree_wins() {
    let ns = builder(vec![]).mount("/dev", Volume::tmpfs(Default::default()), MountOptions::default());
    let root = ns.synthetic("/dev", dev(None)).build().unwrap().root_dir();
    assert_eq!(root.names("dev").unwrap(), Vec::<String>::new());
}

#[test]
fn what_a_provider_says_is_bounded_and_charged_while_it_is_open() {
    let memory = memory_of(1 << 30);
    let ns = MountNs::builder(clock(), memory.clone()).root(vec![], Quota::root("u", None, None));
    let big = Synthetic::new("test").file("big", Arc::new(|| vec![b'x'; 5 << 20]));
    let root = ns.synthetic("/t", big).build().unwrap().root_dir();
    let open = root.open("t/big", OpenOptions::read_only()).unwrap();
    assert_eq!((open.seek(SeekFrom::End(0)), memory.memory_stats().current), (Ok(1 << 20), 1 << 20));
    drop(open);
    assert_eq!(memory.memory_stats().current, 0);
}

#[test]
fn a_synthetic_tree_that_cannot_be_is_reported() {
    let tree =
        Synthetic::new("test").device("a", Device::Null).file("a/b", Arc::new(Vec::new)).dir("c/d").symlink("l", "c");
    let error = builder(vec![]).synthetic("/t", tree).build().unwrap_err();
    assert_eq!(error.to_string(), "mount /t: synthetic tree: Not a directory");
}
