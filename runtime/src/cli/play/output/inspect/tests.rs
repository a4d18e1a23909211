//! The text to the letter, and that nothing in it steers a terminal or looks like a line of its own.

use wasmpod_cri::inspect::DescriptorRow;

use super::*;

fn process(pid: u32, state: char, command: &str) -> ProcessRow {
    ProcessRow {
        pid,
        ppid: 0,
        uid: if pid == 1 { 0 } else { 1000 },
        state,
        wchan: (state == 'S').then(|| "accept 0.0.0.0:80".to_owned()),
        waiting_since_nanos: None,
        cpu_nanos: 61_239_999_999,
        rss_bytes: 1_114_112,
        command: command.to_owned(),
        descriptors: Listed {
            items: vec![
                DescriptorRow { fd: 0, access: '-', kind: "CHR", name: String::new() },
                DescriptorRow { fd: 3, access: 'r', kind: "DIR", name: "/".to_owned() },
            ],
            more: 2,
        },
        handles: 7,
    }
}

fn container(name: &str, processes: Listed<ProcessRow>) -> ContainerInspection {
    let data = MountRow {
        target: "/data".to_owned(),
        source: "data".to_owned(),
        kind: "tmpfs",
        options: vec!["rw"],
        used_bytes: 4097,
        limit_bytes: Some(1 << 20),
        used_inodes: 2,
        limit_inodes: Some(1024),
    };
    let proc = MountRow {
        target: "/proc".to_owned(),
        source: "proc".to_owned(),
        kind: "proc",
        options: vec!["ro"],
        used_bytes: 0,
        limit_bytes: None,
        used_inodes: 0,
        limit_inodes: None,
    };
    ContainerInspection {
        name: name.to_owned(),
        id: "c0ffee".to_owned(),
        attempt: 2,
        image: "./app.wasm".to_owned(),
        state: "running",
        exit_code: None,
        reason: None,
        processes,
        mounts: Listed { items: vec![data, proc], more: 0 },
    }
}

fn socket(state: &'static str, local: &str, peer: &str, users: Vec<SocketUser>) -> SocketRow {
    SocketRow {
        netid: "tcp",
        state,
        recv_q: 1,
        send_q: 128,
        local: local.parse().unwrap(),
        peer: peer.parse().unwrap(),
        inode: 7,
        users,
    }
}

fn object(kind: &'static str, name: &str, state: IpcState) -> IpcRow {
    IpcRow {
        kind,
        name: name.to_owned(),
        mode: "0644".to_owned(),
        uid: 1000,
        gid: 1000,
        creator: "web/app".to_owned(),
        creator_pid: 1,
        used_bytes: 12,
        charged_bytes: 1036,
        waiters: 2,
        state,
    }
}

