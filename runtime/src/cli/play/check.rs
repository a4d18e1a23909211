//! `--check-determinism`: the same run twice, in two processes of this program one after the other, and where they differ.
//!
//! Owns the two processes and what is said of them; [`compare`] finds the difference. What may hide or make one is different on
//! purpose: the first process compiles every program, the second finds them compiled, and each has its own place for temporary files
//! and its own layout in memory.

mod compare;

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::future::{Either, select};
use wasmpod_api::MAX_INPUT_BYTES;
use wasmpod_sim::{HostSignal, HostSignals, Sim};

use super::args::{Args, OutputFormat};
use super::output::sanitize::for_terminal;
use super::{Failure, refuse_publish, reproduce, world};
use crate::exit::Exit;
use compare::{Difference, Digest};

/// The most that one run may write to each of its streams: it goes to a file of this machine, and a journal has the same bound.
const MAX_OUTPUT_BYTES: u64 = 1 << 30;
/// How often the two processes are looked after.
const LOOK: Duration = Duration::from_millis(5);
/// What one of the two runs is not given: what the comparison does itself.
const OWN_FLAGS: [(&str, bool); 3] = [("--check-determinism", false), ("--virtual-time", false), ("--journal", true)];
/// The files of a run in its folder.
const FILES: [&str; 3] = ["journal", "stdout", "stderr"];

/// Runs everything twice and compares.
///
/// # Errors
/// The lines for the user, if the runs cannot be made.
pub fn run(args: &Args) -> Result<Exit, Failure> {
    refuse_publish(args)?;
    let machine = |what: &str, error: std::io::Error| Failure {
        exit: Exit::Machine,
        lines: vec![format!("wasmpod: --check-determinism: {what}: {error}")],
    };
    let temp = world::log_dir().map_err(|line| Failure { exit: Exit::Machine, lines: vec![line] })?;
    let manifest = standard_input(args).map_err(|error| machine("standard input cannot be read", error))?;
    let mut pair = Pair {
        sim: Sim::new_real(None, 1).map_err(|error| machine("no threads", std::io::Error::other(error)))?,
        signals: HostSignals::listen().ok(), // without it a signal ends this process at once, which is as well
        temp: temp.path(),
        manifest: manifest.as_deref(),
    };
    let first = pair.run("first").map_err(|error| machine("the first run cannot be made", error))?;
    if let Ending::Stopped(exit) = first.ending {
        first.show();
        return Ok(exit);
    }
    if let Ending::TooMuch = first.ending {
        return Err(too_much());
    }
    if let Some(exit) = first.never_started() {
        first.show();
        return Ok(exit);
    }
    let second = pair.run("second").map_err(|error| machine("the second run cannot be made", error))?;
    match second.ending {
        Ending::Stopped(exit) => return Ok(exit),
        Ending::TooMuch => return Err(too_much()),
        Ending::Exited(_) => {}
    }
    if let Some(path) = &args.journal {
        let copied = std::fs::copy(first.file("journal"), path);
        copied.map_err(|error| Failure::usage(format!("error: --journal {}: {error}", path.display())))?;
    }
    let compared = compare_runs(&first, &second).map_err(|error| machine("the runs cannot be compared", error))?;
    first.show();
    Ok(say(args, &first, &second, &compared))
}

fn too_much() -> Failure {
    Failure::usage(format!(
        "error: --check-determinism: the run wrote more than {MAX_OUTPUT_BYTES} bytes to one stream"
    ))
}

