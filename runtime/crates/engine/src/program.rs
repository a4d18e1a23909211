//! Programs: compiled once, off the main threads, under a size cap and a deadline; linked against the system calls once; started many
//! times. Owns the wasmtime engine and the linkers.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use wasmpod_sim::{Sim, TaskError};
use wasmpod_wasi::{Ctx, HasCtx};
use wasmtime::component::{Component, Linker as ComponentLinker};
use wasmtime::{InstancePre, Linker, Module};
use wasmtime_wasi::p2::bindings::CommandPre;

use crate::cache::Cache;
use crate::census;
use crate::config::{EngineConfig, MAX_ABANDONED, wasmtime_config};
use crate::lanes::{self, Lanes};
use crate::limiter::Limiter;

/// The engine cannot be made: an internal error, or a platform that wasmtime does not know.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refused its configuration, or a system call could not be linked.
    #[error("the WebAssembly engine cannot be set up: {0}")]
    Setup(String),
    /// The directory of compiled programs cannot be used.
    #[error("the directory {dir} for compiled programs cannot be used: {source}")]
    Cache {
        /// The directory.
        dir: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Why a program cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// More than the size cap.
    #[error("the program has {size} bytes, more than the {max} that are compiled")]
    TooBig {
        /// Its size.
        size: usize,
        /// The cap.
        max: usize,
    },
    /// It would cost too much to compile, see [`crate::census`].
    #[error("the program has more than {max} {what}, more than is compiled")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// Compilations that took too long still run, and no more are begun beside them.
    #[error(
        "{abandoned} compilations that took too long still run; no further program is compiled until one of them ends"
    )]
    Busy {
        /// How many.
        abandoned: usize,
    },
    /// Neither a core module nor a component.
    #[error("not a WebAssembly program: {0}")]
    NotWasm(String),
    /// It does not validate or compile.
    #[error("the program cannot be compiled: {0}")]
    Compile(String),
    /// Compiling took too long.
    #[error("the program was not compiled within {seconds} s")]
    Deadline {
        /// The deadline.
        seconds: u64,
    },
    /// It needs something that wasmpod does not offer.
    #[error("the program needs what wasmpod does not offer: {0}")]
    Import(String),
    /// It is a library: it has no entry point.
    #[error("the program has no entry point: {0}")]
    NoEntryPoint(String),
    /// A bug: the compiler panicked.
    #[error("internal error while compiling: {0}")]
    Internal(String),
}

/// What kind of program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramKind {
    /// A core module for WASI preview 1.
    Module,
    /// A component for WASI preview 2.
    Component,
}

/// The data of a store: one process.
pub(crate) struct Guest {
    pub ctx: Ctx,
    pub limiter: Limiter,
}

impl HasCtx for Guest {
    fn ctx(&mut self) -> &mut Ctx {
        &mut self.ctx
    }
}

/// A compiled and linked program. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    pub(crate) pre: Pre,
    polls_sockets: bool,
}

#[derive(Clone)]
pub(crate) enum Pre {
    Module(InstancePre<Guest>),
    Component(CommandPre<Guest>),
}

impl Program {
    /// What kind of program it is.
    pub fn kind(&self) -> ProgramKind {
        match self.pre {
            Pre::Module(_) => ProgramKind::Module,
            Pre::Component(_) => ProgramKind::Component,
        }
    }

    /// True for a program that wants the sockets it is handed in non-blocking mode: Go's runtime waits for all its goroutines in one
    /// `poll_oneoff`, but only on descriptors that it finds in that mode, and a blocking `accept` would stop them all. A C
    /// library's `accept` wants the opposite, so it is told by the custom section that Go's linker writes.
    pub fn polls_sockets(&self) -> bool {
        self.polls_sockets
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("kind", &self.kind()).finish()
    }
}

/// Compiles and starts programs. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    sim: Sim,
    config: EngineConfig,
    engine: wasmtime::Engine,
    modules: Linker<Guest>,
    components: ComponentLinker<Guest>,
    cache: Option<Cache>,
    lanes: Arc<Lanes>,
    /// Programs of this run, by key, so that ten containers of one image compile it once.
    loaded: Mutex<BTreeMap<String, Program>>,
}

