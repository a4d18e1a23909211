//! P5: killed inside of each call that waits. The call's future is dropped where it stands: nothing panics, nothing is kept.

use wasmpod_suite::manifest::container;

use super::{attacker, beside};

/// Kinds of calls that wait, and the program that knows them.
const CALLS: &[(&str, &[&str])] = &[
    ("abuse_net", &["accept", "connect", "read", "write", "datagram", "sleep"]),
    ("abuse_ipc", &["receive", "send", "semaphore", "memory"]),
];

#[test]
fn p05_killed_inside_of_each_call_that_waits() {
    let mut containers = Vec::new();
    for (program, kinds) in CALLS {
        containers.extend(kinds.iter().map(|kind| container(kind, program, &["wait", kind])));
    }
    // that the node has everything back is checked for every run
    let run = beside(&[attacker(&containers)]);
    for kind in CALLS.iter().flat_map(|(_, kinds)| *kinds) {
        assert_eq!(run.row("attacker", kind)[1], "137", "{kind}: {:?}", run.of(&format!("attacker/{kind}")));
        assert_eq!(run.of(&format!("attacker/{kind}")), [format!("waits: {kind}")]);
    }
}
