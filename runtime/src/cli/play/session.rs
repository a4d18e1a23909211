//! The pods at work: they are started together, and watched until they have ended, time is over, or somebody stops them.
//!
//! ```text
//!   start all ──► all ended ────────────────────────────► exit code from the phases
//!      │  timeout ─► stop, short grace ─► all ended ────► 124
//!      │  Ctrl-C ──► stop, own grace ──► all ended ─────► 130 (SIGTERM: 143); the second one kills, the third waits for nothing
//!      └─ stdout closed ─► stop, short grace ───────────► 141
//! ```

use std::future::{pending, poll_fn};
use std::net::{TcpListener, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use wasmpod_cri::{Protocol, Published, deadlock, publish};
use wasmpod_node::events::EventType;
use wasmpod_node::lifecycle::back_off::go_duration;
use wasmpod_node::lifecycle::phase::Phase;
use wasmpod_node::{PodHandle, PodRequest};
use wasmpod_sim::{BlockOnError, HostSignal, HostSignals, Sim, Sleep};

use super::args::{Args, Publish};
use super::faults::{self, Fault};
use super::output::Printer;
use super::output::inspect::Moment;
use super::output::summary::Summary;
use super::output::text::label;
use super::pcap::MAX_PCAP_BYTES;
use super::prepare::publish_target;
use super::reproduce;
use super::world::World;
use crate::exit::Exit;

/// The grace of pods that nobody waits for any more: after a timeout, or when the output is closed.
const SHORT_GRACE: Duration = Duration::from_secs(2);

/// A published port and the pod it leads to, as an index.
pub type Target = (Publish, usize);

/// Finds the pods of published ports, and that the host's ports can be had.
///
/// # Errors
/// The lines for the user.
pub fn publish_targets(list: &[Publish], pods: &[PodRequest]) -> Result<Vec<Target>, Vec<String>> {
    let mut targets = Vec::new();
    let mut problems = Vec::new();
    for publish in list {
        let free = match publish.protocol {
            Protocol::Tcp => TcpListener::bind(publish.host).map(drop),
            Protocol::Udp => UdpSocket::bind(publish.host).map(drop),
        };
        let free = free.map_err(|error| format!("--publish: cannot listen on {}: {error}", publish.host));
        match free.and_then(|()| publish_target(publish, pods)) {
            Ok(pod) => targets.push((publish.clone(), pod)),
            Err(problem) => problems.push(format!("error: {problem}")),
        }
    }
    if problems.is_empty() { Ok(targets) } else { Err(problems) }
}

/// Runs the pods to their end, prints how it went, and says what the exit code is.
pub fn run(
    args: &Args,
    sim: &Sim,
    world: &World,
    printer: &Arc<Printer>,
    pods: Vec<PodRequest>,
    targets: Vec<Target>,
    faults: Vec<Fault>,
) -> Exit {
    let signals = listen(printer); // before anything runs, or a program is heard before Ctrl-C is
    let armed = faults::arm(sim, faults);
    let manifests: Vec<_> = pods.iter().map(|request| request.pod.clone()).collect();
    let handles: Vec<Arc<PodHandle>> = pods.into_iter().map(|request| Arc::new(world.agent.run_pod(request))).collect();
    if !armed.is_empty() {
        let pods = manifests.into_iter().zip(handles.iter().cloned()).collect();
        faults::start(sim, &world.runtime, printer, pods, armed);
    }
    let ports = Ports::open(sim, printer, &handles, targets);
    let mut session = Session { printer, handles: &handles, stopped: None, killed: false, notes: Vec::new() };
    let blocked = || {
        if args.inspect {
            inspect(printer, &handles, Moment::Deadlock);
        }
        deadlock::report(&world.runtime)
    };
    let exit = match sim.block_on_or(session.watch(sim, args, signals), &blocked) {
        Ok(exit) => exit,
        Err(BlockOnError::Deadlock { at, report, .. }) => {
            session.notes.push(format!("deadlock at {at}: nothing can run, and no timer is set"));
            session.notes.extend(report);
            session.notes.extend(not_ended(&handles));
            Exit::Deadlock
        }
        Err(error) => {
            session.notes.push(error.to_string());
            Exit::Internal
        }
    };
    let mut notes = session.notes;
    let exit = if exit == Exit::Success && ports.failed() { Exit::PodFailed } else { exit };
    if exit != Exit::Success && args.virtual_time {
        notes.push(format!("reproduce with: {}", reproduce::line(std::env::args(), args)));
    }
    // after the last pod it is nothing, or something leaks
    sim.journal().event("node", format_args!("holds {}", world.runtime.holdings()));
    if let Some((polls, hash)) = sim.order() {
        sim.journal().event("sim", format_args!("order {hash:016x} of {polls} polls"));
    }
    let journal = sim.journal().finish().unwrap_or_else(|error| {
        notes.push(format!("the journal is not complete: {error}"));
        None
    });
    match world.pcap.as_ref().map(|pcap| pcap.finish()) {
        Some(Err(error)) => notes.push(format!("the packets are not complete: {error}")),
        Some(Ok(true)) => {
            notes.push(format!("the packets are not complete: --pcap writes {MAX_PCAP_BYTES} bytes at most"))
        }
        Some(Ok(false)) | None => {}
    }
    let pods = handles.iter().map(|handle| (handle.reference().clone(), handle.status())).collect();
    printer.finish(&Summary { exit, pods, journal, notes });
    exit
}

fn listen(printer: &Printer) -> Option<HostSignals> {
    match HostSignals::listen() {
        Ok(signals) => Some(signals),
        Err(error) => {
            printer.say(&format!("Ctrl-C will not stop gracefully, as signals cannot be received: {error}"));
            None
        }
    }
}

/// What the session waits for.
#[derive(Debug)]
enum Happened {
    AllEnded(Vec<Result<Phase, String>>),
    TimeIsOver,
    Signal(HostSignal),
    OutputClosed,
}

struct Session<'a> {
    printer: &'a Printer,
    handles: &'a [Arc<PodHandle>],
    /// Why the pods are being stopped, if they are.
    stopped: Option<Exit>,
    /// They were killed as well.
    killed: bool,
    notes: Vec<String>,
}

