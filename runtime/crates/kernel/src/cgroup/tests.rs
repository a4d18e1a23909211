//! Tests of the whole tree: memory against a model, CPUs in virtual time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use wasmpod_sim::{Instant, Sim};

use super::*;
use crate::Errno;

/// One unit of fuel is a nanosecond.
const SPEED: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

fn tree(sim: &Sim, cpus: u32) -> Arc<Cgroup> {
    let config = RootConfig { cpus, memory_bytes: 64 * MIB, fuel_per_cpu_second: SPEED };
    Cgroup::root(config, sim.clock().clone())
}

fn cpu_limit(millis: u64) -> Limits {
    Limits { cpu_quota_millis: Some(millis), ..Limits::default() }
}

fn weight(cpu_weight: u64) -> Limits {
    Limits { cpu_weight, ..Limits::default() }
}

fn memory(max: u64) -> Limits {
    Limits { memory_max: Some(max), ..Limits::default() }
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task that counts how often it is woken.
fn task() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

fn woken(count: &Count) -> usize {
    count.0.load(Ordering::Relaxed)
}

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

fn ms(ms: u64) -> u64 {
    ms * SPEED / 1_000
}

mod fairness;

mod memory_and_pids {
    use super::*;

    #[test]
    fn a_charge_counts_all_the_way_up_and_comes_back() {
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, 1);
        let pod = node.child("pod", memory(10 * MIB));
        let container = pod.child("app", Limits::default());
        let mut charge = container.charge(3 * MIB).expect("fits");
        charge.grow(MIB).expect("fits");
        charge.shrink(2 * MIB);
        let own = pod.charge(MIB).expect("fits");
        for (cgroup, current) in [(&node, 3 * MIB), (&pod, 3 * MIB), (&container, 2 * MIB)] {
            assert_eq!(cgroup.memory_stats().current, current, "{}", cgroup.path());
        }
        charge.resize(MIB).expect("fits");
        assert_eq!(container.memory_stats().current, MIB);
        drop((charge, own));
        assert_eq!((node.memory_stats().current, pod.memory_stats().current), (0, 0));
        assert_eq!((node.memory_stats().peak, container.memory_stats().peak), (4 * MIB, 4 * MIB));
    }

    #[test]
    fn a_limit_above_fails_the_charge_and_leaves_nothing_behind() {
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, 1);
        let pod = node.child("pod", memory(2 * MIB));
        let (one, two) = (pod.child("one", Limits::default()), pod.child("two", Limits::default()));
        let _held = one.charge(2 * MIB).expect("fits");
        let (count, waker) = task();
        let mut cx = Context::from_waker(&waker);
        assert_eq!(two.oom_poll(&mut cx), Poll::Pending);
        assert_eq!(two.charge(1).err(), Some(Errno::NoMem));
        assert_eq!(woken(&count), 1);
        assert_eq!(two.oom_poll(&mut cx), Poll::Ready(()));
        assert!(two.is_oom() && !one.is_oom() && !pod.is_oom()); // who asks is the victim
        assert_eq!((two.memory_stats().current, two.memory_stats().peak), (0, 0));
        // events are those of the cgroup with the limit, and of all above
        let event = MemoryEvents { max: 1, oom: 1, oom_kill: 0 };
        assert_eq!(
            [&two, &pod, &node].map(|cgroup| cgroup.memory_stats().events),
            [MemoryEvents::default(), event, event]
        );
        two.note_oom_kill();
        assert!(!two.is_oom());
        assert_eq!([&one, &two, &pod, &node].map(|cgroup| cgroup.memory_stats().events.oom_kill), [0, 1, 1, 1]);
    }

    #[test]
    fn a_charge_that_may_fail_is_no_oom() {
        let sim = Sim::new_virtual(1);
        let cgroup = tree(&sim, 1).child("c", memory(100));
        let mut charge = cgroup.try_charge(60).expect("fits");
        assert_eq!(charge.try_grow(41), Err(Errno::NoMem));
        assert_eq!(cgroup.try_charge(u64::MAX).err(), Some(Errno::NoMem));
        assert_eq!((charge.bytes(), cgroup.memory_stats().current), (60, 60));
        assert!(!cgroup.is_oom());
        assert_eq!(cgroup.memory_stats().events, MemoryEvents { max: 2, oom: 0, oom_kill: 0 });
        charge.shrink(u64::MAX);
        assert_eq!(cgroup.memory_stats().current, 0);
    }

    #[test]
    fn a_lowered_limit_is_an_oom_of_the_largest_below() {
        let sim = Sim::new_virtual(1);
        let pod = tree(&sim, 1).child("pod", Limits::default());
        let (small, large) = (pod.child("small", Limits::default()), pod.child("large", Limits::default()));
        let _charges = (small.charge(10).expect("fits"), large.charge(20).expect("fits"));
        pod.set_limits(memory(30));
        assert!(!small.is_oom() && !large.is_oom());
        pod.set_limits(memory(29));
        assert!(!small.is_oom() && large.is_oom());
        assert_eq!(pod.memory_stats().events.oom, 1);
    }

    #[test]
    fn processes_are_counted_and_limited_up_the_tree() {
        let sim = Sim::new_virtual(1);
        let pod = tree(&sim, 1).child("pod", Limits { pids_max: Some(2), ..Limits::default() });
        let (one, two) = (pod.child("one", Limits::default()), pod.child("two", Limits::default()));
        let (_a, b) = (one.pids_charge().expect("room"), two.pids_charge().expect("room"));
        assert_eq!(two.pids_charge().err(), Some(Errno::Again));
        assert_eq!([&one, &two, &pod].map(|cgroup| cgroup.pids_stats().current), [1, 1, 2]);
        assert_eq!(pod.pids_stats().events_max, 1);
        drop(b);
        let _again = two.pids_charge().expect("room again");
    }

    /// Four cgroups: 0 above 1 and 2, 2 above 3.
    const PARENT: [Option<usize>; 4] = [None, Some(0), Some(0), Some(2)];

    fn path_up(cgroup: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(cgroup), |&at| PARENT[at])
    }

    #[derive(Debug, Clone)]
    enum Op {
        Charge(usize, u64),
        Grow(usize, u64),
        Shrink(usize, u64),
        Drop(usize),
        Limit(usize, Option<u64>),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0..4usize, 0..50u64).prop_map(|(cgroup, bytes)| Op::Charge(cgroup, bytes)),
            2 => (any::<usize>(), 0..50u64).prop_map(|(which, bytes)| Op::Grow(which, bytes)),
            2 => (any::<usize>(), 0..80u64).prop_map(|(which, bytes)| Op::Shrink(which, bytes)),
            2 => any::<usize>().prop_map(Op::Drop),
            1 => (0..4usize, prop::option::of(0..200u64)).prop_map(|(cgroup, max)| Op::Limit(cgroup, max)),
        ]
    }

    proptest! {
        #[test]
        fn every_cgroup_holds_the_sum_of_what_is_below(ops in prop::collection::vec(op(), 1..80)) {
            let sim = Sim::new_virtual(1);
            let root = tree(&sim, 1).child("0", memory(150));
            let (left, right) = (root.child("1", memory(60)), root.child("2", Limits::default()));
            let deep = right.child("3", memory(70));
            let cgroups = [root, left, right, deep];
            let mut limits = [Some(150), Some(60), None, Some(70)];
            // the model: what each cgroup itself is charged with, from the live charges
            let mut charges: Vec<(usize, Charge)> = Vec::new();
            let mut peaks = [0u64; 4];
            let current = |charges: &[(usize, Charge)], cgroup: usize| -> u64 {
                charges.iter().filter(|(owner, _)| path_up(*owner).any(|at| at == cgroup)).map(|(_, charge)| charge.bytes()).sum()
            };
            let fits = |charges: &[(usize, Charge)], limits: &[Option<u64>; 4], cgroup: usize, bytes: u64| {
                bytes == 0 || path_up(cgroup).all(|at| limits[at].is_none_or(|max| current(charges, at) + bytes <= max))
            };
            for op in ops {
                match op {
                    Op::Charge(cgroup, bytes) => {
                        let expected = fits(&charges, &limits, cgroup, bytes);
                        let result = cgroups[cgroup].charge(bytes);
                        prop_assert_eq!(result.is_ok(), expected);
                        charges.extend(result.ok().map(|charge| (cgroup, charge)));
                    }
                    Op::Grow(which, bytes) if !charges.is_empty() => {
                        let which = which % charges.len();
                        let expected = fits(&charges, &limits, charges[which].0, bytes);
                        prop_assert_eq!(charges[which].1.grow(bytes).is_ok(), expected);
                    }
                    Op::Shrink(which, bytes) if !charges.is_empty() => {
                        let which = which % charges.len();
                        let left = charges[which].1.bytes().saturating_sub(bytes);
                        charges[which].1.shrink(bytes);
                        prop_assert_eq!(charges[which].1.bytes(), left);
                    }
                    Op::Drop(which) if !charges.is_empty() => drop(charges.swap_remove(which % charges.len())),
                    Op::Limit(cgroup, max) => {
                        limits[cgroup] = max;
                        cgroups[cgroup].set_limits(Limits { memory_max: max, ..Limits::default() });
                    }
                    Op::Grow(..) | Op::Shrink(..) | Op::Drop(_) => {}
                }
                for (cgroup, peak) in peaks.iter_mut().enumerate() {
                    let expected = current(&charges, cgroup);
                    *peak = expected.max(*peak);
                    let stats = cgroups[cgroup].memory_stats();
                    prop_assert_eq!((stats.current, stats.peak, stats.max), (expected, *peak, limits[cgroup]));
                }
            }
            drop(charges);
            prop_assert!(cgroups.iter().all(|cgroup| cgroup.memory_stats().current == 0));
        }
    }
}

