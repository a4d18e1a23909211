//! L: output without end.

use serde_json::json;
use wasmpod_suite::manifest::{Folder, container, with};
use wasmpod_suite::play::Play;

use super::{attacker, beside, held};

#[test]
fn l01_a_flood_of_output() {
    let containers = ["p1", "p2"].map(|which| container(which, &format!("abuse_host_{which}"), &["l01", "6"]));
    let run = beside(&[with(attacker(&containers), "spec", &json!({"activeDeadlineSeconds": 600}))]);
    for which in ["p1", "p2"] {
        held(&run, which);
        assert_eq!(run.of(&format!("attacker/{which}")).len(), 6 * 1024 + 1, "every line reached who listens");
    }
}

#[test]
fn l03_a_line_without_end() {
    let containers = ["p1", "p2"].map(|which| container(which, &format!("abuse_host_{which}"), &["l03", "4"]));
    let run = beside(&[with(attacker(&containers), "spec", &json!({"activeDeadlineSeconds": 600}))]);
    for which in ["p1", "p2"] {
        held(&run, which);
    }
    // text joins the pieces again; JSON has them as they are in the log
    let folder = Folder::new();
    let file = folder.manifest("m", &[attacker(&containers)]);
    let run = Play::file(file).args(&["--output", "json"]).seeded(1).run();
    let mut bytes = 0;
    for object in run.json() {
        let line = object["text"].as_str().unwrap_or_default();
        assert!(line.len() <= 16 << 10, "a line of {} bytes", line.len());
        if line.starts_with('L') && object["partial"] == json!(true) {
            bytes += line.len();
        }
    }
    assert!(bytes >= 8 << 20, "{bytes} bytes in pieces");
}