impl Engine {
    /// Sets up wasmtime and links every system call.
    ///
    /// # Errors
    /// [`EngineError`] if the platform or the cache directory cannot be used.
    pub fn new(sim: &Sim, config: EngineConfig) -> Result<Self, EngineError> {
        let setup = |error: wasmtime::Error| EngineError::Setup(format!("{error:#}"));
        let engine = wasmtime::Engine::new(&wasmtime_config()).map_err(setup)?;
        let mut modules = Linker::new(&engine);
        wasmpod_wasi::p1::add_to_linker(&mut modules).map_err(setup)?;
        let mut components = ComponentLinker::new(&engine);
        wasmpod_wasi::p2::add_to_linker(&mut components).map_err(setup)?;
        let open = |dir: &std::path::PathBuf| {
            Cache::open(dir).map_err(|source| EngineError::Cache { dir: dir.display().to_string(), source })
        };
        let cache = config.cache_dir.as_ref().map(open).transpose()?;
        let inner = Inner {
            sim: sim.clone(),
            config,
            engine,
            modules,
            components,
            cache,
            lanes: Arc::default(),
            loaded: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn sim(&self) -> &Sim {
        &self.inner.sim
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.engine
    }

    /// Compiles `bytes`, or finds it compiled. The work happens away from the main threads.
    ///
    /// # Errors
    /// [`LoadError`] says why the program cannot be run.
    pub async fn load(&self, bytes: &[u8]) -> Result<Program, LoadError> {
        let max = self.inner.config.max_program_bytes;
        if bytes.len() > max {
            return Err(LoadError::TooBig { size: bytes.len(), max });
        }
        let kind = kind_of(bytes)?;
        let key = self.key(bytes);
        if let Some(program) = self.inner.loaded.lock().get(&key) {
            return Ok(program.clone());
        }
        // one program is compiled by one, and at most a few at once
        let _lane = self.inner.lanes.enter(&key).await;
        if let Some(program) = self.inner.loaded.lock().get(&key) {
            return Ok(program.clone());
        }
        let abandoned = self.inner.lanes.abandoned();
        if abandoned >= MAX_ABANDONED {
            return Err(LoadError::Busy { abandoned });
        }
        let deadline = self.inner.config.compile_deadline;
        let (this, owned, owned_key) = (self.clone(), bytes.to_vec(), key.clone());
        let (_waiting, working) = lanes::watch(&self.inner.lanes);
        let compile = self.inner.sim.spawn_blocking(move || {
            let _working = working;
            this.compile(kind, &owned, &owned_key)
        });
        // In virtual time the work is done in place and the deadline, being virtual, never passes.
        let compiled = self.inner.sim.clock().timeout(deadline, compile).await;
        let program = match compiled {
            Err(_) => return Err(LoadError::Deadline { seconds: deadline.as_secs() }),
            Ok(Err(TaskError::Panicked(message))) => return Err(LoadError::Internal(message)),
            Ok(Err(TaskError::Aborted)) => return Err(LoadError::Internal("the compilation was stopped".to_owned())),
            Ok(Ok(result)) => result?,
        };
        self.inner.loaded.lock().insert(key, program.clone());
        Ok(program)
    }

    /// Names a compiled program: by content, configuration and version of the engine.
    fn key(&self, bytes: &[u8]) -> String {
        let mut settings = Fnv(0xcbf2_9ce4_8422_2325);
        self.inner.engine.precompile_compatibility_hash().hash(&mut settings);
        let mut hasher = Sha256::new();
        hasher.update(settings.finish().to_le_bytes());
        hasher.update(bytes);
        hex::encode(hasher.finalize())
    }

    fn compile(&self, kind: ProgramKind, bytes: &[u8], key: &str) -> Result<Program, LoadError> {
        match kind {
            ProgramKind::Module => self.module(bytes, key),
            ProgramKind::Component => self.component(bytes, key),
        }
    }

    fn module(&self, bytes: &[u8], key: &str) -> Result<Program, LoadError> {
        let (engine, cache) = (&self.inner.engine, self.inner.cache.as_ref());
        let module = match cache.and_then(|cache| cache.module(engine, key)) {
            Some(module) => module,
            None => {
                census::check(bytes)?;
                let module = Module::from_binary(engine, bytes).map_err(compile_error)?;
                if let (Some(cache), Ok(compiled)) = (cache, module.serialize()) {
                    cache.store(key, &compiled);
                }
                module
            }
        };
        if module.get_export("_start").is_none() {
            return Err(LoadError::NoEntryPoint("a WASI program exports the function `_start`".to_owned()));
        }
        let pre = self.inner.modules.instantiate_pre(&module).map_err(import_error)?;
        Ok(Program { pre: Pre::Module(pre), polls_sockets: has_custom_section(bytes, GO_BUILD_ID) })
    }

    fn component(&self, bytes: &[u8], key: &str) -> Result<Program, LoadError> {
        let (engine, cache) = (&self.inner.engine, self.inner.cache.as_ref());
        let component = match cache.and_then(|cache| cache.component(engine, key)) {
            Some(component) => component,
            None => {
                census::check(bytes)?;
                let component = Component::from_binary(engine, bytes).map_err(compile_error)?;
                if let (Some(cache), Ok(compiled)) = (cache, component.serialize()) {
                    cache.store(key, &compiled);
                }
                component
            }
        };
        let pre = self.inner.components.instantiate_pre(&component).map_err(import_error)?;
        let pre = CommandPre::new(pre).map_err(|error| LoadError::NoEntryPoint(format!("{error:#}")))?;
        Ok(Program { pre: Pre::Component(pre), polls_sockets: false })
    }
}

/// Tells a core module from a component by the layer field of the binary's preamble.
fn kind_of(bytes: &[u8]) -> Result<ProgramKind, LoadError> {
    match bytes.first_chunk::<8>() {
        Some([b'\0', b'a', b's', b'm', 1, 0, 0, 0]) => Ok(ProgramKind::Module),
        Some([b'\0', b'a', b's', b'm', _, _, 1, 0]) => Ok(ProgramKind::Component),
        Some([b'\0', b'a', b's', b'm', version @ ..]) => {
            Err(LoadError::NotWasm(format!("unknown version {version:02x?} of the binary format")))
        }
        None if bytes.starts_with(b"\0asm") => {
            Err(LoadError::NotWasm("the file ends within its first 8 bytes".to_owned()))
        }
        _ => Err(LoadError::NotWasm("the file does not begin with `\\0asm`".to_owned())),
    }
}

/// The custom section in which Go's linker keeps the build's id (cmd/link/internal/wasm).
const GO_BUILD_ID: &[u8] = b"go:buildid";

/// True if the module has a custom section of this name. Any bytes may be given; what is no module has none.
fn has_custom_section(module: &[u8], name: &[u8]) -> bool {
    let mut rest = module.get(8..).unwrap_or_default();
    while let Some((&id, after)) = rest.split_first() {
        let Some((section, next)) = sized(after) else { return false };
        if id == 0 && sized(section).is_some_and(|(found, _)| found == name) {
            return true;
        }
        rest = next;
    }
    false
}

/// Splits what begins with its own length, an unsigned LEB128 of at most 32 bits, off the rest.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut length = 0_u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return bytes[at + 1..].split_at_checked(usize::try_from(length).ok()?);
        }
    }
    None
}