mod files {
    use super::*;

    #[test]
    fn texts_are_those_of_cgroup_v2() {
        let sim = Sim::new_virtual(1);
        let limits =
            Limits { cpu_quota_millis: Some(250), cpu_weight: 39, memory_max: Some(100_000_000), pids_max: Some(7) };
        let cgroup = tree(&sim, 1).child("kubepods", Limits::default()).child("c", limits);
        let _charges = (cgroup.charge(4096).expect("fits"), cgroup.pids_charge().expect("fits"));
        let mut client = cgroup.cpu_client();
        let (_, waker) = task();
        let decision = client.poll_acquire(&mut Context::from_waker(&waker), at(0));
        assert_eq!(decision, CpuDecision::Run { fuel: ms(5) });
        client.release(1_234_567, at(1));
        let expected = [
            ("cgroup.controllers", "cpu memory pids\n"),
            ("cgroup.events", "populated 1\nfrozen 0\n"),
            ("cgroup.type", "domain\n"),
            ("cpu.max", "25000 100000\n"),
            (
                "cpu.stat",
                "usage_usec 1234\nuser_usec 1234\nsystem_usec 0\nnr_periods 0\nnr_throttled 0\nthrottled_usec 0\n\
                 nr_bursts 0\nburst_usec 0\n",
            ),
            ("cpu.weight", "39\n"),
            ("memory.current", "4096\n"),
            ("memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"),
            ("memory.max", "99999744\n"), // whole pages
            ("memory.peak", "4096\n"),
            ("memory.swap.current", "0\n"),
            ("memory.swap.max", "0\n"),
            ("pids.current", "1\n"),
            ("pids.events", "max 0\n"),
            ("pids.max", "7\n"),
        ];
        assert_eq!(cgroup.files(), expected.map(|(file, _)| file));
        for (file, text) in expected {
            assert_eq!(cgroup.render(file).as_deref(), Some(text), "{file}");
        }
        assert_eq!((cgroup.render("cpu.shares"), cgroup.render("")), (None, None));
    }

