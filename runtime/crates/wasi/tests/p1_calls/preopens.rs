//! What a program is handed at start, seen as wasi-libc and Go see it.

use wasmpod_kernel::mntns::Cred;
use wasmpod_wasi::preopen::{self, ListenPort, PreopenError};

use crate::harness::{CREAT, Program, READ, Setup, WRITE, World, errno};

/// The directories handed over, found as wasi-libc does: from 3 on until EBADF, passing over what is no directory.
async fn preopens(program: &mut Program) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for fd in 3.. {
        match program.prestat(fd).await {
            Ok(name) if name == "(no directory)" => {}
            Ok(name) => found.push((fd, name)),
            Err(errno) => {
                assert_eq!(errno, errno::BADF);
                break;
            }
        }
    }
    found
}

fn names(first: u32, names: &[&str]) -> Vec<(u32, String)> {
    (first..).zip(names.iter().map(|name| (*name).to_owned())).collect()
}

/// How wasi-libc finds the directory for a path: the longest matching name, the last one of equals.
fn resolve<'a>(preopens: &[(u32, String)], path: &'a str) -> (u32, &'a str) {
    let strip = |mut path: &'a str| {
        loop {
            let before = path.len();
            path = path.strip_prefix('/').or_else(|| path.strip_prefix("./")).unwrap_or(path);
            if path == "." {
                path = "";
            }
            if path.len() == before {
                return path;
            }
        }
    };
    let path = strip(path);
    let mut best: Option<(u32, usize)> = None;
    for (fd, name) in preopens.iter().rev() {
        let name = name.trim_start_matches('/').trim_start_matches('.');
        let matches = name.is_empty() || path == name || path.starts_with(&format!("{name}/"));
        if matches && best.is_none_or(|(_, len)| name.len() > len) {
            best = Some((*fd, name.len()));
        }
    }
    let (fd, len) = best.unwrap();
    let rest = path[len..].trim_start_matches('/');
    (fd, if rest.is_empty() { "." } else { rest })
}

async fn read(program: &mut Program, preopens: &[(u32, String)], path: &str) -> Result<Vec<u8>, u32> {
    let (fd, rest) = resolve(preopens, path);
    let fd = program.open_at(fd, 1, rest, 0, READ, 0).await?;
    program.read(fd, 100).await
}

#[test]
fn the_root_and_the_mounts_are_handed_over() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup::default()).await;
        let found = preopens(&mut program).await;
        assert_eq!(found, names(3, &["/", "/data", "/dev", "data", "."]));
        let stat = program.fdstat(3).await.unwrap();
        assert_eq!((stat.filetype, stat.rights & READ, stat.inheriting & READ), (3, 0, READ));
        assert_eq!(read(&mut program, &found, "/etc/motd").await, Ok(b"welcome\n".to_vec()));
        assert_eq!(read(&mut program, &found, "etc/motd").await, Ok(b"welcome\n".to_vec()));
    });
}

#[test]
fn relative_paths_are_in_the_working_directory() {
    let world = World::new();
    world.run(async {
        for cwd in ["/srv/www", "/srv/www/", "/www"] {
            let mut program = world.program(Setup { cwd, ..Setup::default() }).await;
            let found = preopens(&mut program).await;
            assert_eq!(found.last().unwrap().1, ".");
            for path in ["index.html", "./index.html", "/srv/www/index.html", "srv/www/index.html", "/www/index.html"] {
                assert_eq!(read(&mut program, &found, path).await, Ok(b"<p>hello\n".to_vec()), "{cwd} {path}");
            }
            assert_eq!(read(&mut program, &found, "/etc/motd").await, Ok(b"welcome\n".to_vec()));
            assert_eq!(read(&mut program, &found, "motd").await, Err(errno::NOENT));
            assert_eq!(resolve(&found, ".").1, ".");
            assert_eq!(resolve(&found, "/data/x"), (4, "x"), "{cwd}");
            // the limit that is documented
            assert_eq!(read(&mut program, &found, "/app.conf").await, Err(errno::NOENT));
        }
    });
}