/// The manifest on standard input, which two processes are to read.
fn standard_input(args: &Args) -> std::io::Result<Option<Vec<u8>>> {
    if !args.inputs.iter().any(|input| input == Path::new("-")) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    // one byte more than is allowed, so that the runs refuse what is too long
    std::io::stdin().take(MAX_INPUT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// What both runs have in common.
struct Pair<'a> {
    sim: Sim,
    signals: Option<HostSignals>,
    temp: &'a Path,
    manifest: Option<&'a [u8]>,
}

/// How one run came to its end.
enum Ending {
    /// By itself; no code if a signal of the host ended it.
    Exited(Option<i32>),
    /// Somebody stopped it.
    Stopped(Exit),
    /// It filled the disk.
    TooMuch,
}

/// One run that is over.
struct Run {
    folder: PathBuf,
    ending: Ending,
}

impl Pair<'_> {
    fn run(&mut self, name: &str) -> std::io::Result<Run> {
        let folder = self.temp.join(name);
        let temporary = folder.join("tmp");
        std::fs::create_dir_all(&temporary)?;
        // one name for both, as the runs may tell it; what the first wrote is taken away before the second writes
        let journal = self.temp.join("journal");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments(std::env::args_os().skip(1).collect(), &journal));
        command.env(world::CACHE_VARIABLE, self.temp.join("cache"));
        for variable in ["TMPDIR", "TMP", "TEMP"] {
            command.env(variable, &temporary);
        }
        command.env_remove(crate::LOG_VARIABLE); // its lines hold the host's time
        command.stdin(if self.manifest.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(File::create(folder.join("stdout"))?).stderr(File::create(folder.join("stderr"))?);
        let mut child = command.spawn()?;
        if let (Some(mut stdin), Some(manifest)) = (child.stdin.take(), self.manifest) {
            let _ = stdin.write_all(manifest); // a run that reads no more has said why
        }
        let ending = self.watch(&mut child, &folder)?;
        match std::fs::rename(&journal, folder.join("journal")) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                File::create(folder.join("journal"))?; // nothing was started
            }
            moved => moved?,
        }
        Ok(Run { folder, ending })
    }

    /// Waits for the end of a run. The first signal is the run's own to hear, if it came to both; another one, or SIGTERM, which
    /// comes to this process alone, ends it.
    fn watch(&mut self, child: &mut Child, folder: &Path) -> std::io::Result<Ending> {
        let Self { sim, signals, .. } = self;
        let clock = sim.clock().clone();
        let mut heard = None;
        let watched = sim.block_on(async {
            loop {
                if let Some(status) = child.try_wait()? {
                    return Ok(heard.map_or(Ending::Exited(status.code()), Ending::Stopped));
                }
                let grown = ["stdout", "stderr"]
                    .iter()
                    .any(|file| std::fs::metadata(folder.join(file)).is_ok_and(|known| known.len() > MAX_OUTPUT_BYTES));
                if grown {
                    kill(child)?;
                    return Ok(Ending::TooMuch);
                }
                let sleep = clock.sleep(LOOK);
                let signal = match signals {
                    Some(signals) => match select(pin!(signals.next()), sleep).await {
                        Either::Left((signal, _)) => Some(signal),
                        Either::Right(_) => None,
                    },
                    None => {
                        sleep.await;
                        None
                    }
                };
                match signal {
                    // the two runs are to be compared, so neither is looked into
                    Some(HostSignal::Inspect) | None => {}
                    Some(HostSignal::Interrupt) if heard.is_none() => heard = Some(Exit::Interrupted),
                    Some(signal) => {
                        let terminated = signal == HostSignal::Terminate;
                        let exit = if terminated { Exit::Terminated } else { Exit::Interrupted };
                        heard = heard.or(Some(exit));
                        kill(child)?;
                    }
                }
            }
        });
        watched.map_err(std::io::Error::other)?
    }
}

/// Ends a run at once; one that has just ended is as good.
fn kill(child: &mut Child) -> std::io::Result<()> {
    let _ = child.kill();
    child.wait().map(drop)
}

/// The command line of one of the two runs: ours, without what the comparison does itself.
fn arguments(words: Vec<OsString>, journal: &Path) -> Vec<OsString> {
    let mut words = reproduce::without(words, &OWN_FLAGS);
    let own = ["--compared-run".into(), "--virtual-time".into(), "--journal".into(), journal.into()];
    let behind_the_verb = 1.min(words.len());
    words.splice(behind_the_verb..behind_the_verb, own);
    words
}

impl Run {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn code(&self) -> Option<i32> {
        match self.ending {
            Ending::Exited(code) => code,
            _ => None,
        }
    }

    /// The exit code of a run in which no pod was started: there is nothing to compare.
    fn never_started(&self) -> Option<Exit> {
        [Exit::Usage, Exit::Machine].into_iter().find(|exit| self.code() == Some(i32::from(exit.code())))
    }

