//! `wasi:cli`: arguments, environment, exit, the standard streams and whether they are terminals. Owns no descriptor: the
//! streams work on descriptors 0, 1 and 2 of the process.

use std::task::Context;

use wasmpod_kernel::file::Description;
use wasmpod_kernel::process::Process;
use wasmpod_kernel::wait::Ready;
use wasmpod_kernel::wchan;
use wasmpod_kernel::{Errno, Result};
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::CALL_FUEL;
use super::bindings::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr, terminal_stdin,
    terminal_stdout,
};
use super::filesystem::FileFailure;
use super::stream::{Input, Output, Sink, Source};
use crate::{Ctx, ProcExit};

/// The input side of a terminal.
pub struct TerminalInput;
/// The output side of a terminal.
pub struct TerminalOutput;

impl environment::Host for Ctx {
    fn get_environment(&mut self) -> wasmtime::Result<Vec<(String, String)>> {
        let mut environment = self.process.spec.env.clone();
        environment.extend_from_slice(&self.extra_env);
        self.charge_bytes(environment.iter().map(|(name, value)| name.len() + value.len()).sum());
        Ok(environment)
    }

    fn get_arguments(&mut self) -> wasmtime::Result<Vec<String>> {
        let arguments = self.process.spec.args.clone();
        self.charge_bytes(arguments.iter().map(String::len).sum());
        Ok(arguments)
    }

    fn initial_cwd(&mut self) -> wasmtime::Result<Option<String>> {
        self.charge(CALL_FUEL);
        Ok(Some(self.process.spec.cwd.clone()))
    }
}

impl exit::Host for Ctx {
    fn exit(&mut self, status: std::result::Result<(), ()>) -> wasmtime::Result<()> {
        Err(ProcExit(u32::from(status.is_err())).into())
    }

    fn exit_with_code(&mut self, code: u8) -> wasmtime::Result<()> {
        Err(ProcExit(code.into()).into())
    }
}

impl stdin::Host for Ctx {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<DynInputStream>> {
        self.charge(CALL_FUEL);
        let stream: DynInputStream = Box::new(Input::new(Standard::of(&self.process, 0)));
        Ok(self.table.push(stream)?)
    }
}

impl stdout::Host for Ctx {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.standard_output(1)
    }
}

impl stderr::Host for Ctx {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.standard_output(2)
    }
}

impl terminal_input::Host for Ctx {}

impl terminal_input::HostTerminalInput for Ctx {
    fn drop(&mut self, this: Resource<TerminalInput>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl terminal_output::Host for Ctx {}

impl terminal_output::HostTerminalOutput for Ctx {
    fn drop(&mut self, this: Resource<TerminalOutput>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl terminal_stdin::Host for Ctx {
    fn get_terminal_stdin(&mut self) -> wasmtime::Result<Option<Resource<TerminalInput>>> {
        self.charge(CALL_FUEL);
        let terminal = Standard::of(&self.process, 0).is_terminal();
        Ok(if terminal { Some(self.table.push(TerminalInput)?) } else { None })
    }
}

impl terminal_stdout::Host for Ctx {
    fn get_terminal_stdout(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        self.terminal_output(1)
    }
}

impl terminal_stderr::Host for Ctx {
    fn get_terminal_stderr(&mut self) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        self.terminal_output(2)
    }
}

impl Ctx {
    fn standard_output(&mut self, fd: u32) -> wasmtime::Result<Resource<DynOutputStream>> {
        self.charge(CALL_FUEL);
        let sink = Standard::of(&self.process, fd);
        let stream: DynOutputStream = Box::new(Output::new(sink, self.process.spec.cgroup.clone()));
        Ok(self.table.push(stream)?)
    }

    fn terminal_output(&mut self, fd: u32) -> wasmtime::Result<Option<Resource<TerminalOutput>>> {
        self.charge(CALL_FUEL);
        let terminal = Standard::of(&self.process, fd).is_terminal();
        Ok(if terminal { Some(self.table.push(TerminalOutput)?) } else { None })
    }
}

/// One of the process' first three descriptors, as it was when the stream was made; `None` if it was closed.
pub(crate) struct Standard(Option<Description>);

impl Standard {
    /// The descriptor `fd` of `process`.
    pub(crate) fn of(process: &Process, fd: u32) -> Self {
        Self(process.descriptor(fd).ok().map(|descriptor| descriptor.description))
    }

    fn is_terminal(&self) -> bool {
        match &self.0 {
            Some(Description::Stream(stream)) => stream.is_terminal(),
            Some(Description::File(file)) => file.is_terminal(),
            _ => false,
        }
    }

    fn poll(&self, interest: Ready, cx: &mut Context<'_>) -> Ready {
        let Some(description) = &self.0 else { return interest };
        let ready = description.poll_ready(interest, cx);
        if ready.is_empty() {
            wchan::note_file(description, interest);
        }
        ready
    }
}

impl Source for Standard {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        match &self.0 {
            None => Ok(0), // as with `<&-`: there is nothing to read
            Some(Description::Stream(stream)) => stream.read(buf),
            Some(Description::File(file)) => file.read(buf),
            Some(Description::Tcp(socket)) => socket.read(buf),
            Some(Description::Udp(_) | Description::Ipc(_)) => Err(Errno::BadF),
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready {
        self.poll(Ready::READ, cx)
    }

    fn failure(errno: Errno) -> wasmtime::Error {
        FileFailure(errno).into()
    }
}

impl Sink for Standard {
    fn write(&mut self, buf: &[u8]) -> Result<usize> {
        match &self.0 {
            None => Err(Errno::BadF),
            Some(Description::Stream(stream)) => stream.write(buf),
            Some(Description::File(file)) => file.write(buf),
            Some(Description::Tcp(socket)) => socket.write(buf),
            Some(Description::Udp(_) | Description::Ipc(_)) => Err(Errno::BadF),
        }
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Ready {
        self.poll(Ready::WRITE, cx)
    }

    fn failure(errno: Errno) -> wasmtime::Error {
        FileFailure(errno).into()
    }
}
