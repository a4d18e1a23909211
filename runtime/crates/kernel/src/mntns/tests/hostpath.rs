//! hostPath: the same calls on a directory of the host, and no way out of it.

use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::super::testing::{ROOT, Words, builder, user};
use super::super::{MountOptions, OpenFile, OpenOptions, SeekFrom, SetTime, Volume};
use crate::Errno;
use crate::file::FileType;

fn volume(path: &Path) -> Volume {
    Volume::host(Dir::open_ambient_dir(path, ambient_authority()).unwrap(), false)
}

fn mount(path: &Path) -> Arc<OpenFile> {
    builder(vec![]).mount("/h", volume(path), MountOptions::default()).build().unwrap().root_dir()
}

#[test]
fn files_of_the_host_are_read_and_written() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("in"), "from the host").unwrap();
    let root = mount(host.path());
    assert_eq!(root.text("h/in").unwrap(), "from the host");
    root.mkdir("h/d").unwrap();
    root.put("h/d/out", "from the guest").unwrap();
    assert_eq!(std::fs::read_to_string(host.path().join("d/out")).unwrap(), "from the guest");
    let file = root.open("h/d/out", OpenOptions { append: true, ..OpenOptions::read_write_create() }).unwrap();
    assert_eq!((file.write(b"!"), file.tell()), (Ok(1), Ok(15)));
    assert_eq!(file.seek(SeekFrom::End(-6)), Ok(9));
    let mut buf = [0; 16];
    assert_eq!((file.read(&mut buf), &buf[..6]), (Ok(6), &b"guest!"[..]));
    assert_eq!((file.set_len(4), file.allocate(0, 10), file.sync()), (Ok(()), Ok(()), Ok(())));
    file.set_times(SetTime::At(5_000_000_000), SetTime::At(6_000_000_000)).unwrap();
    let stat = file.stat().unwrap();
    assert_eq!((stat.size, stat.atime, stat.mtime, stat.uid), (10, 5_000_000_000, 6_000_000_000, 0));
    root.set_times_at(ROOT, "h/d", true, SetTime::Keep, SetTime::At(7_000_000_000)).unwrap();
    assert_eq!(root.stat_at(ROOT, "h/d", true).unwrap().mtime, 7_000_000_000);
    assert!(file.same_object(&root.open("h/d/out", OpenOptions::read_only()).unwrap()));
    assert_eq!(file.write_at(b"x", u64::MAX), Err(Errno::FBig));
}

#[test]
fn who_makes_a_read_only_file_may_write_it() {
    let host = tempfile::tempdir().unwrap();
    let root = mount(host.path());
    let options = OpenOptions { mode: 0o444, ..OpenOptions::read_write_create() };
    assert_eq!(root.open("h/object", options).unwrap().write(b"x"), Ok(1));
    assert_eq!(root.text("h/object").unwrap(), "x");
    assert_eq!(root.stat_at(ROOT, "h/object", true).unwrap().mode & 0o222, 0);
}

#[test]
fn names_of_the_host_are_changed_as_in_memory() {
    let host = tempfile::tempdir().unwrap();
    let root = mount(host.path());
    for dir in ["h/a", "h/a/sub", "h/full", "h/full/x"] {
        root.mkdir(dir).unwrap();
    }
    root.put("h/f", "f").unwrap();
    let rename = |old: &str, new: &str| root.rename_at(ROOT, old, &root, new);
    assert_eq!(root.mkdir("h/a"), Err(Errno::Exist));
    assert_eq!(root.rmdir_at(ROOT, "h/full"), Err(Errno::NotEmpty));
    assert_eq!(root.rmdir_at(ROOT, "h/f"), Err(Errno::NotDir));
    assert_eq!(root.unlink_at(ROOT, "h/a"), Err(Errno::IsDir));
    assert_eq!(rename("h/f", "h/a"), Err(Errno::IsDir));
    assert_eq!(rename("h/a", "h/f"), Err(Errno::NotDir));
    assert_eq!(rename("h/a", "h/full"), Err(Errno::NotEmpty));
    assert_eq!(rename("h/a", "h/a/sub/b"), Err(Errno::Inval));
    assert_eq!(rename("h/f", "f"), Err(Errno::XDev));
    assert_eq!(rename("h", "g"), Err(Errno::Busy));
    rename("h/f", "h/a/g").unwrap();
    root.link_at(ROOT, "h/a/g", false, &root, "h/link").unwrap();
    assert_eq!(root.stat_at(ROOT, "h/link", true).unwrap().nlink, 2);
    root.unlink_at(ROOT, "h/a/g").unwrap();
    root.symlink_at(ROOT, "link", "h/soft").unwrap();
    assert_eq!(
        (root.readlink_at(ROOT, "h/soft").unwrap().as_str(), root.text("h/soft").unwrap().as_str()),
        ("link", "f")
    );
    assert_eq!(root.names("h").unwrap(), ["a", "full", "link", "soft"]);
    root.rmdir_at(ROOT, "h/a/sub").unwrap();
    root.put("h/nul.txt", "x").unwrap_err();
    assert_eq!(root.mkdir("h/COM1"), Err(Errno::Acces), "F21");
}