#[test]
fn a_volume_below_the_working_directory_has_its_relative_name_too() {
    let world = World::new();
    world.run(async {
        let mut program = world.program(Setup { cwd: "/srv", ..Setup::default() }).await;
        let found: Vec<_> = preopens(&mut program).await.into_iter().map(|(_, name)| name).collect();
        assert!(!found.contains(&"data".to_owned()), "it is not below: {found:?}");
        // `.` and the relative name are the directories themselves, not copies
        let mut program = world.program(Setup::default()).await;
        let fd = program.open_at(6, 0, "relative", CREAT, WRITE, 0).await.unwrap();
        assert_eq!(program.write(fd, b"x").await, Ok(1));
        assert_eq!(program.stat_at(4, 0, "relative").await.unwrap().size, 1);
        assert_eq!(program.stat_at(7, 0, "data/relative").await.unwrap().size, 1);
    });
}

#[test]
fn a_directory_that_the_user_may_not_read_is_left_out() {
    let world = World::new();
    world.run(async {
        let names = async |cred| {
            let mut program = world.program(Setup { cwd: "/srv", cred, ..Setup::default() }).await;
            preopens(&mut program).await.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert!(names(Cred::root()).await.contains(&"/secret".to_owned()));
        let user = names(Cred { uid: 1000, gid: 1000, groups: vec![] }).await;
        assert!(!user.contains(&"/secret".to_owned()) && user.contains(&"/etc".to_owned()), "{user:?}");
    });
}

#[test]
fn a_working_directory_that_is_none_is_an_error() {
    let world = World::new();
    for (cwd, expected) in [
        ("/gone", "chdir to cwd (\"/gone\") set in config.json failed: no such file or directory"),
        ("/etc/motd", "chdir to cwd (\"/etc/motd\") set in config.json failed: not a directory"),
    ] {
        let process = world.process(Setup { cwd, ..Setup::default() });
        assert_eq!(preopen::install(&process, &[]).unwrap_err().to_string(), expected);
    }
}

#[test]
fn sockets_come_first_and_are_announced_as_systemd_does() {
    let world = World::new();
    world.run(async {
        let (process, ends) = world.piped(Setup::default());
        let port = |name: Option<&str>, port| ListenPort { name: name.map(Into::into), port };
        let ports = [port(Some("http"), 80), port(None, 81), port(Some(""), 82)];
        let installed = preopen::install(&process, &ports).unwrap();
        let env: Vec<_> = installed.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["LISTEN_FDS=3", "LISTEN_PID=1", "LISTEN_FDNAMES=http:unknown:unknown"]);
        let mut program = world.load(process, ends, installed.env).await;
        for fd in 3..6 {
            assert_eq!(program.fdstat(fd).await.unwrap().filetype, 6, "sd_listen_fds(3): from 3 on");
        }
        let found = preopens(&mut program).await;
        assert_eq!(found, names(6, &["/", "/data", "/dev", "data", "."]), "and they hide no directory");
    });
}

#[test]
fn a_port_in_use_is_refused_until_its_holder_is_gone() {
    let world = World::new();
    let ports = [ListenPort { name: None, port: 8080 }];
    let first = world.process(Setup::default());
    preopen::install(&first, &ports).unwrap();
    let second = world.process(Setup::default());
    let error = preopen::install(&second, &ports).unwrap_err();
    assert_eq!(error, PreopenError::AddrInUse { port: 8080 });
    assert_eq!(error.to_string(), "listen tcp :8080: bind: address already in use");
    first.close_all();
    preopen::install(&world.process(Setup::default()), &ports).unwrap();
    let many: Vec<_> = (1..=257).map(|port| ListenPort { name: None, port }).collect();
    let error = preopen::install(&world.process(Setup::default()), &many).unwrap_err();
    assert_eq!(error, PreopenError::TooManyPorts(257));
}
