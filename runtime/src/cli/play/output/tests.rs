//! What is printed, to the letter.

use std::io::Write;

use serde_json::{Value, json};
use wasmpod_node::events::EventType;
use wasmpod_sim::{Instant, Sim};

use super::*;
use crate::exit::Exit;

/// A stream that can be read afterwards, or that nobody reads.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>, bool);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.1 {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        }
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Fixture {
    printer: Arc<Printer>,
    stdout: Shared,
    stderr: Shared,
    pod: PodRef,
}

impl Fixture {
    fn new(format: OutputFormat, quiet: bool, names: &[&str], target: Target) -> Self {
        let pod = PodRef { namespace: "default".into(), name: "web".into(), uid: "u1".into() };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let style = Style { format, quiet, inspect: true, single: names.len() == 1, stdout: target, stderr: target };
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let sink = Sink::new(Box::new(stdout.clone()), Box::new(stderr.clone()), target.terminal);
        let clock = Sim::new_virtual(0).clock().clone();
        Self { printer: Printer::new(clock, style, sink, &[(pod.clone(), names)]), stdout, stderr, pod }
    }

    fn out(&self, container: &str, stream: OutputStream, line: &[u8], partial: bool) {
        self.printer.output(&self.pod, container, stream, line, partial);
    }

    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.0.lock()).into_owned()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.0.lock()).into_owned()
    }
}

const PIPE: Target = Target { terminal: false, colour: false };
const TERMINAL: Target = Target { terminal: true, colour: true };
const OUT: OutputStream = OutputStream::Stdout;
const ERR: OutputStream = OutputStream::Stderr;

fn exited(code: i32, message: &str) -> ContainerChange {
    ContainerChange::Exited { attempt: 0, code, reason: "Error".into(), message: message.into() }
}

#[test]
fn lines_have_prefixes_and_go_to_their_stream() {
    let f = Fixture::new(OutputFormat::Text, false, &["a", "b"], PIPE);
    f.out("a", OUT, b"one", false);
    f.out("b", ERR, b"\x1b[31mtwo\xff", false);
    assert_eq!(f.stdout(), "web/a | one\n");
    assert_eq!(&*f.stderr.0.lock(), b"web/b | \x1b[31mtwo\xff\n", "a pipe gets the bytes as they are");
}

#[test]
fn an_unfinished_line_goes_on_or_is_ended_by_another() {
    let f = Fixture::new(OutputFormat::Text, false, &["a", "b"], PIPE);
    f.out("a", OUT, b"1", true);
    f.out("a", OUT, b"2", true);
    f.out("b", OUT, b"x", false);
    f.out("a", OUT, b"3", true);
    f.printer.finish(&Summary { exit: Exit::Success, pods: Vec::new(), journal: None, notes: Vec::new() });
    assert_eq!(f.stdout(), "web/a | 12\nweb/b | x\nweb/a | 3\n");
}

#[test]
fn a_terminal_gets_colours_and_no_control_characters() {
    let f = Fixture::new(OutputFormat::Text, false, &["a", "b"], TERMINAL);
    f.out("b", OUT, b"\x1b[2Jx", false);
    assert_eq!(f.stdout(), "\x1b[33mweb/b |\x1b[0m \\x1b[2Jx\n");
    f.printer.container(&f.pod, "a", &exited(3, "bye\x1b"));
    assert_eq!(f.stderr(), "\x1b[2mwasmpod:\x1b[0m web/a exited with code 3 (Error): bye\\x1b\n");
}

#[test]
fn quiet_with_one_container_is_byte_for_byte() {
    let f = Fixture::new(OutputFormat::Text, true, &["a"], TERMINAL);
    f.out("a", OUT, b"\x1b[2J\xff", false);
    f.out("a", OUT, b"no end", true);
    f.out("a", ERR, b"e", false);
    f.printer.container(&f.pod, "a", &exited(3, ""));
    f.printer.say("nothing");
    f.printer.finish(&Summary { exit: Exit::Success, pods: Vec::new(), journal: None, notes: vec!["nothing".into()] });
    assert_eq!(&*f.stdout.0.lock(), b"\x1b[2J\xff\nno end");
    assert_eq!(f.stderr(), "e\n");
}

#[test]
fn quiet_with_two_containers_keeps_the_prefix() {
    let f = Fixture::new(OutputFormat::Text, true, &["a", "b"], PIPE);
    f.out("a", OUT, b"x", false);
    f.printer.say("nothing");
    assert_eq!((f.stdout(), f.stderr()), ("web/a | x\n".to_owned(), String::new()));
}

