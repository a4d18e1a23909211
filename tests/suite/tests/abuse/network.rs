//! N: other pods, the host, and floods of what a pod may reach.

use std::io::ErrorKind;
use std::net::TcpListener;

use serde_json::json;
use wasmpod_suite::manifest::{container, with};
use wasmpod_suite::outcome::Outcome;

use super::{attacker, beside, held};

fn case(name: &str) -> Outcome {
    let guest = container("c", "abuse_net", &[name, "victim"]);
    let guest = with(guest, "", &json!({"resources": {"limits": {"memory": "128Mi"}}}));
    let run = beside(&[with(attacker(&[guest]), "spec", &json!({"activeDeadlineSeconds": 600}))]);
    held(&run, "c");
    run
}

#[test]
fn n01_loopback_of_another_pod() {
    let run = case("n01");
    let connections = run.of("victim/server").into_iter().filter(|line| line.starts_with("connection "));
    assert_eq!(connections.count(), 1, "only its own client reached it: {}", run.stdout());
}

#[test]
fn n02_the_internet_and_metadata() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a free port");
    listener.set_nonblocking(true).expect("a socket can be told so");
    case("n02");
    assert_eq!(listener.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock), "somebody connected");
}

#[test]
fn n03_a_flood_of_connects() {
    case("n03");
}

#[test]
fn n04_a_receiver_that_never_reads() {
    case("n04");
}

#[test]
fn n05_ports_without_end() {
    case("n05");
}

#[test]
fn n06_datagrams_without_end() {
    case("n06");
}

#[test]
fn n07_forged_sources() {
    case("n07");
}