impl Session<'_> {
    async fn watch(&mut self, sim: &Sim, args: &Args, mut signals: Option<HostSignals>) -> Exit {
        let timeout = args.timeout;
        let mut ends = pin!(join_all(self.handles.iter().map(|handle| handle.wait())));
        let mut timer = timeout.map(|after| sim.clock().sleep(after));
        loop {
            match self.next(ends.as_mut(), &mut signals, &mut timer).await {
                Happened::AllEnded(results) => return self.exit(results),
                Happened::TimeIsOver => {
                    timer = None;
                    let limit = go_duration(timeout.unwrap_or_default());
                    self.notes.push(format!("timeout: the pods were not done after {limit}"));
                    self.notes.extend(not_ended(self.handles));
                    if args.inspect {
                        inspect(self.printer, self.handles, Moment::Timeout);
                    }
                    self.stop(Exit::Timeout, Some(SHORT_GRACE));
                    self.printer.try_say(&format!("timeout after {limit}: stopping the pods"));
                }
                Happened::OutputClosed => self.stop(Exit::BrokenPipe, Some(SHORT_GRACE)),
                Happened::Signal(HostSignal::Inspect) => inspect(self.printer, self.handles, Moment::Running),
                Happened::Signal(_) if self.killed => {
                    // the pods cannot even be killed: somebody who reads the output stands still, and everybody waits for that
                    std::process::exit(i32::from(self.stopped.unwrap_or(Exit::Interrupted).code()));
                }
                Happened::Signal(_) if self.stopped.is_some() => {
                    self.killed = true;
                    self.handles.iter().for_each(|handle| handle.kill());
                    self.printer.try_say("killing the pods");
                }
                Happened::Signal(signal) => {
                    let terminated = signal == HostSignal::Terminate;
                    let exit = if terminated { Exit::Terminated } else { Exit::Interrupted };
                    self.stop(exit, None);
                    self.printer.try_say("stopping the pods; once more kills them");
                }
            }
        }
    }

    async fn next(
        &self,
        mut ends: Pin<&mut impl Future<Output = Vec<Result<Phase, String>>>>,
        signals: &mut Option<HostSignals>,
        timer: &mut Option<Sleep>,
    ) -> Happened {
        let mut signal = pin!(async {
            match signals {
                Some(signals) => signals.next().await,
                None => pending().await,
            }
        });
        let mut closed = pin!(async {
            match self.stopped {
                None => self.printer.broken().await,
                Some(_) => pending().await,
            }
        });
        poll_fn(|cx| {
            if let Poll::Ready(results) = ends.as_mut().poll(cx) {
                return Poll::Ready(Happened::AllEnded(results));
            }
            if let Poll::Ready(signal) = signal.as_mut().poll(cx) {
                return Poll::Ready(Happened::Signal(signal));
            }
            if let Some(timer) = timer
                && Pin::new(timer).poll(cx).is_ready()
            {
                return Poll::Ready(Happened::TimeIsOver);
            }
            closed.as_mut().poll(cx).map(|()| Happened::OutputClosed)
        })
        .await
    }

    /// Stops all pods; the first reason is the one that counts.
    fn stop(&mut self, exit: Exit, grace: Option<Duration>) {
        self.stopped.get_or_insert(exit);
        for handle in self.handles {
            handle.stop(grace);
        }
    }

    fn exit(&mut self, results: Vec<Result<Phase, String>>) -> Exit {
        let bugs: Vec<String> = results.iter().filter_map(|result| result.clone().err()).collect();
        let succeeded = results.iter().all(|result| *result == Ok(Phase::Succeeded));
        let exit = match self.stopped {
            _ if !bugs.is_empty() => Exit::Internal,
            Some(exit) => exit,
            None if succeeded => Exit::Success,
            None => Exit::PodFailed,
        };
        self.notes.extend(bugs.into_iter().map(|bug| format!("internal error: {bug}")));
        exit
    }
}