    #[test]
    fn no_limit_reads_max_and_the_root_has_few_files() {
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, 1);
        let cgroup = node.child("c", Limits { cpu_quota_millis: Some(0), ..Limits::default() });
        for (file, text) in
            [("cpu.max", "max 100000\n"), ("memory.max", "max\n"), ("pids.max", "max\n"), ("cpu.weight", "100\n")]
        {
            assert_eq!(cgroup.render(file).as_deref(), Some(text), "{file}");
        }
        assert_eq!(node.render("cpu.stat").as_deref(), Some("usage_usec 0\nuser_usec 0\nsystem_usec 0\n"));
        assert_eq!(node.render("cpu.max"), None);
    }

    #[test]
    fn the_tree_has_paths_and_forgets_what_is_dropped() {
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, 1);
        let pod = node.child("kubepods", Limits::default()).child("podX", Limits::default());
        let container = pod.child("app", Limits::default());
        assert_eq!((node.path(), container.path(), container.name()), ("/", "/kubepods/podX/app", "app"));
        assert_eq!(pod.children().iter().map(|child| child.name().to_owned()).collect::<Vec<_>>(), ["app"]);
        let charge = container.charge(1).expect("fits");
        drop(container);
        assert_eq!(pod.children().len(), 1); // the charge keeps it
        drop(charge);
        assert_eq!(pod.children().len(), 0);
        assert_eq!(pod.parent().map(|parent| parent.path()), Some("/kubepods"));
    }
}

mod cpu {
    use super::*;

    fn poll(client: &mut CpuClient, waker: &Waker, now: Instant) -> CpuDecision {
        client.poll_acquire(&mut Context::from_waker(waker), now)
    }

    const SLICE: CpuDecision = CpuDecision::Run { fuel: SPEED / 200 };

