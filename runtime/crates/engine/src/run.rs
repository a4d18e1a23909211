//! One running program: polled only while it holds a CPU, throttled when its cgroup has no quota left, stopped by leaving it
//! alone, ended by dropping it. Owns the
//! loop; the decisions are the cgroup's.
//!
//! ```text
//!   acquire ──Run(budget)──► poll the program ──► blocked in a system call ──► release, wait for its waker
//!      ▲  │                        │  ▲
//!      │  ├─Throttled: wait        │  └── yielded, budget left: go on after the other tasks had their turn
//!      │  └─Queued: wait           └──► yielded, budget used up ──► release
//!      └──────────────────────────────────────────────────────────────┘
//! ```
//! In virtual time every poll is followed by a wait of `fuel ÷ speed` while the CPU is held: compute takes time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use wasmpod_kernel::cgroup::{Cgroup, CpuClient, CpuDecision};
use wasmpod_kernel::process::Process;
use wasmpod_kernel::signal::{Control, Signal};
use wasmpod_kernel::wchan::{WaitChannel, Waiting};
use wasmpod_sim::{Instant, Sim, Sleep, TaskError, TaskHandle};
use wasmpod_wasi::Ctx;
use wasmtime::Store;

use crate::config::{HOSTCALL_FUEL, QUANTUM_MIN, QUANTUM_REAL, QUANTUM_VIRTUAL};
use crate::exit::Exit;
use crate::limiter::Limiter;
use crate::meter::Meter;
use crate::program::{Engine, Guest, Pre, Program};

/// Ends a program at once. Cheap to clone.
#[derive(Clone)]
pub struct Killer(futures_util::future::AbortHandle);

impl Killer {
    /// SIGKILL: the program is dropped where it stands, spinning or blocked. Killing an ended program does nothing.
    pub fn kill(&self) {
        self.0.abort();
    }
}

/// A started program.
pub struct Running {
    task: TaskHandle<Exit>,
}

impl Running {
    /// A handle that ends the program.
    pub fn killer(&self) -> Killer {
        Killer(self.task.abort_handle())
    }

    /// Waits for the program's end.
    pub async fn wait(self) -> Exit {
        match self.task.await {
            Ok(exit) => exit,
            Err(TaskError::Aborted) => Exit::signaled(Signal::Kill, None),
            // a bug of ours: it ends this program only
            Err(TaskError::Panicked(message)) => {
                tracing::error!(message, "internal error: a system call panicked");
                Exit::signaled(Signal::Abrt, Some(format!("internal error: {message}")))
            }
        }
    }
}

impl Engine {
    /// Starts `program` as `process`. Standard streams and preopens must be in its descriptor table; `env` is added to the
    /// environment that it was made with.
    pub fn start(&self, program: &Program, process: &Arc<Process>, env: Vec<(String, String)>) -> Running {
        let name = format!("{} (pid {})", process.spec.name, process.pid());
        let body = run(self.clone(), program.clone(), process.clone(), env);
        Running { task: self.sim().spawn(name, body) }
    }
}

