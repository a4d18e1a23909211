//! `cargo xtask VERB`: what the project does with itself. The verbs are thin; the work is in the library.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};
use xtask::guests::{self, Target};
use xtask::run::{self, RunError};
use xtask::toolchain::{CCompiler, Toolchain};
use xtask::wasi_testsuite::{self, Verdict};
use xtask::{build, coreutils, fuzz};

/// What the project does with itself.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Find or make the compilers for guests (Rust and C for WASI)
    Toolchain,
    /// Build the guests whose sources changed into guest-examples/dist
    Guests {
        /// Build nothing; fail if dist does not agree with the sources (needs no toolchain)
        #[arg(long)]
        check: bool,
        /// Build every guest, changed or not
        #[arg(long, conflicts_with = "check")]
        all: bool,
    },
    /// Build the third-party program that the tests run, into target/third-party
    Coreutils,
    /// Set up what the tests need and run all of them
    Test {
        /// Passed on to cargo nextest run (or cargo test)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the fuzz targets of tests/fuzz: all of them, or one
    Fuzz {
        /// Only this target
        target: Option<String>,
        /// 60 s for each target, instead of 15 minutes
        #[arg(long, conflicts_with = "seconds")]
        quick: bool,
        /// How long each target runs
        #[arg(long, value_name = "N", default_value_t = fuzz::DEFAULT_SECONDS)]
        seconds: u32,
        /// Run the target once with this file, as to see again what was found
        #[arg(long, value_name = "FILE", requires = "target")]
        input: Option<PathBuf>,
    },
    /// Run a folder of WASI tests in the shape of the community's wasi-testsuite through `wasmpod play`
    ///
    /// Each NAME.wasm below DIR runs as a pod of one container; NAME.json beside it may have args, env, dirs, root, exit_code, stdout
    /// and stderr. The folder `root` becomes the container's image. A folder of `dirs` is copied, and mounted as a hostPath volume at
    /// /NAME: as the working directory is /, the program finds it pre-opened as /NAME and as NAME. Prints a line for each test and
    /// fails if one does; those that wasmpod is not meant to pass are skipped with the reason.
    WasiTestsuite {
        /// Folders with the built tests, e.g. wasi-testsuite/tests/c/testsuite
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
        /// Only the tests whose name holds this
        #[arg(long, default_value = "")]
        filter: String,
    },
    /// What CI checks beside the tests: format, clippy, documentation, licences and advisories
    CiLints,
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    if let Some(code) = fuzz::compiler_wrapper() {
        return code;
    }
    let outcome = match Cli::parse().verb {
        Verb::Toolchain => toolchain(),
        Verb::Guests { check: true, .. } => check_guests(),
        Verb::Guests { all, .. } => build_guests(all),
        Verb::Coreutils => build_coreutils(),
        Verb::Test { args } => test(&args),
        Verb::Fuzz { target, quick, seconds, input } => {
            let seconds = if quick { fuzz::QUICK_SECONDS } else { seconds };
            fuzz(&fuzz::Options { target, seconds, input })
        }
        Verb::WasiTestsuite { dirs, filter } => wasi_tests(&dirs, &filter),
        Verb::CiLints => ci_lints(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}

fn toolchain() -> Outcome {
    let root = xtask::root();
    println!("Rust guests: {}", Toolchain::ensure(&root)?.version()?);
    println!("C guests: {}", CCompiler::ensure(&root)?.version()?);
    Ok(())
}

fn build_guests(all: bool) -> Outcome {
    let root = xtask::root();
    let built = build::guests(&root, all)?;
    let manifest = guests::manifest(&guests::folder(&root))?;
    let total: u64 = manifest.values().map(|b| b.size).sum();
    println!("built {} of {} guests, {} KiB in all", built.len(), manifest.len(), total / 1024);
    check_guests()
}

fn check_guests() -> Outcome {
    let folder = guests::folder(&xtask::root());
    let wrong = guests::check(&folder)?;
    if wrong.is_empty() {
        println!("guests: {} agree with their sources", guests::table(&folder)?.len());
        return Ok(());
    }
    wrong.iter().for_each(|line| eprintln!("guests: {line}"));
    Err(format!("{} disagreements; `cargo xtask guests` rebuilds", wrong.len()).into())
}

fn build_coreutils() -> Outcome {
    for target in [Target::RustP1, Target::RustP2] {
        println!("{}", coreutils::ensure(&xtask::root(), target)?.display());
    }
    Ok(())
}

fn test(args: &[String]) -> Outcome {
    check_guests()?;
    // the tests that run it fail where it is missing, and say so; the others are worth running all the same
    if let Err(e) = coreutils::ensure(&xtask::root(), Target::RustP1) {
        eprintln!("xtask: coreutils cannot be built, its tests will fail: {e}");
    }
    // the tests of the whole run this one: built once, not by each of them; of the whole workspace, so that the features of
    // its dependencies are those of the tests and nothing is compiled twice
    run::loudly(run::cargo().args(["build", "--quiet", "--workspace", "--bins"]).current_dir(xtask::root()))?;
    let mut tests = run::cargo();
    tests.env("WASMPOD_BIN", wasmpod()?);
    if has_nextest() {
        tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        eprintln!("xtask: without cargo-nextest: falling back to cargo test, where tests have no time limit");
        tests.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]);
    }
    // both suites run even if the first fails: one run shows everything
    let tests = run::loudly(tests.args(args).current_dir(xtask::root()));
    let docs = run::loudly(run::cargo().args(["test", "--quiet", "--workspace", "--doc"]).current_dir(xtask::root()));
    Ok(tests.and(docs)?)
}