fn compile_error(error: wasmtime::Error) -> LoadError {
    LoadError::Compile(format!("{error:#}"))
}

fn import_error(error: wasmtime::Error) -> LoadError {
    LoadError::Import(format!("{error:#}"))
}

/// FNV-1a, for the settings only: a hasher whose result is the same in every run.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_go_is_known_by_its_build_id() {
        let go = wat::parse_str(r#"(module (@custom "name" "x") (memory 1) (@custom "go:buildid" "\ff Go build ID"))"#);
        let go = go.expect("well-formed");
        assert!(has_custom_section(&go, GO_BUILD_ID));
        let c = wat::parse_str(r#"(module (@custom "producers" "go:buildid") (memory 1))"#).expect("well-formed");
        assert!(!has_custom_section(&c, GO_BUILD_ID));
        for cut in 0..go.len() {
            has_custom_section(&go[..cut], GO_BUILD_ID); // whatever it says, it does not panic
        }
        assert!(!has_custom_section(b"\0asm\x01\0\0\0\x00\xff\xff\xff\xff\xff\xff", GO_BUILD_ID));
    }

    #[test]
    fn modules_and_components_are_told_apart_by_the_preamble() {
        assert_eq!(kind_of(b"\0asm\x01\0\0\0"), Ok(ProgramKind::Module));
        assert_eq!(kind_of(b"\0asm\x0d\0\x01\0"), Ok(ProgramKind::Component));
        assert!(matches!(kind_of(b"\x7fELF\x02\x01\x01\0"), Err(LoadError::NotWasm(_))));
        assert!(matches!(kind_of(b"\0as"), Err(LoadError::NotWasm(_))));
        assert!(matches!(kind_of(b"\0asm\x02\0\0\0"), Err(LoadError::NotWasm(_))));
    }
}