    #[test]
    fn a_released_cpu_goes_to_the_one_that_waits_and_to_nobody_else() {
        let sim = Sim::new_virtual(1);
        let cgroup = tree(&sim, 1).child("c", Limits::default());
        let mut clients: Vec<_> = (0..3).map(|_| cgroup.cpu_client()).collect();
        let tasks: Vec<_> = (0..3).map(|_| task()).collect();
        assert_eq!(poll(&mut clients[0], &tasks[0].1, at(0)), SLICE);
        assert_eq!(poll(&mut clients[1], &tasks[1].1, at(1)), CpuDecision::Queued);
        assert_eq!(poll(&mut clients[2], &tasks[2].1, at(1)), CpuDecision::Queued);
        clients[0].release(ms(2), at(2));
        let wakes: Vec<_> = tasks.iter().map(|(count, _)| woken(count)).collect();
        assert_eq!(wakes, [0, 1, 0]);
        // the entitled one is dropped before it runs: the next has its turn
        drop(clients.remove(1));
        assert_eq!(woken(&tasks[2].0), 1);
        assert_eq!(poll(&mut clients[1], &tasks[2].1, at(3)), SLICE);
        // the one that runs is dropped: the CPU is free
        drop(clients.remove(1));
        assert_eq!(poll(&mut clients[0], &tasks[0].1, at(3)), SLICE);
    }

    #[test]
    fn a_dropped_waiter_is_forgotten() {
        let sim = Sim::new_virtual(1);
        let cgroup = tree(&sim, 1).child("c", Limits::default());
        let (mut a, mut b) = (cgroup.cpu_client(), cgroup.cpu_client());
        let ((_, task_a), (count, task_b)) = (task(), task());
        assert_eq!(poll(&mut a, &task_a, at(0)), SLICE);
        assert_eq!(poll(&mut b, &task_b, at(0)), CpuDecision::Queued);
        drop(b);
        a.release(ms(5), at(5));
        assert_eq!(woken(&count), 0);
        assert_eq!(poll(&mut a, &task_a, at(5)), SLICE);
    }

