//! Names, permissions, limits and charges of the namespace; each object against what its manual page says, and against models.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use proptest::prelude::*;
use wasmpod_sim::Sim;

use super::limits::{MAX_PRIORITY, MAX_SHM_BYTES, SEM_VALUE_MAX};
use super::*;
use crate::cgroup::{Limits, RootConfig};

const NEW: OpenFlags = OpenFlags::READ.union(OpenFlags::WRITE).union(OpenFlags::CREATE);

struct Pod {
    ns: Arc<IpcNs>,
    cgroup: Arc<Cgroup>,
    cred: Cred,
    undo: Arc<Undo>,
    party: Arc<Party>,
}

impl Pod {
    fn with_memory(max: u64) -> Self {
        let config = RootConfig { cpus: 1, memory_bytes: 1 << 30, fuel_per_cpu_second: 1 };
        let root = Cgroup::root(config, Sim::new_virtual(1).clock().clone());
        let cgroup = root.child("c", Limits { memory_max: Some(max), ..Limits::default() });
        let party = Arc::new(Party { name: "pod/app".to_owned(), pid: 1 });
        Self { ns: IpcNs::new(), cgroup, cred: Cred::root(), undo: Arc::default(), party }
    }

    fn new() -> Self {
        Self::with_memory(1 << 29)
    }