fn pod() -> PodInspection {
    let user = |fd| SocketUser { container: "app".to_owned(), pid: 1, fd };
    let app = Listed { items: vec![process(1, 'S', "app --port 80"), process(5, 'R', "child")], more: 0 };
    let ended =
        ProcessRow { descriptors: Listed { items: Vec::new(), more: 0 }, handles: 0, ..process(1, 'Z', "once") };
    let done = ContainerInspection {
        attempt: 0,
        state: "exited",
        exit_code: Some(137),
        reason: Some("OOMKilled"),
        ..container("once", Listed { items: vec![ended], more: 0 })
    };
    let both = || vec!["app".to_owned(), "once".to_owned()];
    PodInspection {
        uid: "u-1".to_owned(),
        sandbox_id: "5a".to_owned(),
        hostname: "web".to_owned(),
        ips: vec!["10.244.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
        namespaces: vec![
            Namespace { kind: "net", id: 4_026_531_840, containers: both() },
            Namespace { kind: "uts", id: 4_026_531_841, containers: both() },
            Namespace { kind: "pid", id: 4_026_531_842, containers: vec!["app".to_owned()] },
            Namespace { kind: "mnt", id: 4_026_531_843, containers: vec!["app".to_owned()] },
            Namespace { kind: "mnt", id: 4_026_531_844, containers: vec!["once".to_owned()] },
        ],
        pause: Some(ProcessRow {
            cpu_nanos: 0,
            descriptors: Listed { items: Vec::new(), more: 0 },
            handles: 0,
            rss_bytes: 0,
            uid: 65535,
            wchan: None,
            ..process(1, 'S', "/pause")
        }),
        containers: vec![container("app", app), done],
        sockets: Listed {
            items: vec![
                socket("LISTEN", "0.0.0.0:80", "0.0.0.0:0", vec![user(Some(4)), user(None)]),
                socket("ESTAB", "[::1]:80", "[::1]:40000", Vec::new()),
            ],
            more: 30,
        },
        ipc: IpcInspection {
            queues: 1,
            semaphores: 1,
            segments: 1,
            queue_bytes: 0,
            shm_bytes: 4096,
            objects: Listed {
                items: vec![
                    object(
                        "mqueue",
                        "/jobs",
                        IpcState::Queue { messages: 3, max_messages: 10, message_size: 8192, notify: true },
                    ),
                    object("semaphore", "/lock", IpcState::Semaphore { value: 0 }),
                    object("shm", "/frame", IpcState::Segment { size: 4096 }),
                ],
                more: 1,
            },
        },
        cgroups: vec![CgroupFiles {
            path: "/kubepods/podu-1/app".to_owned(),
            files: vec![
                ("cpu.max", "max 100000".to_owned()),
                ("cpu.stat", "usage_usec 12\nuser_usec 12\nnr_throttled 3".to_owned()),
                ("memory.max", "65536".to_owned()),
                ("memory.events", "oom 2\noom_kill 1\noom_group_kill 5".to_owned()),
            ],
        }],
    }
}

#[test]
fn the_text_has_the_shapes_of_the_tools() {
    let text = lines(&pod()).join("\n") + "\n";
    assert_eq!(text, include_str!("expected.txt"), "\n{text}");
}

#[test]
fn nothing_that_was_named_steers_the_terminal() {
    let evil = "a\u{1b}[2J\nroot\tx\r\u{202e}\u{9b}";
    let mut inspection = pod();
    inspection.hostname = evil.to_owned();
    inspection.cgroups[0].path = evil.to_owned();
    let container = &mut inspection.containers[0];
    container.image = evil.to_owned();
    container.processes.items[0].command = evil.to_owned();
    container.processes.items[0].wchan = Some(evil.to_owned());
    container.processes.items[0].descriptors.items[1].name = evil.to_owned();
    inspection.ipc.objects.items[0].name = evil.to_owned();
    let container = &mut inspection.containers[0];
    container.mounts.items[0].target = evil.to_owned();
    container.mounts.items[0].source = evil.to_owned();
    let (evil, plain) = (lines(&inspection), lines(&pod()));
    assert_eq!(evil.len(), plain.len(), "no name makes a line");
    for line in &evil {
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
    let shown = r"a\x1b[2J\nroot\tx\r\u{202e}\x9b";
    let found: usize = evil.iter().map(|line| line.matches(shown).count()).sum();
    assert_eq!(found, 9, "{evil:#?}");
}

#[test]
fn numbers_are_those_of_top_and_df() {
    for (nanos, shown) in
        [(0, "0:00.00"), (9_999_999, "0:00.00"), (61_230_000_000, "1:01.23"), (6e12 as u64, "100:00.00")]
    {
        assert_eq!(cpu_time(nanos), shown);
    }
    for (bytes, shown) in [
        (0, "0"),
        (1023, "1023"),
        (1024, "1K"),
        (1025, "1.1K"),
        (4096, "4K"),
        (10_241, "11K"),
        (1 << 30, "1G"),
        (u64::MAX, "16E"),
    ] {
        assert_eq!(size(bytes), shown, "{bytes}");
    }
}
