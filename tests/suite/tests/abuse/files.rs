//! F: leaving the directory, changing what is read-only, filling the disk, naming what is the host's.

use serde_json::{Value, json};
use wasmpod_suite::manifest::{container, with};
use wasmpod_suite::outcome::Outcome;

use super::{attacker, beside, held};

/// One case on both surfaces, each in a container of its own with its own volumes.
fn case(name: &str) -> Outcome {
    let mount =
        |volume: &str, path: &str, read_only: bool| json!({"name": volume, "mountPath": path, "readOnly": read_only});
    let mut volumes = Vec::new();
    let mut containers = Vec::new();
    let mut first = Vec::new();
    for (which, program) in [("p1", "abuse_files_p1"), ("p2", "abuse_files_p2")] {
        let (data, small, ro) = (format!("data-{which}"), format!("small-{which}"), format!("ro-{which}"));
        volumes.push(json!({"name": data, "emptyDir": {}}));
        volumes.push(json!({"name": small, "emptyDir": {"sizeLimit": "1Mi"}}));
        volumes.push(json!({"name": ro, "emptyDir": {}}));
        let guest = container(which, program, &[name]);
        let mounts = [
            mount(&data, "/data", false),
            mount(&data, "/twin", true),
            mount(&small, "/small", false),
            mount(&ro, "/ro", true),
        ];
        let more = json!({"volumeMounts": mounts, "resources": {"limits": {"ephemeral-storage": "3Mi"}}});
        containers.push(with(guest, "", &more));
        let filler = container(&format!("fill-{which}"), "fs_writer", &["/ro/config", "3"]);
        first.push(with(filler, "", &json!({"volumeMounts": [mount(&ro, "/ro", false)]})));
    }
    let more = json!({"volumes": volumes, "initContainers": first});
    // filling takes its time
    let more = with(more, "", &json!({"activeDeadlineSeconds": 600}));
    let run = beside(&[with(attacker(&containers), "spec", &more)]);
    for which in ["p1", "p2"] {
        held(&run, which);
    }
    run
}

#[test]
fn f05_symlink_out_of_a_volume() {
    case("f05");
}

#[test]
fn f06_slashes_at_the_end() {
    case("f06");
}

#[test]
fn f07_links_from_a_read_only_mount() {
    case("f07");
}

#[test]
fn f08_truncate_on_a_read_only_mount() {
    case("f08");
}

#[test]
fn f09_loops_depth_and_endless_names() {
    case("f09");
}

#[test]
fn f10_descriptor_games() {
    case("f10");
}

#[test]
fn f11_flood_of_descriptors() {
    case("f11");
}

#[test]
fn f12_full_volumes_and_layers() {
    case("f12");
}

#[test]
fn f13_flood_of_names() {
    case("f13");
}

#[test]
fn f14_files_that_nobody_counts() {
    case("f14");
}

#[test]
fn f15_replacing_what_the_runtime_made() {
    case("f15");
}

#[test]
fn f16_descriptors_of_the_host() {
    case("f16");
}

#[test]
fn f16_a_working_directory_that_is_a_descriptor() {
    for path in ["/proc/self/fd/7", "/proc/self/fd/7/../..", "/dev/fd/7"] {
        let c: Value = with(container("c", "abuse_files_p1", &["f16"]), "", &json!({"workingDir": path}));
        let run = beside(&[attacker(&[c])]);
        assert!(run.of("attacker/c").is_empty(), "{path}: it ran: {}", run.stdout());
    }
}