    /// Passes on what the run has written. A stream that nobody reads is not written again.
    fn show(&self) {
        let _ = pass_on(&self.file("stdout"), &mut std::io::stdout().lock(), std::io::stdout().is_terminal());
        let _ = pass_on(&self.file("stderr"), &mut std::io::stderr().lock(), std::io::stderr().is_terminal());
    }
}

fn pass_on(path: &Path, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    if !terminal {
        std::io::copy(&mut file, out)?;
        return out.flush();
    }
    let mut line = Vec::new();
    while compare::next_line(&mut file, &mut line)? {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        writeln!(out, "{}", for_terminal(text))?;
    }
    out.flush()
}

/// What two runs of one seed have come to.
struct Compared {
    /// Of both journals.
    journals: [Digest; 2],
    /// The first difference: of what, and where.
    difference: Option<(&'static str, Difference)>,
}

fn compare_runs(first: &Run, second: &Run) -> std::io::Result<Compared> {
    let mut journals = [Digest::default(), Digest::default()];
    let mut difference = None;
    // the journal first: what differs there is the earliest in time
    for name in FILES {
        let mut sides = [BufReader::new(File::open(first.file(name))?), BufReader::new(File::open(second.file(name))?)];
        let [a, b] = &mut sides;
        let (found, digests) = compare::first_difference(a, b)?;
        difference = difference.or(found.map(|found| (name, found)));
        if name == "journal" {
            journals = digests;
        }
    }
    Ok(Compared { journals, difference })
}

/// Says what came of it. The exit code is the runs' own if they were the same.
fn say(args: &Args, first: &Run, second: &Run, compared: &Compared) -> Exit {
    let [journal, other] = &compared.journals;
    let codes = [first.code(), second.code()];
    let same = compared.difference.is_none() && codes[0] == codes[1];
    if args.output == OutputFormat::Json && !args.quiet {
        let told = serde_json::json!({
            "type": "determinism", "same": same,
            "journals": [{"lines": journal.lines, "sha256": journal.sha256}, {"lines": other.lines, "sha256": other.sha256}],
        });
        let _ = writeln!(std::io::stdout(), "{told}"); // nobody is left to tell if this fails
    }
    let mut lines = Vec::new();
    if same {
        if !args.quiet {
            lines.push(format!(
                "deterministic: two runs gave the same output, exit code and journal ({} lines, sha256 {})",
                journal.lines, journal.sha256
            ));
        }
    } else {
        lines.push("not deterministic: two runs of the same seed differ".to_owned());
        if let Some((name, difference)) = &compared.difference {
            let what = if *name == "journal" { "the journal" } else { *name };
            lines.push(format!("the first difference is in {what}, line {}:", difference.line));
            lines.extend(difference.lines());
        }
        let shown = |code: Option<i32>| code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        lines.push(format!("exit codes: {} and {}", shown(codes[0]), shown(codes[1])));
        for (which, digest) in ["first", "second"].iter().zip(&compared.journals) {
            lines.push(format!("the {which} journal: {} lines, sha256 {}", digest.lines, digest.sha256));
        }
        lines.push(format!("reproduce with: {}", reproduce::line(std::env::args(), args)));
    }
    let mut stderr = std::io::stderr();
    for line in lines {
        let _ = writeln!(stderr, "wasmpod: {}", for_terminal(line.as_bytes())); // as above
    }
    match codes[0] {
        _ if !same => Exit::NotDeterministic,
        Some(code) => Exit::of(code).unwrap_or(Exit::Internal),
        None => Exit::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compared_run_has_our_command_line_without_what_we_do() {
        let words = ["play", "--check-determinism", "a.yaml", "--journal", "j", "--seed", "4", "--virtual-time"];
        let got = arguments(words.iter().map(OsString::from).collect(), Path::new("/t/journal"));
        let expected = ["play", "--compared-run", "--virtual-time", "--journal", "/t/journal", "a.yaml", "--seed", "4"];
        assert_eq!(got, expected.map(OsString::from));
    }
}