#[test]
fn wasmpods_own_messages() {
    let f = Fixture::new(OutputFormat::Text, false, &["a"], PIPE);
    f.printer.container(&f.pod, "a", &ContainerChange::Started { attempt: 0 });
    f.printer.container(&f.pod, "a", &exited(3, ""));
    f.printer.container(&f.pod, "a", &ContainerChange::Started { attempt: 1 });
    let waits = ContainerChange::Waiting { reason: "CrashLoopBackOff", message: "back-off 10s".into() };
    f.printer.container(&f.pod, "a", &waits);
    f.printer.container(&f.pod, "a", &waits);
    let (at, message) = (Instant::ZERO, "no".to_owned());
    let warning = Event { at, kind: EventType::Warning, reason: "FailedMount", message, container: None };
    f.printer.event(&f.pod, &warning);
    f.printer.event(&f.pod, &warning);
    f.printer.event(&f.pod, &Event { kind: EventType::Normal, reason: "Pulled", ..warning });
    let other = PodRef { namespace: "ns".into(), ..f.pod.clone() };
    let status =
        PodStatus { phase: Some("Failed".into()), reason: Some("DeadlineExceeded".into()), ..Default::default() };
    f.printer.status(&other, &status);
    let expected = "wasmpod: web/a started\nwasmpod: web/a exited with code 3 (Error)\nwasmpod: web/a started again (restart 1)\n\
                    wasmpod: web/a waits (CrashLoopBackOff): back-off 10s\nwasmpod: web: FailedMount: no\nwasmpod: ns/web failed (DeadlineExceeded)\n";
    assert_eq!(f.stderr(), expected);
}

fn summary() -> Summary {
    let pod = PodRef { namespace: "default".into(), name: "web".into(), uid: "u1".into() };
    let status = serde_json::from_value(json!({"phase": "Failed",
        "initContainerStatuses": [{"name": "init", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}, "restartCount": 0, "ready": true, "image": "", "imageID": ""}],
        "containerStatuses": [{"name": "main-container", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "restartCount": 12, "ready": false, "image": "", "imageID": ""},
            {"name": "slow", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}, "restartCount": 1, "ready": false, "image": "", "imageID": ""}]}))
    .unwrap();
    Summary { exit: Exit::PodFailed, pods: vec![(pod, status)], journal: None, notes: vec!["seed 7".into()] }
}

#[test]
fn the_table() {
    let f = Fixture::new(OutputFormat::Text, false, &["a"], PIPE);
    f.printer.finish(&summary());
    let expected = "\
POD   PHASE    CONTAINER        EXIT   REASON             RESTARTS
web   Failed   init             0      Completed          0
web   Failed   main-container   137    OOMKilled          12
web   Failed   slow             1      CrashLoopBackOff   1
wasmpod: seed 7
";
    assert_eq!(f.stderr(), expected);
}

#[test]
fn json_lines() {
    let f = Fixture::new(OutputFormat::Json, false, &["a"], PIPE);
    f.out("a", OUT, b"x", false);
    f.out("a", ERR, b"\xff", true);
    f.printer.container(&f.pod, "a", &exited(3, "m"));
    let phase = PodStatus { phase: Some("Running".into()), ..Default::default() };
    f.printer.status(&f.pod, &phase);
    f.printer.status(&f.pod, &phase);
    f.printer.finish(&summary());
    let stdout = f.stdout();
    let lines: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let time = "2026-01-01T00:00:00.000000000Z";
    let common = |kind: &str, more: Value| {
        let mut object = json!({"time": time, "type": kind, "namespace": "default", "pod": "web"});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    assert_eq!(lines[0], common("output", json!({"container": "a", "stream": "stdout", "text": "x"})));
    assert_eq!(
        lines[1],
        common("output", json!({"container": "a", "stream": "stderr", "base64": "/w==", "partial": true}))
    );
    let end = json!({"container": "a", "state": "terminated", "restarts": 0, "exitCode": 3, "reason": "Error", "message": "m"});
    assert_eq!(lines[2], common("container", end));
    assert_eq!(lines[3], common("phase", json!({"phase": "Running"})));
    assert_eq!(
        (&lines[4]["type"], &lines[4]["exitCode"], &lines[4]["outcome"]),
        (&"result".into(), &1.into(), &"failed".into())
    );
    assert_eq!(
        lines[4]["pods"][0]["containers"][2],
        json!({"name": "slow", "exitCode": 1, "reason": "CrashLoopBackOff", "restarts": 1})
    );
    assert_eq!(lines.len(), 5);
    assert_eq!(f.stderr(), "");
}

#[test]
fn a_closed_pipe_is_noticed_and_not_written_again() {
    let style =
        Style { format: OutputFormat::Text, quiet: false, inspect: false, single: true, stdout: PIPE, stderr: PIPE };
    let sink = Sink::new(Box::new(Shared(Arc::default(), true)), Box::new(Shared(Arc::default(), true)), false);
    let sim = Sim::new_virtual(0);
    let printer = Printer::new(sim.clock().clone(), style, sink, &[]);
    let pod = PodRef { namespace: "default".into(), name: "web".into(), uid: "u1".into() };
    let told = printer.clone();
    sim.spawn("writer", async move {
        told.output(&pod, "a", OUT, b"x", false);
        told.say("and on standard error");
    });
    sim.block_on(printer.broken()).expect("the printer is told");
}

#[test]
fn colours_follow_the_environment() {
    let with = |terminal, list: &'static [(&'static str, &'static str)]| {
        colour(terminal, |name| list.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    };
    assert!(with(true, &[]) && !with(false, &[]));
    assert!(!with(true, &[("NO_COLOR", "1")]) && with(true, &[("NO_COLOR", "")]));
    assert!(with(false, &[("CLICOLOR_FORCE", "1")]) && !with(false, &[("CLICOLOR_FORCE", "0")]));
    assert!(!with(true, &[("TERM", "dumb")]) && !with(true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
}
