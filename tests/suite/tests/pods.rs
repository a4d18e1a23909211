//! Every manifest of `specs/pods` does what it says: in real time, and twice in simulated time with the same bytes.

use wasmpod_suite::outcome::Outcome;
use wasmpod_suite::play::Play;
use wasmpod_suite::root;

/// Orders of tasks to try, besides the one that is repeated.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// `name: exit code, real or simulated; check`. Real: quick enough to be run in real time too.
macro_rules! pods {
    ($($name:ident $file:literal exits $code:literal, $time:ident;)*) => {
        const TESTED: &[&str] = &[$($file),*];

        $(mod $name {
            use super::*;

            #[test]
            fn repeats_in_virtual_time() {
                check::$name(&repeated($file, $code));
            }

            #[test]
            fn holds_in_any_order_of_tasks() {
                // a seed chooses among the tasks that can run: what a manifest promises must not depend on it
                for seed in SEEDS {
                    check::$name(&Play::spec($file).seeded(seed).run().expect($code));
                }
            }

            pods!(@$time $name $file $code);
        })*
    };
    (@real $name:ident $file:literal $code:literal) => {
        #[test]
        fn works_in_real_time() {
            check::$name(&Play::spec($file).run().expect($code));
        }
    };
    (@simulated $name:ident $file:literal $code:literal) => {};
}

pods! {
    args_env "args-env.yaml" exits 0, real;
    config_env "config-env.yaml" exits 0, real;
    cpu_limited "cpu-limited.yaml" exits 0, real;
    crashloop "crashloop.yaml" exits 1, simulated;
    deadlock_semaphores "deadlock-semaphores.yaml" exits 3, simulated;
    deadlock "deadlock.yaml" exits 3, simulated;
    determinism "determinism.yaml" exits 0, real;
    exit_code "exit-code.yaml" exits 1, real;
    grace "grace.yaml" exits 1, real;
    graceful "graceful.yaml" exits 1, real;
    hello "hello.yaml" exits 0, real;
    init "init.yaml" exits 0, real;
    ipc_queue "ipc-queue.yaml" exits 0, real;
    ipc_ring "ipc-ring.yaml" exits 0, real;
    ipc_semaphore "ipc-semaphore.yaml" exits 1, real;
    names "names.yaml" exits 0, real;
    oom "oom.yaml" exits 1, real;
    p1_server "p1-server.yaml" exits 0, real;
    pod_to_pod "pod-to-pod.yaml" exits 0, real;
    port_conflict "port-conflict.yaml" exits 0, simulated;
    rootfs_dir "rootfs-dir.yaml" exits 0, real;
    shared_pids "shared-pids.yaml" exits 1, real;
    sidecar "sidecar.yaml" exits 0, real;
    two_pods "two-pods.yaml" exits 0, real;
    two_ports "two-ports.yaml" exits 0, real;
    udp "udp.yaml" exits 0, real;
    volumes "volumes.yaml" exits 0, real;
}

#[test]
fn every_manifest_has_a_test() {
    let folder = root().join("specs/pods");
    let mut found: Vec<String> = std::fs::read_dir(&folder)
        .expect("specs/pods is there")
        .filter_map(|entry| entry.expect("it can be listed").file_name().into_string().ok())
        .filter(|name| ["yaml", "yml", "json"].iter().any(|ending| name.ends_with(&format!(".{ending}"))))
        .collect();
    found.sort();
    assert_eq!(found, TESTED);
}

