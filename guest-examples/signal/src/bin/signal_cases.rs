//! `signal_cases CASE [ARGUMENT ..]`: one case of what a program does with signals. See each function.
use std::process::exit;
use std::time::{Duration, Instant};

use wasmpod_sdk::process::{
    self, Disposition, MaskHow, Signal, SignalFd, SignalSet, getpid, kill, pids, raise, set_disposition, set_mask,
};

#[cfg_attr(target_env = "p1", path = "../p1.rs")]
#[cfg_attr(target_env = "p2", path = "../p2.rs")]
mod sys;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["exit", code] => process::exit(code.parse().expect("a code")),
        ["ids"] => {
            println!("pid {} ppid {} uid {} gid {}", getpid(), process::getppid(), process::getuid(), process::getgid())
        }
        ["list"] => list(),
        ["tick", count] => tick(count.parse().expect("a count")),
        ["send", name, ref signals @ ..] => send(name, signals),
        ["probe", name] => println!("{name}: {:?}", kill(find(name) as i32, None).map_err(|error| error.symbol())),
        ["myself"] => myself(),
        ["default", number] => {
            set_disposition(Signal::PIPE, Disposition::Default).expect("allowed");
            raise(Signal(number.parse().expect("a number"))).expect("a signal");
            println!("still here");
        }
        ["fd", code] => read_signals(code.parse().expect("a code")),
        ["spin"] => loop {
            std::hint::black_box(());
        },
        _ => sys::case(&args),
    }
}

/// Every process, as `/proc` has it.
fn list() {
    for pid in pids() {
        let file =
            |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|e| e.to_string());
        let stat = file("stat");
        let fields: Vec<&str> = stat.split_whitespace().take(4).collect();
        println!("{} | {}", fields.join(" "), file("cmdline").trim_end_matches('\0').replace('\0', " "));
    }
    let mut dirs: Vec<u32> = std::fs::read_dir("/proc")
        .expect("/proc can be read")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    dirs.sort_unstable();
    println!("in /proc: {dirs:?}");
}

/// A line each 100 ms, with how late it is when that is more than half a second.
fn tick(count: u32) {
    let start = Instant::now();
    for turn in 1..=count {
        std::thread::sleep((Duration::from_millis(100) * turn).saturating_sub(start.elapsed()));
        let late = start.elapsed().saturating_sub(Duration::from_millis(100) * turn);
        println!("tick {turn}{}", if late.as_millis() > 500 { " late" } else { "" });
    }
}

/// The process whose program has this name; waits until there is one.
fn find(name: &str) -> u32 {
    for _ in 0..100 {
        for pid in pids() {
            let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if pid != getpid() && args.split(|byte| *byte == 0).any(|arg| arg == name.as_bytes()) {
                return pid;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    println!("no process has the argument {name}");
    exit(1);
}

/// Sends the signals, by number, to the process with an argument `name`: each 500 ms after the one before.
fn send(name: &str, signals: &[&str]) {
    let pid = find(name);
    for signal in signals {
        std::thread::sleep(Duration::from_millis(500));
        let number: u8 = signal.parse().expect("a number");
        match kill(pid as i32, Some(Signal(number))) {
            Ok(()) => println!("sent {number} to {name}"),
            Err(error) => println!("{number} to {name}: {}", error.symbol()),
        }
    }
}

/// What pid 1 can do to itself: nothing.
fn myself() {
    for number in [1, 2, 9, 15, 19] {
        raise(Signal(number)).expect("a signal");
    }
    for number in [0, 32, 64] {
        assert_eq!(raise(Signal(number)).is_err(), number != 0);
    }
    assert!(set_disposition(Signal::KILL, Disposition::Ignore).is_err());
    let usr1 = SignalSet::of(&[Signal::USR1]);
    assert_eq!(set_mask(MaskHow::Block, usr1), SignalSet::default());
    raise(Signal::USR1).expect("a signal");
    assert_eq!(process::pending(), usr1);
    assert_eq!(set_mask(MaskHow::Unblock, usr1), usr1);
    assert_eq!(process::pending(), SignalSet::default());
    assert_eq!(kill(12345, None).map_err(|error| error.symbol()), Err("ESRCH"));
    println!("pid {} is alive", getpid());
}

/// Polls signals, a socket and a clock together: a connection to itself, then ticks, until SIGTERM.
fn read_signals(code: u8) {
    let fd = SignalFd::open(SignalSet::of(&[Signal::TERM, Signal::USR1])).expect("a descriptor");
    raise(Signal::USR1).expect("a signal");
    let info = sys::wait(&fd);
    println!("signal {} from pid {}", info.signal.0, info.sender);
    let mut ticks = 0;
    loop {
        match sys::wait_or_tick(&fd) {
            Some(info) => {
                println!("signal {} from pid {} after {ticks} ticks", info.signal.0, info.sender);
                process::exit(code);
            }
            None => ticks += 1,
        }
    }
}