fn wasi_tests(dirs: &[PathBuf], filter: &str) -> Outcome {
    run::loudly(run::cargo().args(["build", "--quiet", "--workspace", "--bins"]).current_dir(xtask::root()))?;
    let (mut ran, mut failed, mut skipped) = (0, 0, 0);
    for dir in dirs {
        for case in wasi_testsuite::find(dir)?.iter().filter(|case| case.name.contains(filter)) {
            let scratch = tempfile::tempdir()?;
            let verdict = case.run(&wasmpod()?, scratch.path())?;
            println!("{:45} {verdict}", case.name);
            ran += 1;
            failed += usize::from(matches!(verdict, Verdict::Fail(_)));
            skipped += usize::from(matches!(verdict, Verdict::Skip(_)));
        }
    }
    println!("{ran} tests: {} passed, {failed} failed, {skipped} skipped", ran - failed - skipped);
    if failed == 0 { Ok(()) } else { Err(format!("{failed} tests failed").into()) }
}

/// Where the build puts `wasmpod`: beside this program, which is of the same build.
fn wasmpod() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let name = format!("wasmpod{}", std::env::consts::EXE_SUFFIX);
    Ok(std::env::current_exe()?.with_file_name(name))
}

/// Whether cargo-nextest is here, or could be installed.
fn has_nextest() -> bool {
    let here = || run::succeeds(run::cargo().args(["nextest", "--version"]));
    here() || (run::loudly(run::cargo().args(["install", "cargo-nextest", "--quiet", "--locked"])).is_ok() && here())
}

fn fuzz(options: &fuzz::Options) -> Outcome {
    fuzz::fuzz(&xtask::root(), options)?;
    println!("fuzz: nothing was found");
    Ok(())
}

fn ci_lints() -> Outcome {
    let root = xtask::root();
    let step = |args: &[&str], env: &[(&str, &str)]| {
        run::loudly(run::cargo().args(args).envs(env.iter().copied()).current_dir(&root))
    };
    let mut results: Vec<Result<(), RunError>> = vec![
        step(&["fmt", "--all", "--check"], &[]),
        run::loudly(Command::new("cargo").args(["fmt", "--all", "--check"]).current_dir(guests::folder(&root))),
        step(&["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"], &[]),
        step(&["doc", "--quiet", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")]),
    ];
    if run::succeeds(run::cargo().args(["deny", "--version"])) {
        results.push(step(&["deny", "--log-level", "error", "check", "bans", "licenses", "sources"], &[]));
        // the list of advisories comes from the network, which CI may not have
        if run::succeeds(run::cargo().args(["deny", "fetch", "db"]).current_dir(&root)) {
            results.push(step(&["deny", "--log-level", "error", "check", "advisories"], &[]));
        } else {
            eprintln!("xtask: the list of advisories could not be fetched: advisories were not checked");
        }
    } else {
        eprintln!("xtask: cargo-deny is not installed: licences, advisories and sources were not checked");
    }
    // every step runs, then the first failure counts
    Ok(results.into_iter().collect::<Result<(), _>>()?)
}