    fn caller(&self) -> Caller<'_> {
        Caller { party: &self.party, cred: &self.cred, cgroup: &self.cgroup }
    }

    fn queue(&self, name: &str, messages: u32, size: u32) -> Result<Arc<OpenQueue>> {
        let limits = QueueLimits { max_messages: messages, message_size: size };
        self.ns.open_queue(name, NEW, 0o600, Some(limits), self.caller())
    }

    fn semaphore(&self, name: &str, flags: OpenFlags, value: u32) -> Result<Arc<OpenSemaphore>> {
        self.ns.open_semaphore(name, flags, 0o600, value, self.caller(), &self.undo)
    }

    fn segment(&self, name: &str) -> Arc<OpenSegment> {
        self.ns.open_segment(name, NEW, 0o600, self.caller()).expect("room")
    }

    fn sized(&self, name: &str, size: u64) -> Arc<OpenSegment> {
        let segment = self.segment(name);
        segment.set_size(size, &self.cgroup).expect("room");
        segment
    }

    fn charged(&self) -> u64 {
        self.cgroup.memory_stats().current
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Polls, and returns how often the poller was woken since.
fn poll(of: &Ipc, interest: Ready) -> (Ready, Arc<Woken>) {
    let woken = Arc::new(Woken::default());
    let ready = of.poll_ready(interest, &mut Context::from_waker(&Waker::from(woken.clone())));
    (ready, woken)
}

fn count(woken: &Woken) -> usize {
    woken.0.load(Ordering::Relaxed)
}

fn receive(queue: &OpenQueue) -> Result<(Vec<u8>, u32)> {
    queue.receive_with(|data, priority| (data.to_vec(), priority))
}

#[test]
fn names_are_those_of_mq_open() {
    let longest = format!("/{}", "n".repeat(limits::NAME_MAX));
    for good in ["/a", "/a b.ü", "/...", &longest] {
        assert_eq!(check_name(good), Ok(good));
    }
    let too_long = format!("{longest}n");
    let bad = [
        ("", Errno::Inval),
        ("a", Errno::Inval),
        ("/", Errno::NoEnt),
        ("/a\0", Errno::Inval),
        ("/a/b", Errno::Acces),
        ("//", Errno::Acces),
        ("/..", Errno::Acces),
        (&too_long, Errno::NameTooLong),
    ];
    for (name, errno) in bad {
        assert_eq!(check_name(name), Err(errno), "{name:?}");
    }
}

#[test]
fn create_and_exclusive_are_those_of_open() {
    let pod = Pod::new();
    let open = |flags| pod.ns.open_segment("/s", flags, 0o600, pod.caller()).map(|_| ());
    assert_eq!(open(OpenFlags::READ), Err(Errno::NoEnt));
    assert_eq!(open(OpenFlags::CREATE), Err(Errno::Inval), "neither for reading nor for writing");
    assert_eq!(open(NEW | OpenFlags::EXCLUSIVE), Ok(()));
    assert_eq!(open(NEW | OpenFlags::EXCLUSIVE), Err(Errno::Exist));
    assert_eq!(open(NEW), Ok(()));
    // each kind has names of its own
    assert!(pod.queue("/s", 1, 1).is_ok() && pod.semaphore("/s", OpenFlags::CREATE, 0).is_ok());
    assert_eq!(pod.ns.snapshot().len(), 3);
}

#[test]
fn a_mode_keeps_others_out_and_only_the_owner_unlinks() {
    let mut pod = Pod::new();
    let user = |uid| Cred { uid, gid: uid, groups: Vec::new() };
    pod.cred = user(1000);
    assert!(pod.ns.open_segment("/s", NEW, 0o640, pod.caller()).is_ok());
    pod.cred = user(1001);
    let open = |pod: &Pod, flags| pod.ns.open_segment("/s", flags, 0, pod.caller()).map(|_| ());
    assert_eq!(open(&pod, OpenFlags::READ), Err(Errno::Acces));
    pod.cred.groups = vec![1000];
    assert_eq!(open(&pod, OpenFlags::READ), Ok(()));
    assert_eq!(open(&pod, OpenFlags::READ | OpenFlags::WRITE), Err(Errno::Acces));
    assert_eq!(pod.ns.unlink_segment("/s", &pod.cred), Err(Errno::Acces));
    assert_eq!(pod.ns.unlink_segment("/s", &user(1000)), Ok(()));
    assert_eq!(pod.ns.unlink_segment("/s", &user(1000)), Err(Errno::NoEnt));
}

#[test]
fn an_unlinked_object_lives_until_its_last_handle_and_its_name_is_free() {
    let pod = Pod::new();
    let old = pod.queue("/q", 1, 8).expect("room");
    old.send(b"old", 0).expect("room");
    pod.ns.unlink_queue("/q", &pod.cred).expect("it is there");
    let new = pod.queue("/q", 1, 8).expect("room");
    assert_eq!((receive(&new), receive(&old)), (Err(Errno::Again), Ok((b"old".to_vec(), 0))));
    assert_eq!(pod.ns.usage().queues, 2);
    drop(old);
    assert_eq!(pod.ns.usage().queues, 1);
}

#[test]
fn the_end_of_a_pod_gives_everything_back() {
    let pod = Pod::new();
    let open = (pod.queue("/q", 10, 100), pod.semaphore("/s", OpenFlags::CREATE, 1), pod.sized("/m", 5000));
    assert!(pod.charged() >= 5000 + 10 * 100 + 3 * OBJECT_BYTES);
    pod.ns.clear();
    assert!(pod.ns.snapshot().is_empty() && pod.charged() > 0);
    drop(open);
    assert_eq!((pod.charged(), pod.ns.usage()), (0, IpcUsage::default()));
}

#[test]
fn two_namespaces_share_nothing() {
    let (one, other) = (Pod::new(), Pod::new());
    one.sized("/s", 8).write(0, b"secret").expect("inside");
    assert_eq!(other.ns.open_segment("/s", OpenFlags::READ, 0, other.caller()).err(), Some(Errno::NoEnt));
    assert_eq!(other.sized("/s", 8).read(0, &mut [0; 8]), Ok(8));
    assert!(other.ns.snapshot().iter().all(|info| info.creator.0 == "pod/app" && info.waiters == 0));
}

#[test]
fn numbers_of_objects_are_limited() {
    let pod = Pod::new();
    let queues: Vec<_> = (0..MAX_QUEUES).map(|at| pod.queue(&format!("/{at}"), 1, 1).expect("room")).collect();
    assert_eq!(pod.queue("/more", 1, 1).err(), Some(Errno::NoSpc));
    pod.ns.clear(); // names are not what counts
    assert_eq!(pod.queue("/more", 1, 1).err(), Some(Errno::NoSpc));
    drop(queues);
    assert!(pod.queue("/more", 1, 1).is_ok());
    for at in 0..MAX_SEMAPHORES {
        pod.semaphore(&format!("/{at}"), OpenFlags::CREATE, 0).expect("room");
    }
    assert_eq!(pod.semaphore("/more", OpenFlags::CREATE, 0).err(), Some(Errno::NoSpc));
    for at in 0..MAX_SEGMENTS {
        pod.segment(&format!("/{at}"));
    }
    assert_eq!(pod.ns.open_segment("/more", NEW, 0, pod.caller()).err(), Some(Errno::NoSpc));
}

#[test]
fn bytes_of_queues_are_limited_and_charged_at_once() {
    let pod = Pod::with_memory(2 << 20);
    assert_eq!(pod.queue("/q", 1024, 65_536).err(), Some(Errno::MFile));
    assert_eq!(pod.queue("/q", 32, 65_536).err(), Some(Errno::NoMem));
    assert_eq!((pod.charged(), pod.ns.usage()), (0, IpcUsage::default()));
    assert!(!pod.cgroup.is_oom(), "it is refused, nobody is killed");
    let queue = pod.queue("/q", 31, 65_536).expect("room");
    for at in 0..31 {
        queue.send(&[at; 65_536], 0).expect("it was charged for");
    }
    for (messages, size) in [(0, 1), (1, 0), (1025, 1), (1, 65_537), (u32::MAX, u32::MAX)] {
        assert_eq!(pod.queue("/bad", messages, size).err(), Some(Errno::Inval));
    }
}

#[test]
fn a_size_is_set_once_and_charged_to_who_sets_it() {
    let pod = Pod::with_memory(1 << 20);
    let segment = pod.segment("/s");
    assert_eq!(segment.read(0, &mut [0; 4]), Ok(0), "it has no size yet");
    assert_eq!(segment.set_size(2 << 20, &pod.cgroup), Err(Errno::NoMem));
    assert_eq!(segment.set_size(MAX_SHM_BYTES + 1, &pod.cgroup), Err(Errno::NoSpc));
    assert_eq!(segment.set_size(u64::MAX, &pod.cgroup), Err(Errno::NoSpc));
    assert_eq!(pod.ns.usage().shm_bytes, 0, "what failed is not counted");
    assert_eq!((segment.set_size(0, &pod.cgroup), segment.set_size(100, &pod.cgroup)), (Ok(()), Ok(())));
    assert_eq!((segment.set_size(100, &pod.cgroup), segment.set_size(50, &pod.cgroup)), (Ok(()), Err(Errno::Inval)));
    assert_eq!((segment.size(), pod.ns.usage().shm_bytes), (100, 100));
    let reader = pod.ns.open_segment("/s", OpenFlags::READ, 0, pod.caller()).expect("it is there");
    assert_eq!(reader.set_size(100, &pod.cgroup), Err(Errno::Inval));
    assert_eq!(reader.write(0, &[1]), Err(Errno::BadF));
    assert_eq!(reader.fetch_add(0, 1_u32), Err(Errno::BadF));
}

#[test]
fn a_queue_wakes_who_waits_and_polls_tell_both_sides() {
    let pod = Pod::new();
    let queue = pod.queue("/q", 1, 8).expect("room");
    let end = Ipc::Queue(queue.clone());
    let (ready, reader) = poll(&end, Ready::READ);
    assert_eq!(ready, Ready::empty());
    assert_eq!(poll(&end, Ready::READ | Ready::WRITE).0, Ready::WRITE);
    queue.send(b"1", 3).expect("room");
    assert_eq!(count(&reader), 1);
    assert_eq!(queue.send(b"2", 3), Err(Errno::Again));
    let (ready, writer) = poll(&end, Ready::WRITE);
    assert_eq!(ready, Ready::empty());
    assert_eq!(pod.ns.snapshot()[0].waiters, 1);
    assert_eq!(queue.receive(&mut [0; 7]), Err(Errno::MsgSize), "it must hold any message");
    assert_eq!(queue.receive(&mut [0; 8]), Ok((1, 3)));
    assert_eq!(count(&writer), 1);
    assert_eq!(queue.send(&[0; 9], 0), Err(Errno::MsgSize));
    assert_eq!(queue.send(&[], MAX_PRIORITY + 1), Err(Errno::Inval));
    assert_eq!(queue.send(&[], MAX_PRIORITY), Ok(()));
    assert_eq!(receive(&queue), Ok((Vec::new(), MAX_PRIORITY)));
}

#[test]
fn a_queue_does_what_it_was_opened_for() {
    let pod = Pod::new();
    let open = |flags| pod.ns.open_queue("/q", flags | OpenFlags::CREATE, 0o600, None, pod.caller()).expect("room");
    let (reader, writer) = (open(OpenFlags::READ), open(OpenFlags::WRITE));
    assert_eq!(reader.send(b"x", 0), Err(Errno::BadF));
    assert_eq!((writer.receive(&mut []), writer.notify().err()), (Err(Errno::BadF), Some(Errno::BadF)));
    writer.send(b"x", 0).expect("room");
    assert_eq!(poll(&Ipc::Queue(writer), Ready::READ).0, Ready::empty());
    assert_eq!(reader.status(), (QueueLimits { max_messages: 10, message_size: 8192 }, 1));
}

#[test]
fn one_is_told_once_of_a_message_in_an_empty_queue() {
    let pod = Pod::new();
    let queue = pod.queue("/q", 4, 8).expect("room");
    queue.send(b"0", 0).expect("room");
    let asked = queue.notify().expect("nobody has asked");
    assert_eq!(queue.notify().err(), Some(Errno::Busy));
    let told = Ipc::Notification(asked);
    let (_, woken) = poll(&told, Ready::READ);
    queue.send(b"1", 0).expect("room"); // the queue was not empty
    assert_eq!((poll(&told, Ready::READ).0, count(&woken)), (Ready::empty(), 0));
    assert!(receive(&queue).is_ok() && receive(&queue).is_ok());
    let blocked = queue.block();
    queue.send(b"2", 0).expect("room"); // somebody waits for it
    assert_eq!((poll(&told, Ready::READ).0, receive(&queue).is_ok()), (Ready::empty(), true));
    drop(blocked);
    queue.send(b"3", 0).expect("room");
    assert_eq!((poll(&told, Ready::READ).0, count(&woken)), (Ready::READ, 1));
    let again = queue.notify().expect("the first was told");
    drop(told); // withdraws nothing of the second
    assert_eq!(queue.notify().err(), Some(Errno::Busy));
    drop(again);
    assert!(queue.notify().is_ok());
}

#[test]
fn a_semaphore_counts_and_wakes() {
    let pod = Pod::new();
    let semaphore = pod.semaphore("/s", OpenFlags::CREATE, 1).expect("room");
    assert_eq!((semaphore.try_wait(), semaphore.try_wait(), semaphore.value()), (Ok(()), Err(Errno::Again), 0));
    let (ready, woken) = poll(&Ipc::Semaphore(semaphore.clone()), Ready::READ);
    assert_eq!((ready, semaphore.post(), count(&woken)), (Ready::empty(), Ok(()), 1));
    assert_eq!(poll(&Ipc::Semaphore(semaphore.clone()), Ready::READ).0, Ready::READ);
    let most = pod.semaphore("/most", OpenFlags::CREATE, SEM_VALUE_MAX).expect("room");
    assert_eq!((most.post(), most.value()), (Err(Errno::Overflow), SEM_VALUE_MAX));
    assert_eq!(pod.semaphore("/no", OpenFlags::CREATE, SEM_VALUE_MAX + 1).err(), Some(Errno::Inval));
}

#[test]
fn what_a_process_took_is_given_back_at_its_end_and_wakes_the_next() {
    let pod = Pod::new();
    let with_undo = pod.semaphore("/s", OpenFlags::CREATE | OpenFlags::UNDO, 3).expect("room");
    let plain = pod.semaphore("/s", OpenFlags::empty(), 0).expect("it is there");
    assert_eq!([with_undo.try_wait(), with_undo.try_wait(), plain.try_wait()], [Ok(()); 3]);
    with_undo.post().expect("room");
    plain.try_wait().expect("1");
    let (_, woken) = poll(&Ipc::Semaphore(plain.clone()), Ready::READ);
    drop(with_undo); // a close is no end
    assert_eq!(plain.value(), 0);
    pod.undo.give_back();
    assert_eq!((plain.value(), count(&woken)), (1, 1), "two were taken with undo, one of them given");
    pod.undo.give_back();
    assert_eq!(plain.value(), 1, "once");
}

#[test]
fn words_in_memory_are_atomic_aligned_and_inside() {
    let pod = Pod::new();
    let memory = pod.sized("/m", 16);
    assert_eq!(
        (memory.fetch_add(8, 5_u32), memory.fetch_add(8, u32::MAX), memory.fetch_add(8, 0_u32)),
        (Ok(0), Ok(5), Ok(4))
    );
    assert_eq!((memory.compare_exchange(0, 0_u64, 7), memory.compare_exchange(0, 0_u64, 9)), (Ok(0), Ok(7)));
    assert_eq!((memory.fetch_add(2, 1_u32), memory.fetch_add(4, 1_u64)), (Err(Errno::Inval), Err(Errno::Inval)));
    assert_eq!(
        (memory.fetch_add(16, 1_u32), memory.fetch_add(u64::MAX - 7, 1_u64)),
        (Err(Errno::Fault), Err(Errno::Fault))
    );
    assert_eq!(
        (memory.write(15, &[1]), memory.write(15, &[1, 2]), memory.write(u64::MAX, &[1])),
        (Ok(1), Err(Errno::Fault), Err(Errno::Fault))
    );
    let mut buffer = [9; 20];
    assert_eq!((memory.read(12, &mut buffer), &buffer[..5]), (Ok(4), &[0, 0, 0, 1, 9][..]));
    assert_eq!(memory.read(u64::MAX, &mut buffer), Ok(0));
}

#[test]
fn waits_in_memory_end_in_the_order_in_which_they_began() {
    let pod = Pod::new();
    let memory = pod.sized("/m", 16);
    let watch = |offset| Ipc::Watch(Arc::new(memory.watch(offset, 0).expect("it is zero")));
    let waits = [watch(0), watch(0), watch(4), watch(0)];
    let polled = || waits.each_ref().map(|wait| poll(wait, Ready::READ).0 == Ready::READ);
    assert_eq!((polled(), pod.ns.snapshot()[0].waiters), ([false; 4], 4));
    assert_eq!((memory.notify(0, 2), memory.notify(8, 9), memory.notify(3, 1)), (Ok(2), Ok(0), Err(Errno::Inval)));
    assert_eq!(polled(), [true, true, false, false]);
    assert_eq!((memory.notify(0, u32::MAX), memory.notify(0, 1)), (Ok(1), Ok(0)), "an ended wait is not ended again");
    assert_eq!(memory.watch(0, 1).err(), Some(Errno::Again));
    drop(waits);
    assert_eq!((memory.notify(4, 1), pod.ns.snapshot()[0].waiters), (Ok(0), 0));
    let many: Vec<_> = (0..limits::MAX_SHM_WAITS).map(|_| memory.watch(0, 0).expect("room")).collect();
    assert_eq!(memory.watch(0, 0).err(), Some(Errno::NoSpc));
    drop(many);
}

proptest! {
    /// A queue is a list of lists: by priority, then first in, first out.
    #[test]
    fn a_queue_is_what_its_model_is(max in 1_u32..6, ops in prop::collection::vec((any::<bool>(), 0_u32..4, 0_usize..12), 1..120)) {
        let pod = Pod::new();
        let queue = pod.queue("/q", max, 8).expect("room");
        let mut model: Vec<VecDeque<Vec<u8>>> = vec![VecDeque::new(); 4];
        for (at, (sends, priority, len)) in ops.into_iter().enumerate() {
            let length: usize = model.iter().map(VecDeque::len).sum();
            if sends {
                let data = vec![at as u8; len];
                let expected = match (len <= 8, length < max as usize) {
                    (false, _) => Err(Errno::MsgSize),
                    (true, false) => Err(Errno::Again),
                    (true, true) => {
                        model[priority as usize].push_back(data.clone());
                        Ok(())
                    }
                };
                prop_assert_eq!(queue.send(&data, priority), expected);
            } else {
                let first = (0..4_u32).rev().find_map(|priority| Some((model[priority as usize].pop_front()?, priority)));
                prop_assert_eq!(receive(&queue), first.ok_or(Errno::Again));
            }
            let used: usize = model.iter().flatten().map(Vec::len).sum();
            let info = &pod.ns.snapshot()[0];
            prop_assert_eq!(info.used_bytes, used as u64);
            let readable = model.iter().any(|list| !list.is_empty());
            prop_assert_eq!(poll(&Ipc::Queue(queue.clone()), Ready::READ).0 == Ready::READ, readable);
        }
    }

    /// The value is what it began with, and what was given, less what was taken; processes that end leave it as without them, but
    /// for what they gave.
    #[test]
    fn a_semaphore_loses_and_invents_nothing(value in 0_u32..4, ops in prop::collection::vec((0_usize..3, 0_u8..8), 1..100)) {
        let pod = Pod::new();
        let watcher = pod.semaphore("/s", OpenFlags::CREATE, value).expect("room");
        let mut undos: Vec<Arc<Undo>> = (0..3).map(|_| Arc::default()).collect();
        let open = |undo: &Arc<Undo>| {
            pod.ns.open_semaphore("/s", OpenFlags::UNDO, 0, 0, pod.caller(), undo).expect("it is there")
        };
        let mut handles: Vec<_> = undos.iter().map(open).collect();
        let (mut expected, mut taken) = (i64::from(value), [0_i64; 3]);
        for (who, op) in ops {
            match op {
                0..=3 => {
                    prop_assert_eq!(handles[who].try_wait().is_ok(), expected > 0);
                    if expected > 0 {
                        (expected, taken[who]) = (expected - 1, taken[who] + 1);
                    }
                }
                4..=5 => {
                    handles[who].post().expect("far from the greatest");
                    (expected, taken[who]) = (expected + 1, (taken[who] - 1).max(0));
                }
                6 => handles[who] = open(&undos[who]), // closes the other
                _ => {
                    std::mem::take(&mut undos[who]).give_back(); // another process follows
                    expected += std::mem::take(&mut taken[who]);
                    handles[who] = open(&undos[who]);
                }
            }
            prop_assert_eq!(i64::from(watcher.value()), expected);
        }
        drop(handles);
        undos.iter().for_each(|undo| undo.give_back());
        prop_assert_eq!(i64::from(watcher.value()), expected + taken.iter().sum::<i64>());
    }
}

#[test]
fn who_could_end_a_wait_is_known_of_each_object() {
    let (a, b) = (Pod::new(), Pod::new());
    let other = Arc::new(Party { name: "pod/other".to_owned(), pid: 2 });
    let caller = || Caller { party: &other, ..a.caller() };
    let names = |of: &Ipc, interest| match of.enders(interest) {
        Enders::Holders(who) => ("holds", who.iter().map(|party| party.pid).collect::<Vec<_>>()),
        Enders::Openers(who) => ("open", who.iter().map(|party| party.pid).collect()),
    };
    let queue = Ipc::Queue(a.queue("/q", 1, 1).expect("room"));
    let reads = a.ns.open_queue("/q", OpenFlags::READ, 0, None, caller()).expect("there");
    assert_eq!(names(&queue, Ready::READ), ("open", vec![1])); // who sends
    assert_eq!(names(&queue, Ready::WRITE), ("open", vec![1, 2]));
    drop(reads);
    assert_eq!(names(&queue, Ready::WRITE), ("open", vec![1]));

    let lock = a.semaphore("/lock", NEW, 1).expect("room");
    let theirs = a.ns.open_semaphore("/lock", NEW, 0, 0, caller(), &b.undo).expect("there");
    let lock_of = |semaphore: &Arc<OpenSemaphore>| names(&Ipc::Semaphore(semaphore.clone()), Ready::READ);
    theirs.try_wait().expect("free");
    assert_eq!(lock_of(&lock), ("holds", vec![2]));
    theirs.post().expect("held");
    lock.try_wait().expect("free");
    assert_eq!(lock_of(&theirs), ("holds", vec![1]));
    let again = a.semaphore("/lock", NEW, 1).expect("there");
    drop(lock); // another handle of the same process is left
    assert_eq!(lock_of(&theirs), ("holds", vec![1]));
    drop(again);
    assert_eq!(lock_of(&theirs), ("holds", vec![])); // it took it along
    theirs.post().expect("any may give"); // and so it is no lock
    assert_eq!(lock_of(&theirs), ("open", vec![2]));

    let memory = a.sized("/m", 8);
    let watch = Ipc::Watch(Arc::new(memory.watch(0, 0).expect("zero")));
    assert_eq!(names(&watch, Ready::READ), ("open", vec![1]));
}