/// Shows what is inside of all pods that have an inside.
fn inspect(printer: &Printer, handles: &[Arc<PodHandle>], moment: Moment) {
    for handle in handles {
        match handle.inspect() {
            Some(inspection) => printer.try_inspect(handle.reference(), moment, &inspection),
            None => {
                let when = if handle.ended().is_some() { "any more" } else { "yet" };
                printer.try_say(&format!("nothing is inside of {} {when}", label(handle.reference(), None)));
            }
        }
    }
}

/// The published ports. They close when this is dropped.
struct Ports {
    open: Arc<Mutex<Vec<Published>>>,
    failed: Arc<AtomicBool>,
}

impl Ports {
    /// Opens each port once its pod's network is up.
    fn open(sim: &Sim, printer: &Arc<Printer>, handles: &[Arc<PodHandle>], targets: Vec<Target>) -> Self {
        let ports = Self { open: Arc::default(), failed: Arc::default() };
        for (wanted, pod) in targets {
            let Some(handle) = handles.get(pod).cloned() else { continue };
            let (world, printer, open, failed) =
                (sim.clone(), printer.clone(), ports.open.clone(), ports.failed.clone());
            sim.spawn(format!("publish {}", wanted.host), async move {
                let Some(sandbox) = handle.sandbox().await else { return };
                match publish(&world, &sandbox, wanted.host, wanted.pod_port, wanted.protocol).await {
                    Ok(published) => {
                        let to = label(handle.reference(), None);
                        printer.say(&format!("{} leads to {to}:{}", published.address, wanted.pod_port));
                        open.lock().push(published);
                    }
                    Err(error) => {
                        printer.say(&error.to_string());
                        failed.store(true, Ordering::Relaxed);
                        handle.stop(Some(SHORT_GRACE));
                    }
                }
            });
        }
        ports
    }

    fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// What is not done, a line per container, and what the pod last complained of.
fn not_ended(handles: &[Arc<PodHandle>]) -> Vec<String> {
    let mut lines = Vec::new();
    for handle in handles.iter().filter(|handle| handle.ended().is_none()) {
        let status = handle.status();
        let init = status.init_container_statuses.iter().flatten();
        for container in init.chain(status.container_statuses.iter().flatten()) {
            let label = label(handle.reference(), Some(&container.name));
            let state = container.state.clone().unwrap_or_default();
            if state.running.is_some() {
                lines.push(format!("still running: {label}"));
            } else if let Some(waiting) = state.waiting {
                let reason = waiting.reason.unwrap_or_default();
                let message = waiting.message.map(|message| format!(": {message}")).unwrap_or_default();
                lines.push(format!("still waiting: {label} ({reason}){message}"));
            }
        }
        // of the pod itself, such as a volume that cannot be set up
        let events = handle.events();
        let complaint =
            events.iter().filter(|event| event.kind == EventType::Warning && event.container.is_none()).last();
        lines.extend(
            complaint.map(|event| format!("{}: {}: {}", label(handle.reference(), None), event.reason, event.message)),
        );
    }
    lines
}