/// Runs a manifest twice with one seed, and returns the first run when the second gave the same bytes.
fn repeated(file: &str, code: i32) -> Outcome {
    let run = || Play::spec(file).seeded(7).run().expect(code);
    let (first, second) = (run(), run());
    assert_eq!(first.stdout(), second.stdout());
    assert_eq!(first.journal, second.journal);
    assert!(!first.journal.is_empty());
    // the command to repeat a failure names the journal, which is in another folder each time
    let told = |run: &Outcome| {
        run.stderr().lines().filter(|line| !line.contains("reproduce with")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told(&first), told(&second));
    first
}

/// What each must have printed, and how each must have ended. `row` is phase, exit code, reason, restarts.
mod check {
    use super::*;

    const FINE: [&str; 4] = ["Succeeded", "0", "Completed", "0"];
    const SECOND: u64 = 1_000_000_000;

    fn all_fine(run: &Outcome, containers: &[(&str, &str)]) {
        for (pod, container) in containers {
            assert_eq!(run.row(pod, container), FINE, "{pod}/{container}");
        }
    }

    pub fn ipc_queue(run: &Outcome) {
        all_fine(run, &[("ipc-queue", "producer"), ("ipc-queue", "consumer")]);
        assert_eq!(run.of("ipc-queue/producer"), ["sent 6 jobs", "done: 6"]);
        let order = ["9 rollback", "7 deploy", "3 test", "3 build", "0 sweep", "0 tidy"];
        assert_eq!(run.of("ipc-queue/consumer"), order, "by priority, then by age");
    }

    pub fn ipc_ring(run: &Outcome) {
        all_fine(run, &[("ipc-ring", "writer"), ("ipc-ring", "reader")]);
        assert_eq!(run.of("ipc-ring/writer"), ["wrote 100 items"]);
        assert_eq!(run.of("ipc-ring/reader"), ["read 100 items in order"]);
    }

    pub fn ipc_semaphore(run: &Outcome) {
        assert_eq!(run.row("ipc-semaphore", "holder"), ["Failed", "134", "Error", "0"]);
        assert_eq!(run.row("ipc-semaphore", "waiter"), ["Failed", "0", "Completed", "0"]);
        assert_eq!(run.of("ipc-semaphore/holder"), ["took the lock"]);
        assert_eq!(run.of("ipc-semaphore/waiter"), ["the lock is held", "got the lock of the dead, value 0"]);
    }

    pub fn args_env(run: &Outcome) {
        assert_eq!(
            run.of("args-env/show"),
            [
                "arg[0]=/cli_args_p2.wasm",
                "arg[1]=hello, world",
                "arg[2]=$(GREETING)",
                "arg[3]=$(UNKNOWN)",
                "arg[4]=two words",
                "env BOTH=hello world",
                "env GREETING=hello",
                "env HOSTNAME=args-env",
                "env LATER=set after it was used",
                "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "env TOO_EARLY=$(LATER)",
                "env WHO=world",
                "cwd=/",
                "initial-cwd=/work",
            ]
        );
        all_fine(run, &[("args-env", "show")]);
    }

    pub fn config_env(run: &Outcome) {
        assert_eq!(
            run.of("config-env/env"),
            [
                "arg[0]=/cli_args_p2.wasm",
                "env COLOR=blue",
                "env DB_PASSWORD=swordfish",
                "env DB_USER=admin",
                "env GREETING=overridden",
                "env HOSTNAME=config-env",
                "env MY_COLOR=blue",
                "env MY_PASSWORD=swordfish",
                "env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "env app.properties=color=blue",
                "size=large",
                "",
                "cwd=/",
                "initial-cwd=/",
            ]
        );
        assert_eq!(
            run.of("config-env/files"),
            [
                "== /config/: COLOR GREETING app.properties",
                "== /config/COLOR -> ..data/COLOR",
                "== /config/COLOR",
                "blue",
                "== /config/GREETING -> ..data/GREETING",
                "== /config/GREETING",
                "hello from the config",
                "== /config/app.properties -> ..data/app.properties",
                "== /config/app.properties",
                "color=blue",
                "size=large",
                "== /chosen/: conf",
                "== /chosen/conf -> ..data/conf",
                "== /chosen/conf/: app.properties",
                "== /chosen/conf/app.properties",
                "color=blue",
                "size=large",
                "== /secret/: PASSWORD USER",
                "== /secret/PASSWORD -> ..data/PASSWORD",
                "== /secret/PASSWORD",
                "swordfish",
                "== /secret/USER -> ..data/USER",
                "== /secret/USER",
                "admin",
                "== /maybe/: ",
                "== /one.properties",
                "color=blue",
                "size=large",
            ]
        );
        all_fine(run, &[("config-env", "env"), ("config-env", "files")]);
    }

    pub fn cpu_limited(run: &Outcome) {
        all_fine(run, &[("cpu-limited", "half"), ("cpu-limited", "quarter")]);
        let rounds = |container: &str| -> u64 {
            let lines = run.of(&format!("cpu-limited/{container}"));
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert_eq!(lines[0], "spinning: ms");
            lines[1].strip_prefix("rounds=").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{lines:?}"))
        };
        let (half, quarter) = (rounds("half"), rounds("quarter"));
        if run.journal.is_empty() {
            return; // how much a busy machine does in real time is nothing to check
        }
        // a round is 8 ms of CPU: 2 s at half a CPU and at a quarter
        assert!(half.abs_diff(2 * quarter) <= 2, "half {half}, quarter {quarter}");
        for (container, quota) in [("half", SECOND / 20), ("quarter", SECOND / 40)] {
            let throttled = run.times(&format!("cpu-limited/{container}"), "cpu throttled until ");
            // every period of 100 ms but for the last, which it does not use up
            assert_eq!(throttled.len(), 20, "{container}");
            for (period, time) in throttled.iter().enumerate() {
                let into = time - period as u64 * SECOND / 10;
                assert!(into.abs_diff(quota) < 10_000, "{container}: throttled {into} ns into period {period}");
            }
        }
    }

    pub fn crashloop(run: &Outcome) {
        assert_eq!(run.of("crashloop/fails"), ["exiting with 3"; 3]);
        assert_eq!(run.row("crashloop", "fails"), ["Failed (DeadlineExceeded)", "3", "Error", "2"]);
        let started = run.times("crashloop/fails", "started attempt ");
        let exited = run.times("crashloop/fails", "exited code 3 reason Error");
        assert_eq!((started.len(), exited.len()), (3, 3));
        assert_eq!(started[0], 0);
        assert_eq!(started[1], exited[0], "the first time it is started again at once");
        assert_eq!(started[2], exited[1] + 10 * SECOND, "the second time after 10 s");
        assert_eq!(run.journalled("crashloop", "phase Failed"), [("13.000000000".into(), "phase Failed".into())]);
        let stderr = run.stderr();
        for wait in ["back-off 10s restarting failed container=fails", "back-off 20s restarting failed container=fails"]
        {
            assert_eq!(stderr.matches(wait).count(), 1, "{stderr}");
        }
    }

    pub fn deadlock(run: &Outcome) {
        let stderr = run.stderr();
        // times and the client's port are the seed's
        let without_numbers: Vec<String> = stderr
            .lines()
            .filter_map(|line| line.strip_prefix("wasmpod: "))
            .skip_while(|line| !line.starts_with("deadlock at "))
            .map(|line| {
                let words = line.split(' ').map(|word| match word.trim_matches(['(', ')', ',', ':']) {
                    time if time.contains('.') && !time.contains(':') && time.starts_with('0') => "TIME",
                    socket if socket.starts_with("10.244.0.") && socket.ends_with(":9000") => "SERVER",
                    socket if socket.starts_with("10.244.0.") => "CLIENT",
                    _ => word,
                });
                words.collect::<Vec<_>>().join(" ")
            })
            .filter(|line| !line.starts_with("reproduce with"))
            .collect();
        assert_eq!(
            without_numbers,
            [
                "deadlock at TIME nothing can run, and no timer is set",
                "patient/no-you-first (pid 1) waits since TIME for tcp receive CLIENT to SERVER whose other end polite/after-you holds",
                "polite/after-you (pid 1) waits since TIME for tcp receive SERVER to CLIENT whose other end patient/no-you-first holds",
                "they wait in a circle: patient/no-you-first waits for polite/after-you (tcp receive CLIENT to SERVER polite/after-you waits for patient/no-you-first (tcp receive SERVER to CLIENT",
                "still running: polite/after-you",
                "still running: patient/no-you-first",
            ]
        );
        assert!(stderr.contains("reproduce with: wasmpod play specs/pods/deadlock.yaml --virtual-time --seed "));
    }

    pub fn deadlock_semaphores(run: &Outcome) {
        assert_eq!((run.of("crossed/left"), run.of("crossed/right")), (vec!["took /a".into()], vec!["took /b".into()]));
        let told: Vec<String> = run.deadlock();
        assert_eq!(
            told,
            [
                "crossed/left (pid 1) waits since TIME for sem_wait /b, which is held by crossed/right",
                "crossed/right (pid 1) waits since TIME for sem_wait /a, which is held by crossed/left",
                "they wait in a circle: crossed/left waits for crossed/right (sem_wait /b), crossed/right waits for crossed/left (sem_wait /a)",
            ]
        );
    }

    pub fn determinism(run: &Outcome) {
        all_fine(run, &[("mix", "server"), ("mix", "a"), ("mix", "b"), ("mix", "see"), ("far", "c")]);
        assert_eq!(run.of("mix/server").last().map(String::as_str), Some("served 9 lines"));
        assert!(run.of("far/c")[0].starts_with("c: 3 lines, last "), "{}", run.stdout());
        let see = run.of("mix/see");
        assert_eq!(see.iter().filter(|line| line.starts_with("message ")).count(), 6, "{see:?}");
        // whatever a host's floating point gives, a not-a-number has the canonical bits, or those with the sign turned
        assert!(
            see.contains(&"nan [7ff8000000000000, fff8000000000000, 7ff8000000000000, 7ff8000000000000]".to_owned())
        );
        assert!(see.contains(&"nan 7fc00000".to_owned()), "{see:?}");
        let image = see.iter().find(|line| line.starts_with("/det_mix.wasm ")).expect("it is listed");
        assert!(
            image.contains("Some(SystemTime { tv_sec: 0, tv_nsec: 0 })"),
            "an image's files have one time: {image}"
        );
    }

    pub fn exit_code(run: &Outcome) {
        assert_eq!(run.of("exit-code/seven"), ["exiting with 7"]);
        assert_eq!(run.of("exit-code/trap"), ["about to trap: divzero"]);
        assert_eq!(run.of("exit-code/fine"), ["exiting with 0"]);
        assert_eq!(run.row("exit-code", "seven"), ["Failed", "7", "Error", "0"]);
        assert_eq!(run.row("exit-code", "trap"), ["Failed", "136", "Error", "0"]);
        assert_eq!(run.row("exit-code", "fine"), ["Failed", "0", "Completed", "0"]);
        assert!(run.stderr().contains("integer divide by zero"), "{}", run.stderr());
    }

    pub fn grace(run: &Outcome) {
        assert_eq!(run.of("grace/sleeper"), ["sleeping 3600000 ms"]);
        assert_eq!(run.row("grace", "sleeper"), ["Failed (DeadlineExceeded)", "137", "Error", "0"]);
        if run.journal.is_empty() {
            return;
        }
        assert_eq!(
            run.journalled("grace/sleeper", ""),
            [
                ("0.000000000", "started attempt 0"),
                ("1.000000000", "signal SIGTERM grace 2"),
                ("1.000000000", "got SIGTERM as pid 1 from the runtime: ignored (pid 1 without a handler)"),
                ("3.000000000", "signal SIGKILL"),
                ("3.000000000", "got SIGKILL as pid 1 from the runtime: ends the program"),
                ("3.000000000", "exited code 137 reason Error"),
            ]
            .map(|(time, what)| (time.to_owned(), what.to_owned()))
        );
    }

    pub fn graceful(run: &Outcome) {
        assert_eq!(run.row("graceful", "handler"), ["Failed (DeadlineExceeded)", "7", "Error", "0"]);
        assert_eq!(run.row("graceful", "polls"), ["Failed (DeadlineExceeded)", "9", "Error", "0"]);
        assert_eq!(run.of("graceful/handler"), ["waiting", "caught 15", "sleep: errno 27"]);
        assert!(run.of("graceful/polls")[1].starts_with("signal 15 from pid 0 after "), "{}", run.stdout());
    }

    pub fn shared_pids(run: &Outcome) {
        assert_eq!(run.row("shared-pids", "app"), ["Failed", "143", "Error", "0"]);
        assert_eq!(run.row("shared-pids", "operator"), ["Failed", "0", "Completed", "0"]);
        assert_eq!(run.of("shared-pids/operator"), ["sent 15 to tick"]);
    }

    pub fn hello(run: &Outcome) {
        assert_eq!(run.stdout(), "hello/hello | Hello from Rust on wasm32-wasip2\n");
        assert_eq!(
            run.stderr(),
            "wasmpod: hello/hello started\n\
             wasmpod: hello/hello exited with code 0 (Completed)\n\
             wasmpod: hello succeeded\n\
             POD     PHASE       CONTAINER   EXIT   REASON      RESTARTS\n\
             hello   Succeeded   hello       0      Completed   0\n"
        );
    }

    pub fn init(run: &Outcome) {
        // one runs after the other, so the order is exact in real time too
        assert_eq!(
            run.stdout(),
            "init/first | wrote line 1\n\
             init/first | wrote line 2\n\
             init/first | writer finished\n\
             init/second | wrote line 1\n\
             init/second | writer finished\n\
             init/app | == /work/: prepared\n\
             init/app | == /work/prepared\n\
             init/app | line 1 of 2\n\
             init/app | line 2 of 2\n\
             init/app | line 1 of 1\n"
        );
        all_fine(run, &[("init", "first"), ("init", "second"), ("init", "app")]);
    }

    pub fn names(run: &Outcome) {
        let hosts = [
            "== /etc/hosts",
            "# Kubernetes-managed hosts file.",
            "127.0.0.1\tlocalhost",
            "::1\tlocalhost ip6-localhost ip6-loopback",
            "fe00::0\tip6-localnet",
            "fe00::0\tip6-mcastprefix",
            "fe00::1\tip6-allnodes",
            "fe00::2\tip6-allrouters",
            "10.244.0.2\tcustom.fleet.default.svc.cluster.local\tcustom",
            "fd00:10:244::2\tcustom.fleet.default.svc.cluster.local\tcustom",
        ];
        let resolv = [
            "== /etc/resolv.conf",
            "search default.svc.cluster.local svc.cluster.local cluster.local",
            "nameserver 10.96.0.10",
            "options ndots:5",
        ];
        let hostname = ["== /etc/hostname", "custom"];
        let kernel = ["== /proc/sys/kernel/hostname", "custom"];
        assert_eq!(run.of("names/two"), [&hostname[..], &hosts, &resolv, &kernel].concat());
        let one = run.of("names/one");
        assert_eq!(one[..hostname.len() + hosts.len() + resolv.len()], [&hostname[..], &hosts, &resolv].concat());
        let after = |heading: &str| {
            let at = one.iter().position(|line| line == &format!("== {heading}"));
            &one[at.unwrap_or_else(|| panic!("no {heading} in {one:?}")) + 1]
        };
        assert_eq!(after("/proc/self/cmdline"), "/fs_etc_p1.wasm ");
        assert_eq!(after("/proc/sys/kernel/hostname"), "custom");
        assert_eq!(after("/sys/fs/cgroup/cpu.max"), "max 100000");
        assert_eq!(after("/sys/fs/cgroup/memory.max"), "max");
        assert!(after("/proc/self/cgroup").starts_with("0::/kubepods/besteffort/pod"));
        assert_eq!(
            one[one.len() - 4..],
            [
                "/dev/zero gives Ok([0, 0, 0, 0, 0, 0, 0, 0])",
                "/dev/null gives Ok([])",
                "/dev/urandom gives Ok(8) bytes",
                "/dev/null takes Ok(())",
            ]
        );
        all_fine(run, &[("names", "one"), ("names", "two")]);
    }

    pub fn oom(run: &Outcome) {
        assert_eq!(run.row("oom", "greedy"), ["Failed", "137", "OOMKilled", "0"]);
        assert_eq!(run.row("oom", "modest"), ["Failed", "0", "Completed", "0"]);
        let modest: Vec<String> =
            (1..=4).map(|n| format!("holding {n} MiB")).chain(["done, checksum 10".into()]).collect();
        assert_eq!(run.of("oom/modest"), modest);
        // the limit of 16 MiB holds the program's own memory and buffers too
        let greedy = run.of("oom/greedy");
        let held: Vec<String> = (1..=greedy.len()).map(|n| format!("holding {n} MiB")).collect();
        assert_eq!(greedy, held);
        assert!((12..16).contains(&greedy.len()), "killed after {} MiB of 16", greedy.len());
    }

    pub fn p1_server(run: &Outcome) {
        let announced =
            |name: &str| [format!("LISTEN_FDS=1 LISTEN_FDNAMES={name}"), "found 1 listening sockets".into()];
        let served = |bytes: u32| [format!("connection 1: {bytes} bytes"), "served 1 connections".into()];
        assert_eq!(run.of("p1-server/server"), [announced("web"), served(59)].concat());
        assert_eq!(run.of("p1-server/raw-server"), [announced("echo"), served(500)].concat());
        assert_eq!(run.of("p1-server/web-client"), ["HTTP/1.1 200 OK", "hello from a pre-opened socket"]);
        assert_eq!(run.of("p1-server/echo-client"), ["connected to localhost:7000", "echoed 5 messages of 100 bytes"]);
        all_fine(run, &["server", "raw-server", "web-client", "echo-client"].map(|name| ("p1-server", name)));
    }

    pub fn pod_to_pod(run: &Outcome) {
        assert_eq!(run.of("by-name/client"), ["connected to server:7000", "echoed 10 messages of 1000 bytes"]);
        let by_address = run.of("by-address/client");
        assert_eq!(by_address.len(), 3, "{by_address:?}");
        assert!(by_address[0].starts_with("server is 10.244.0."), "{by_address:?}");
        assert!(by_address[1].starts_with("server is fd00:10:244::"), "{by_address:?}");
        assert_eq!(by_address[2], "hello by address");
        // which client comes first is the scheduler's
        let server = run.of("server/echo");
        assert_eq!(server.len(), 4, "{server:?}");
        assert_eq!((server[0].as_str(), server[3].as_str()), ("listening on 0.0.0.0:7000", "served 2 connections"));
        let mut bytes: Vec<&str> =
            server[1..3].iter().filter_map(|line| line.rsplit_once(": ").map(|(_, n)| n)).collect();
        bytes.sort_unstable();
        assert_eq!(bytes, ["10000 bytes", "17 bytes"]);
        all_fine(run, &[("server", "echo"), ("by-name", "client"), ("by-address", "client")]);
    }

    pub fn port_conflict(run: &Outcome) {
        assert_eq!(run.of("port-conflict/first"), ["listening on 0.0.0.0:8080", "released"]);
        assert_eq!(run.of("port-conflict/second"), ["listening on 0.0.0.0:8080", "released"]);
        assert_eq!(run.errors_of("port-conflict/second"), ["bind 0.0.0.0:8080: AddrInUse"; 2]);
        assert_eq!(run.row("port-conflict", "first"), FINE);
        assert_eq!(run.row("port-conflict", "second"), ["Succeeded", "0", "Completed", "2"]);
        let started = run.times("port-conflict/second", "started attempt ");
        let failed = run.times("port-conflict/second", "exited code 1 reason Error");
        assert_eq!((started.len(), failed.len()), (3, 2));
        assert_eq!(started[1], failed[0]);
        assert_eq!(started[2], failed[1] + 10 * SECOND);
        let fine = run.times("port-conflict/second", "exited code 0 reason Completed");
        assert_eq!(fine.len(), 1);
        // it begins after 500 ms and holds the port for 10 ms, plus what its instructions take
        assert!((510_000_000..511_000_000).contains(&(fine[0] - started[2])), "{fine:?}");
    }

    pub fn rootfs_dir(run: &Outcome) {
        assert_eq!(
            run.stdout(),
            "rootfs-dir/app | I am /bin/app\n\
             rootfs-dir/app | This file came with the image.\n\
             rootfs-dir/app | <h1>A page of the image</h1>\n"
        );
        all_fine(run, &[("rootfs-dir", "app")]);
    }

    pub fn sidecar(run: &Outcome) {
        let wrote = (1..=5).map(|n| format!("app: wrote event {n}"));
        let mut app = vec!["app: waiting for the shipper on 127.0.0.1:9000".to_owned()];
        app.extend(wrote);
        app.push("app: 127.0.0.1 says: shipped 5".to_owned());
        assert_eq!(run.of("sidecar/app"), app);
        let mut shipper: Vec<String> = (1..=5).map(|n| format!("shipper: shipping event {n}")).collect();
        shipper.push("shipper: the app answers: thanks".to_owned());
        assert_eq!(run.of("sidecar/shipper"), shipper);
        // nothing is shipped before it is written
        let stdout = run.stdout();
        let place = |text: &str| stdout.find(text).unwrap_or_else(|| panic!("no {text:?} in {stdout}"));
        for n in 1..=5 {
            assert!(place(&format!("wrote event {n}")) < place(&format!("shipping event {n}")), "{stdout}");
        }
        all_fine(run, &[("sidecar", "app"), ("sidecar", "shipper")]);
    }

    fn served_one(run: &Outcome, server: &str, client: &str, port: u16, text: &str) {
        let listening = format!("listening on 0.0.0.0:{port}");
        assert_eq!(run.of(server), [listening.as_str(), "GET / 200", "answered 1 requests"]);
        assert_eq!(run.of(client), ["HTTP/1.1 200 OK", text]);
    }

    pub fn two_pods(run: &Outcome) {
        for pod in ["podtest2", "podtest3"] {
            served_one(run, &format!("{pod}/server"), &format!("{pod}/client"), 8080, &format!("I am {pod}"));
            all_fine(run, &[(pod, "server"), (pod, "client")]);
        }
    }

    pub fn two_ports(run: &Outcome) {
        served_one(run, "doscont/contenedor1", "doscont/client1", 8082, "contenedor1");
        served_one(run, "doscont/contenedor2", "doscont/client2", 8083, "contenedor2");
        all_fine(run, &["contenedor1", "contenedor2", "client1", "client2"].map(|name| ("doscont", name)));
    }

    pub fn udp(run: &Outcome) {
        for client in ["udp/client", "udp-client/client"] {
            assert_eq!(run.of(client), ["echoed 3 datagrams of 512 bytes"], "{client}");
        }
        let mut server = run.of("udp/server");
        assert_eq!(server.len(), 4, "{server:?}");
        server[1..3].sort();
        assert_eq!(server[0], "bound to 0.0.0.0:7001");
        assert!(server[1].starts_with("10.244.0.") && server[1].ends_with(" said bye"), "{server:?}");
        assert_eq!(server[2..], ["127.0.0.1 said bye", "2 clients are done"]);
        all_fine(run, &[("udp", "server"), ("udp", "client"), ("udp-client", "client")]);
    }

    pub fn volumes(run: &Outcome) {
        for (container, last) in [
            ("worker-p1", "fs_volumes: all done"),
            ("worker-p2", "fs_volumes: all done"),
            ("writer", "fs_write: all done"),
            ("reader", "fs_read: all done"),
        ] {
            let lines = run.of(&format!("volumes/{container}"));
            assert_eq!(lines.last().map(String::as_str), Some(last), "{container}");
            assert!(lines.len() > 10, "{container}: {lines:?}");
            assert!(lines.iter().all(|line| !line.contains("FAILED")), "{container}: {lines:?}");
            assert_eq!(run.row("volumes", container), FINE, "{container}");
        }
        for worker in ["worker-p1", "worker-p2"] {
            let lines = run.of(&format!("volumes/{worker}"));
            assert!(lines.contains(&"small volume held 1048576 bytes".to_owned()), "{worker}: {lines:?}");
        }
    }
}