#[test]
fn a_large_directory_is_listed_once_each_while_it_changes() {
    let host = tempfile::tempdir().unwrap();
    for i in 0..50 {
        std::fs::write(host.path().join(format!("{i:02}")), "").unwrap();
    }
    let root = mount(host.path());
    let dir = root.dir("h");
    let (mut seen, mut cookie) = (Vec::new(), 0);
    loop {
        let entries = dir.read_dir(cookie, 7).unwrap();
        let Some(last) = entries.last() else { break };
        cookie = last.next_cookie;
        seen.extend(entries.into_iter().map(|entry| entry.name));
        if seen.len() == 7 {
            std::fs::remove_file(host.path().join(&seen[3])).unwrap();
        }
    }
    seen.sort();
    assert_eq!((seen.len(), &*seen[0], &*seen[51]), (52, ".", "49"));
    seen.dedup();
    assert_eq!(seen.len(), 52);
}

#[test]
fn cookies_fit_what_telldir_can_hold_and_names_of_one_hash_are_told_apart() {
    let host = tempfile::tempdir().unwrap();
    // two pairs that the hash does not tell apart
    let names = ["f44187", "f105390", "f44186", "f105391", "plain"];
    for name in names {
        std::fs::write(host.path().join(name), "").unwrap();
    }
    let dir = mount(host.path()).dir("h");
    let (mut seen, mut cookie) = (Vec::new(), 0);
    while let Some(entry) = dir.read_dir(cookie, 1).unwrap().pop() {
        cookie = entry.next_cookie;
        assert!(cookie <= i32::MAX as u64, "{entry:?}");
        seen.push(entry.name);
    }
    seen.sort();
    assert_eq!(seen, [".", "..", "f105390", "f105391", "f44186", "f44187", "plain"]);
}

#[test]
fn a_read_only_host_path_and_a_file_of_it() {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("conf"), "x").unwrap();
    let dir = || Dir::open_ambient_dir(host.path(), ambient_authority()).unwrap();
    let sub = |path: &str| MountOptions { sub_path: Some(path.to_owned()), ..MountOptions::default() };
    let ns = builder(vec![]).mount("/ro", Volume::host(dir(), true), MountOptions::default()).mount(
        "/etc/conf",
        Volume::host(dir(), false),
        sub("conf"),
    );
    let root = ns.mount("/made", Volume::host(dir(), false), sub("new/dir")).build().unwrap().root_dir();
    assert_eq!(root.put("ro/conf", "y"), Err(Errno::RoFs));
    assert_eq!(root.mkdir("ro/d"), Err(Errno::RoFs));
    root.put("etc/conf", "y").unwrap();
    assert_eq!(root.text("ro/conf").unwrap(), "y");
    assert!(host.path().join("new/dir").is_dir());
    let error = builder(vec![]).mount("/x", Volume::host(dir(), true), sub("more")).build().unwrap_err();
    assert_eq!(error.errno, Errno::RoFs);
}

#[cfg(unix)]
#[test]
fn links_on_the_host_never_lead_out() {
    use std::os::unix::fs::symlink;
    let all = tempfile::tempdir().unwrap();
    let (shared, outside) = (all.path().join("shared"), all.path().join("outside"));
    std::fs::create_dir_all(shared.join("d")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    symlink(&outside, shared.join("abs")).unwrap();
    symlink("../outside", shared.join("rel")).unwrap();
    symlink(outside.join("secret"), shared.join("file")).unwrap();
    symlink("d/../../outside/secret", shared.join("hop")).unwrap();
    let root = mount(&shared);
    let inside = root.dir("h");
    for path in ["abs/secret", "rel/secret", "file", "hop", "../outside/secret"] {
        assert_eq!(inside.text(path), Err(Errno::Perm), "{path}");
        // from the root it is the container's own path, where there is nothing
        assert_eq!(root.text(&format!("h/{path}")), Err(Errno::NoEnt), "{path}");
        assert_eq!(inside.put(path, "x"), Err(Errno::Perm), "{path}");
    }
    assert_eq!(root.mkdir("h/abs/d"), Err(Errno::NoEnt));
    assert_eq!(root.symlink_at(ROOT, "/etc/passwd", "h/leak"), Err(Errno::Perm), "the host would follow it");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    let sub = MountOptions { sub_path: Some("rel".into()), ..MountOptions::default() };
    assert_eq!(builder(vec![]).mount("/s", volume(&shared), sub).build().unwrap_err().errno, Errno::Perm);
}

#[cfg(unix)]
#[test]
fn modes_count_set_id_bits_stay_inside_and_pipes_are_not_opened() {
    use std::os::unix::fs::PermissionsExt as _;
    let host = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(host.path().join("socket")).unwrap();
    std::fs::set_permissions(host.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let root = mount(host.path());
    root.put("h/f", "x").unwrap();
    root.chmod_at(ROOT, "h/f", true, 0o4711).unwrap();
    let mode = std::fs::metadata(host.path().join("f")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o711);
    let guest = user(1000, 1000);
    root.chmod_at(ROOT, "h/f", true, 0o644).unwrap();
    let held = root.open_at(&guest, "h/f", OpenOptions::read_only()).unwrap();
    assert_eq!(held.set_times(SetTime::Now, SetTime::Now), Err(Errno::Perm));
    root.unlink_at(ROOT, "h/f").unwrap();
    assert_eq!((held.read(&mut [0; 4]), held.stat().unwrap().nlink), (Ok(1), 0));
    root.put("h/f", "x").unwrap();
    root.chmod_at(ROOT, "h/f", true, 0o711).unwrap();
    assert_eq!(root.open_at(&guest, "h/f", OpenOptions::read_only()).map(drop), Err(Errno::Acces));
    assert_eq!(root.mkdir_at(&guest, "h/d", 0o755), Err(Errno::Acces));
    assert_eq!(root.open("h/socket", OpenOptions::read_only()).map(drop), Err(Errno::Acces));
    assert_eq!(root.stat_at(ROOT, "h/socket", true).unwrap().file_type, FileType::CharDevice);
}