/// Ends the process, however its program ends.
struct EndOnDrop(Arc<Process>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn run(engine: Engine, program: Program, process: Arc<Process>, env: Vec<(String, String)>) -> Exit {
    let close = EndOnDrop(process.clone());
    let cgroup = process.spec.cgroup.clone();
    let quantum = quantum(engine.sim());
    let meter = Meter::new(quantum);
    let guest = call(engine.clone(), program, process.clone(), env, meter.clone());
    let metered = Metered {
        guest: Box::pin(guest),
        meter,
        client: cgroup.cpu_client(),
        cgroup,
        process,
        sim: engine.sim().clone(),
        held: None,
        compute: None,
        throttled: None,
        ended: None,
        waits: false,
        waker: None,
    };
    let exit = metered.await;
    drop(close);
    exit
}

/// Fuel between two yields. On a slow CPU it is less, so that a quantum takes no longer and limits still hold.
fn quantum(sim: &Sim) -> u64 {
    let (most, per_second) = if sim.is_virtual() { (QUANTUM_VIRTUAL, 10_000) } else { (QUANTUM_REAL, 1_000) };
    (sim.fuel_per_second() / per_second).clamp(QUANTUM_MIN, most)
}

/// The program's life inside of its store.
async fn call(
    engine: Engine,
    program: Program,
    process: Arc<Process>,
    env: Vec<(String, String)>,
    meter: Arc<Meter>,
) -> Exit {
    let limiter = Limiter::new(process.clone());
    let mut ctx = Ctx::new(process);
    ctx.extra_env = env;
    let mut store = Store::new(engine.wasmtime(), Guest { ctx, limiter });
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(HOSTCALL_FUEL);
    let result = match meter.install(&mut store, |guest| guest.ctx.take_host_fuel()) {
        Err(error) => Err(error),
        Ok(()) => match program.pre {
            Pre::Module(pre) => call_module(&pre, &mut store).await,
            Pre::Component(pre) => call_component(&pre, &mut store).await,
        },
    };
    match result {
        Ok(code) => Exit::exited(code),
        Err(error) => Exit::from_error(&error),
    }
}

async fn call_module(pre: &wasmtime::InstancePre<Guest>, store: &mut Store<Guest>) -> wasmtime::Result<u32> {
    let instance = pre.instantiate_async(&mut *store).await?;
    let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
    start.call_async(store, ()).await?;
    Ok(0)
}

async fn call_component(
    pre: &wasmtime_wasi::p2::bindings::CommandPre<Guest>,
    store: &mut Store<Guest>,
) -> wasmtime::Result<u32> {
    let command = pre.instantiate_async(&mut *store).await?;
    let result = command.wasi_cli_run().call_run(store).await?;
    Ok(u32::from(result.is_err()))
}

/// The program, polled only with a CPU in hand.
struct Metered<F> {
    guest: Pin<Box<F>>,
    meter: Arc<Meter>,
    client: CpuClient,
    cgroup: Arc<Cgroup>,
    process: Arc<Process>,
    sim: Sim,
    /// Set while a CPU is held.
    held: Option<Held>,
    /// Virtual time only: the wait that pays for compute, before the program goes on.
    compute: Option<Sleep>,
    /// Until when there is no quota left, and the wait for it.
    throttled: Option<(Instant, Sleep)>,
    /// The program's end, while its last compute is being paid for.
    ended: Option<Exit>,
    /// The process was told that it waits for a CPU or for quota.
    waits: bool,
    /// This task, as the process' signals know it.
    waker: Option<Waker>,
}

struct Held {
    budget: u64,
    spent: u64,
}

impl<F: Future<Output = Exit>> Future for Metered<F> {
    type Output = Exit;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit> {
        let this = &mut *self.get_mut();
        if this.cgroup.oom_poll(cx).is_ready() {
            // a buffer in the kernel met the limit: the program is killed as the OOM killer would
            this.release();
            this.cgroup.note_oom_kill();
            return Poll::Ready(Exit::oom_killed());
        }
        this.listen(cx);
        loop {
            match this.process.signals().control() {
                Control::Run => {}
                Control::Stopped => {
                    this.release();
                    return Poll::Pending;
                }
                Control::Ended(signal) => {
                    this.release();
                    return Poll::Ready(Exit::signaled(signal, None));
                }
            }
            if let Some(compute) = &mut this.compute {
                ready!(Pin::new(compute).poll(cx));
                this.compute = None;
            }
            if let Some(exit) = this.ended.take() {
                this.release();
                return Poll::Ready(exit);
            }
            this.release_if_used_up();
            ready!(this.acquire(cx));
            match this.slice(cx) {
                Slice::Again => {}
                Slice::Yield => {
                    this.release_if_used_up();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Slice::Blocked => {
                    this.release_and_park();
                    return Poll::Pending;
                }
            }
        }
    }
}

enum Slice {
    /// Pay for compute, or return the end, or acquire anew.
    Again,
    /// The program wants to go on; let others go first.
    Yield,
    /// The program waits in a system call, which keeps our waker.
    Blocked,
}

impl<F: Future<Output = Exit>> Metered<F> {
    /// Has this task woken by signals that end, stop or continue the program.
    fn listen(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.process.signals().run_by(cx.waker());
            self.waker = Some(cx.waker().clone());
        }
    }

    fn acquire(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let had_to_wait = self.waits;
        let acquired = self.try_acquire(cx);
        if had_to_wait && acquired.is_ready() {
            self.wait_for(None);
        }
        acquired
    }

    /// Says what the program waits for outside of system calls.
    fn wait_for(&mut self, channel: Option<WaitChannel>) {
        self.waits = channel.is_some();
        let since = Some(self.sim.clock().now());
        self.process.waits_to_run(channel.map(|channel| Waiting { since, channel }));
    }

    fn try_acquire(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.held.is_none() {
            let clock = self.sim.clock();
            match self.client.poll_acquire_now(cx) {
                CpuDecision::Run { fuel } => {
                    self.throttled = None;
                    self.held = Some(Held { budget: fuel, spent: 0 });
                }
                CpuDecision::Queued => {
                    self.throttled = None;
                    self.wait_for(Some(WaitChannel::Cpu));
                    return Poll::Pending;
                }
                CpuDecision::Throttled { until } => {
                    if self.throttled.as_ref().is_none_or(|(known, _)| *known != until) {
                        let name = &self.process.spec.name;
                        self.sim.journal().event(name, format_args!("cpu throttled until {until}"));
                        self.throttled = Some((until, clock.sleep_until(until)));
                        self.wait_for(Some(WaitChannel::Throttled { until }));
                    }
                    if let Some((_, sleep)) = &mut self.throttled {
                        ready!(Pin::new(sleep).poll(cx));
                    }
                    self.throttled = None;
                }
            }
        }
        Poll::Ready(())
    }

    /// Polls the program once and accounts for it.
    fn slice(&mut self, cx: &mut Context<'_>) -> Slice {
        let before = self.meter.used();
        let polled = self.guest.as_mut().poll(cx);
        let blocked = self.meter.in_host();
        if polled.is_pending() && !blocked {
            self.meter.yielded();
        }
        let used = self.meter.used().saturating_sub(before);
        self.process.usage.add_fuel(used);
        if let Some(held) = &mut self.held {
            held.spent = held.spent.saturating_add(used);
        }
        if self.sim.is_virtual() && used > 0 {
            self.compute = Some(self.sim.clock().sleep(self.sim.compute_time(used)));
        }
        match polled {
            Poll::Ready(exit) => {
                self.ended = Some(exit);
                Slice::Again
            }
            // A wake that comes while compute is paid for is not lost: the program is polled again afterwards in any case.
            Poll::Pending if self.compute.is_some() => Slice::Again,
            Poll::Pending if blocked => Slice::Blocked,
            Poll::Pending => Slice::Yield,
        }
    }

    /// Gives the CPU back once the slice is used up, so that another may have it.
    fn release_if_used_up(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.spent >= held.budget) {
            self.release();
        }
    }

    /// The same for a program that waits in a system call, which is what most slices end with.
    fn release_and_park(&mut self) {
        let used = self.held.take().map_or(0, |held| held.spent);
        self.process.parked(self.sim.clock().now());
        self.client.release_and_park_now(used);
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            self.client.release(held.spent, self.sim.clock().now());
        }
    }
}