    #[test]
    fn a_preempted_client_keeps_its_place_but_cannot_keep_the_cpu_idle() {
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, 1);
        let (heavy, light) = (node.child("heavy", weight(1000)), node.child("light", weight(100)));
        let (mut a, mut b) = (heavy.cpu_client(), light.cpu_client());
        let ((_, task_a), (count, task_b)) = (task(), task());
        assert_eq!(poll(&mut b, &task_b, at(0)), SLICE);
        assert_eq!(poll(&mut a, &task_a, at(0)), CpuDecision::Queued);
        b.release(ms(5), at(5)); // a is next
        assert_eq!(poll(&mut b, &task_b, at(5)), CpuDecision::Queued);
        assert_eq!(poll(&mut a, &task_a, at(5)), SLICE);
        a.release(ms(5), at(10)); // a is still behind by weight: the CPU is kept for it, and b is told to watch
        assert_eq!(woken(&count), 1);
        assert_eq!(poll(&mut b, &task_b, at(10)), CpuDecision::Queued);
        assert_eq!(poll(&mut a, &task_a, at(10)), SLICE);
        assert_eq!(poll(&mut b, &task_b, at(11)), CpuDecision::Queued); // a came back
        a.release(ms(5), at(15));
        assert_eq!(woken(&count), 2);
        assert_eq!(poll(&mut b, &task_b, at(15)), CpuDecision::Queued);
        assert_eq!(woken(&count), 2);
        sim.block_on(sim.clock().sleep_until(at(16))).expect("time passes");
        assert_eq!(woken(&count), 3); // to see whether a came back
        assert_eq!(poll(&mut b, &task_b, at(16)), SLICE); // it did not
        assert_eq!(poll(&mut a, &task_a, at(17)), CpuDecision::Queued);
    }

    #[test]
    fn parking_gives_a_kept_cpu_up_at_once() {
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, 1);
        let (heavy, light) = (node.child("heavy", weight(1000)), node.child("light", weight(100)));
        let (mut a, mut b) = (heavy.cpu_client(), light.cpu_client());
        let ((_, task_a), (count, task_b)) = (task(), task());
        assert_eq!(poll(&mut a, &task_a, at(0)), SLICE);
        a.park(at(0)); // nothing to give up: it runs
        assert_eq!(poll(&mut b, &task_b, at(0)), CpuDecision::Queued);
        a.release(ms(5), at(5)); // b has run nothing yet: it is next
        assert_eq!(poll(&mut b, &task_b, at(5)), SLICE);
        b.release(ms(5), at(10)); // kept for a, which is expected
        a.park(at(10));
        assert_eq!(poll(&mut b, &task_b, at(10)), SLICE);
        assert!(woken(&count) >= 1);
    }

    #[test]
    fn a_guest_that_blocks_gives_its_turn_up_even_with_its_slice_used_up() {
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, 1);
        let (heavy, light) = (node.child("heavy", weight(1000)), node.child("light", weight(100)));
        let (mut a, mut b) = (heavy.cpu_client(), light.cpu_client());
        let ((_, task_a), (count, task_b)) = (task(), task());
        assert_eq!(poll(&mut a, &task_a, at(0)), SLICE);
        assert_eq!(poll(&mut b, &task_b, at(0)), CpuDecision::Queued);
        a.release_and_park(ms(5), at(5));
        assert_eq!(poll(&mut b, &task_b, at(5)), SLICE);
        b.release(ms(5), at(10)); // nobody waits: it may go on at once, whatever the weights
        assert_eq!(poll(&mut b, &task_b, at(10)), SLICE);
        assert_eq!((woken(&count), heavy.cpu_usage_fuel()), (1, ms(5)));
    }

    #[test]
    fn a_wait_that_is_given_up_passes_its_turn_on() {
        let sim = Sim::new_virtual(1);
        let cgroup = tree(&sim, 1).child("c", Limits::default());
        let (mut a, mut b, mut c) = (cgroup.cpu_client(), cgroup.cpu_client(), cgroup.cpu_client());
        let ((_, task_a), (count_b, task_b), (count_c, task_c)) = (task(), task(), task());
        assert_eq!(poll(&mut a, &task_a, at(0)), SLICE);
        let mut wait = b.acquire();
        assert!(Pin::new(&mut wait).poll(&mut Context::from_waker(&task_b)).is_pending());
        assert_eq!(poll(&mut c, &task_c, at(0)), CpuDecision::Queued);
        a.release(ms(1), at(1));
        assert_eq!((woken(&count_b), woken(&count_c)), (1, 0));
        drop(wait);
        assert_eq!(woken(&count_c), 1);
        assert_eq!(poll(&mut c, &task_c, at(1)), SLICE);
        c.release(ms(1), at(2));
        let mut wait = b.acquire();
        assert_eq!(Pin::new(&mut wait).poll(&mut Context::from_waker(&task_b)), Poll::Ready(ms(5)));
        drop(wait); // it was not in vain: the CPU is held
        assert_eq!(poll(&mut a, &task_a, at(2)), CpuDecision::Queued);
    }

    #[test]
    fn the_end_of_a_task_whose_waker_is_kept_may_end_another_client() {
        struct Owner(#[expect(dead_code, reason = "it is there to be dropped")] Mutex<Option<CpuClient>>);
        impl Wake for Owner {
            fn wake(self: Arc<Self>) {}
        }
        let sim = Sim::new_virtual(1);
        let cgroup = tree(&sim, 1).child("c", Limits::default());
        let (mut a, mut b) = (cgroup.cpu_client(), cgroup.cpu_client());
        assert_eq!(poll(&mut a, Waker::noop(), at(0)), SLICE);
        let owner = Arc::new(Owner(Mutex::new(Some(cgroup.cpu_client()))));
        assert_eq!(poll(&mut b, &Waker::from(owner), at(0)), CpuDecision::Queued);
        drop(b); // drops the waker, the owner and its client: must not wait for its own lock
        a.release(1, at(1));
        assert_eq!(poll(&mut a, Waker::noop(), at(1)), SLICE);
    }

    #[test]
    fn what_waits_for_quota_is_woken_when_the_limit_is_raised() {
        let sim = Sim::new_virtual(1);
        let cgroup = tree(&sim, 1).child("c", cpu_limit(10));
        let mut client = cgroup.cpu_client();
        let (count, waker) = task();
        assert_eq!(poll(&mut client, &waker, at(0)), CpuDecision::Run { fuel: ms(1) });
        client.release(ms(50), at(1));
        assert_eq!(poll(&mut client, &waker, at(1)), CpuDecision::Throttled { until: at(5_000) });
        cgroup.set_limits(cpu_limit(1_000));
        assert_eq!(woken(&count), 1);
        assert_eq!(poll(&mut client, &waker, at(1)), SLICE);
    }

    #[test]
    fn a_tiny_rest_of_quota_is_rounded_up_and_becomes_debt() {
        let sim = Sim::new_virtual(1);
        let cgroup = tree(&sim, 1).child("c", cpu_limit(10));
        let mut client = cgroup.cpu_client();
        let (_, waker) = task();
        assert_eq!(poll(&mut client, &waker, at(0)), CpuDecision::Run { fuel: ms(1) });
        client.release(ms(1) - 3, at(1));
        assert_eq!(poll(&mut client, &waker, at(1)), CpuDecision::Run { fuel: 20_000 });
        client.release(20_000, at(1));
        assert_eq!(poll(&mut client, &waker, at(1)), CpuDecision::Throttled { until: at(100) });
        assert_eq!(poll(&mut client, &waker, at(100)), CpuDecision::Run { fuel: ms(1) - 20_000 + 3 });
    }

    /// Computes until `end`; counts what it did into `used`.
    pub(super) fn spin(sim: &Sim, cgroup: &Arc<Cgroup>, end: Instant) -> Arc<AtomicU64> {
        let (sim, mut client, used) = (sim.clone(), cgroup.cpu_client(), Arc::new(AtomicU64::new(0)));
        let total = used.clone();
        drop(sim.clone().spawn(format!("spin {}", cgroup.path()), async move {
            loop {
                let fuel = client.acquire().await;
                if sim.clock().now() >= end {
                    return;
                }
                sim.compute(fuel).await;
                client.release(fuel, sim.clock().now());
                total.fetch_add(fuel, Ordering::Relaxed);
            }
        }));
        used
    }

    /// Runs until all that ends at `duration` has ended.
    pub(super) fn run_for(sim: &Sim, duration: Duration) {
        let sleep = sim.clock().sleep(duration + Duration::from_nanos(1));
        sim.block_on(sleep).expect("time passes");
    }

    #[test]
    fn four_spinners_get_their_limits_and_the_right_statistics() {
        let sim = Sim::new_virtual(7);
        sim.set_fuel_per_second(SPEED);
        let node = tree(&sim, 4);
        let pod = node.child("kubepods", Limits::default()).child("pod", Limits::default());
        let limits = [500u64, 250, 1_000, 250];
        let cgroups = limits.map(|millis| pod.child("c", cpu_limit(millis)));
        let used = cgroups.each_ref().map(|cgroup| spin(&sim, cgroup, at(10_000)));
        run_for(&sim, Duration::from_secs(10));
        for ((millis, cgroup), used) in limits.iter().zip(&cgroups).zip(&used) {
            let (used, share) = (used.load(Ordering::Relaxed), millis * 10 * SPEED / 1_000);
            assert!(used.abs_diff(share) * 200 <= share, "{millis}m used {used} of {share}");
            let stats = cgroup.cpu_stats();
            assert_eq!(stats.usage_usec, share / 1_000);
            let throttled = if *millis < 1_000 { 100 } else { 0 };
            assert_eq!((stats.nr_periods, stats.nr_throttled), (100, throttled), "{millis}m");
            assert_eq!(stats.throttled_usec, throttled * (100_000 - millis * 100), "{millis}m");
        }
        assert_eq!(node.cpu_stats().usage_usec, 20_000_000);
    }

    #[test]
    fn a_pod_limit_holds_for_all_its_containers_together() {
        let sim = Sim::new_virtual(3);
        sim.set_fuel_per_second(SPEED);
        let pod = tree(&sim, 4).child("pod", cpu_limit(300));
        let containers = [pod.child("a", Limits::default()), pod.child("b", cpu_limit(250))];
        let used: Vec<_> = containers.iter().map(|cgroup| spin(&sim, cgroup, at(2_000))).collect();
        run_for(&sim, Duration::from_secs(2));
        let total: u64 = used.iter().map(|used| used.load(Ordering::Relaxed)).sum();
        assert_eq!(total, ms(600));
        let stats = pod.cpu_stats();
        assert_eq!((stats.nr_periods, stats.nr_throttled, stats.usage_usec), (20, 20, 600_000));
        assert_eq!(containers[0].cpu_stats().nr_periods, 0); // no limit of its own
    }

    #[test]
    fn a_sleeper_saves_no_credit_and_a_spinner_is_not_starved() {
        let sim = Sim::new_virtual(5);
        sim.set_fuel_per_second(SPEED);
        let node = tree(&sim, 1);
        let (a, b) = (node.child("a", Limits::default()), node.child("b", Limits::default()));
        let early = spin(&sim, &a, at(3_000));
        let late = Arc::new(AtomicU64::new(0));
        {
            let (sim, late, b) = (sim.clone(), late.clone(), b.clone());
            drop(sim.clone().spawn("late", async move {
                sim.clock().sleep(Duration::from_secs(2)).await;
                let used = spin(&sim, &b, at(3_000));
                sim.clock().sleep(Duration::from_millis(999)).await;
                late.store(used.load(Ordering::Relaxed), Ordering::Relaxed);
            }));
        }
        run_for(&sim, Duration::from_secs(3));
        let (early, late) = (early.load(Ordering::Relaxed), late.load(Ordering::Relaxed));
        assert!(late.abs_diff(ms(500)) <= ms(20), "late {late}");
        assert!(early.abs_diff(ms(2_500)) <= ms(20), "early {early}");
    }

    #[test]
    fn weights_hold_level_by_level() {
        let sim = Sim::new_virtual(11);
        sim.set_fuel_per_second(SPEED);
        let node = tree(&sim, 1);
        let (burstable, best_effort) = (node.child("burstable", weight(300)), node.child("besteffort", weight(100)));
        // three spinners on one side, one on the other: the number of them does not matter, the class' weight does
        let sides = [(&burstable, 100), (&burstable, 200), (&burstable, 300), (&best_effort, 10_000)];
        let cgroups = sides.map(|(parent, share)| parent.child("c", weight(share)));
        let used = cgroups.each_ref().map(|cgroup| spin(&sim, cgroup, at(20_000)));
        run_for(&sim, Duration::from_secs(20));
        let expected = [2_500, 5_000, 7_500, 5_000];
        for (used, expected) in used.iter().zip(expected) {
            let used = used.load(Ordering::Relaxed);
            assert!(used.abs_diff(ms(expected)) <= ms(40), "used {used}, expected {expected} ms");
        }
    }

    /// A waker for a thread: sets the flag and unparks.
    struct Unpark(std::thread::Thread, AtomicBool);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::Release);
            self.0.unpark();
        }
    }

    #[test]
    fn threads_lose_no_wake_and_never_hold_too_many() {
        const CPUS: u32 = 2;
        const ROUNDS: u64 = 3_000;
        let sim = Sim::new_virtual(1);
        let node = tree(&sim, CPUS);
        // all threads read one clock, which moves as they use it
        let (clock, holders) = (AtomicU64::new(0), AtomicUsize::new(0));
        let tick = || Instant::from_nanos(clock.fetch_add(1_000, Ordering::AcqRel));
        std::thread::scope(|scope| {
            for number in 0..5u64 {
                let cgroup = node.child("c", weight(100 * (number + 1)));
                let (tick, holders) = (&tick, &holders);
                scope.spawn(move || {
                    let mut client = cgroup.cpu_client();
                    let unpark = Arc::new(Unpark(std::thread::current(), AtomicBool::new(false)));
                    let waker = Waker::from(unpark.clone());
                    for round in 0..ROUNDS {
                        let fuel = loop {
                            match poll(&mut client, &waker, tick()) {
                                CpuDecision::Run { fuel } => break fuel,
                                CpuDecision::Throttled { until } => panic!("there is no quota, yet: {until}"),
                                // a lost wake is a test that does not end
                                CpuDecision::Queued => {
                                    while !unpark.1.swap(false, Ordering::AcqRel) {
                                        std::thread::park();
                                    }
                                }
                            }
                        };
                        assert!(holders.fetch_add(1, Ordering::AcqRel) < CPUS as usize);
                        holders.fetch_sub(1, Ordering::AcqRel);
                        // used up, or less: which is taken for blocking
                        client.release(if (round + number) % 3 == 0 { fuel / 2 } else { fuel }, tick());
                    }
                });
            }
        });
        let mut client = node.cpu_client();
        assert_eq!(poll(&mut client, Waker::noop(), tick()), SLICE);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn shares_converge_to_weights_and_no_cpu_is_lost(
            seed: u64,
            weights in prop::collection::vec(1u64..=1_000, 2..6),
        ) {
            let sim = Sim::new_virtual(seed);
            sim.set_fuel_per_second(SPEED);
            let node = tree(&sim, 1);
            let cgroups: Vec<_> = weights.iter().map(|&share| node.child("c", weight(share))).collect();
            let used: Vec<_> = cgroups.iter().map(|cgroup| spin(&sim, cgroup, at(30_000))).collect();
            run_for(&sim, Duration::from_secs(30));
            let sum: u64 = weights.iter().sum();
            let mut total = 0;
            for (used, share) in used.iter().zip(&weights) {
                let used = used.load(Ordering::Relaxed);
                let expected = ms(30_000) * share / sum;
                total += used;
                // two slices each way, of the client's own and of the one that was in its way
                prop_assert!(used.abs_diff(expected) <= ms(5) * (weights.len() as u64 + 1), "{weights:?}: {used} for {expected}");
            }
            prop_assert!(total + ms(5) >= ms(30_000), "a CPU was idle: {total}");
        }

        #[test]
        fn a_mix_of_sleepers_and_spinners_loses_no_cpu_and_starves_nobody(
            seed: u64,
            cpus in 1u32..4,
            quotas in prop::collection::vec(prop::option::of(10u64..900), 4..10),
        ) {
            let sim = Sim::new_virtual(seed);
            sim.set_fuel_per_second(SPEED);
            let node = tree(&sim, cpus);
            let mut cgroups = Vec::new();
            for (number, quota) in quotas.iter().enumerate() {
                let cgroup = node.child("c", Limits { cpu_quota_millis: *quota, ..Limits::default() });
                let (world, mut client) = (sim.clone(), cgroup.cpu_client());
                let mut random = sim.entropy().stream(&format!("test/{number}"));
                drop(sim.spawn(format!("guest {number}"), async move {
                    loop {
                        // uses all, a part, or more than was granted; blocks now and then, also after a used-up slice
                        let fuel = client.acquire().await;
                        let used = match random.below(4) {
                            0 => random.below(fuel + 1),
                            1 => fuel + random.below(fuel / 8 + 1),
                            _ => fuel,
                        };
                        world.compute(used).await;
                        client.release(used, world.clock().now());
                        if random.below(8) == 0 {
                            world.clock().sleep(Duration::from_micros(random.below(9_000))).await;
                        }
                    }
                }));
                cgroups.push(cgroup);
            }
            run_for(&sim, Duration::from_secs(3));
            let mut unlimited = 0;
            for (cgroup, quota) in cgroups.iter().zip(&quotas) {
                let stats = cgroup.cpu_stats();
                match quota {
                    // 30 periods of quota, a slice with its overshoot of debt, and the slice that is running
                    Some(millis) => prop_assert!(stats.usage_usec <= 30 * millis.max(&10) * 100 + 2 * 5_700, "{quota:?}: {stats:?}"),
                    None => unlimited += 1,
                }
                prop_assert!(stats.nr_throttled <= stats.nr_periods && stats.nr_periods <= 30, "{stats:?}");
                prop_assert!(stats.usage_usec >= 10_000, "starved: {stats:?}");
            }
            // enough that want to run: the CPUs are nearly always busy, but for those that sleep
            if unlimited >= cpus as usize + 2 {
                let usage = node.cpu_stats().usage_usec;
                prop_assert!(usage * 100 >= u64::from(cpus) * 3_000_000 * 85, "{usage} of {cpus} CPUs");
            }
        }

        #[test]
        fn random_calls_keep_the_number_of_holders_right(
            cpus in 1u32..4,
            steps in prop::collection::vec((0..6usize, 0..9u8, 0..7_000u64), 1..120),
        ) {
            let sim = Sim::new_virtual(1);
            let node = tree(&sim, cpus);
            let pods = [node.child("a", weight(700)), node.child("b", cpu_limit(300))];
            let mut clients: Vec<Option<CpuClient>> = (0..6).map(|at| Some(pods[at % 2].cpu_client())).collect();
            let (_, waker) = task();
            let (mut running, mut now) = ([false; 6], 0);
            for (which, what, micros) in steps {
                now += micros * 1_000;
                let time = Instant::from_nanos(now);
                let Some(client) = &mut clients[which] else {
                    clients[which] = Some(pods[which % 2].cpu_client());
                    continue;
                };
                match what {
                    0 | 1 => running[which] = matches!(poll(client, &waker, time), CpuDecision::Run { .. }),
                    2 => {
                        client.release(micros * 1_000, time);
                        running[which] = false;
                    }
                    3 => client.park(time),
                    // the short way, which the clock of this simulation does not see: `time` is ahead of it
                    4..=6 if which % 2 == 0 => {
                        if running[which] {
                            client.release_and_park_now(micros * 1_000);
                            running[which] = false;
                        } else {
                            let mut cx = Context::from_waker(&waker);
                            running[which] = matches!(client.poll_acquire_now(&mut cx), CpuDecision::Run { .. });
                        }
                    }
                    _ => {
                        clients[which] = None;
                        running[which] = false;
                    }
                }
                prop_assert!(running.iter().filter(|&&running| running).count() <= cpus as usize);
            }
            // when all leave and ask again one at a time, everybody gets its CPU: none was lost
            clients.clear();
            let fresh = node.child("fresh", Limits::default());
            let mut fresh: Vec<_> = (0..cpus).map(|_| fresh.cpu_client()).collect();
            for client in &mut fresh {
                prop_assert_eq!(poll(client, &waker, Instant::from_nanos(now)), SLICE);
            }
        }
    }
}
