//! The two doors to the host, which are closed unless the user opens them: published ports and hostPath.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::{Value, json};
use wasmpod_suite::manifest::{Folder, container, pod, with};
use wasmpod_suite::play::{Play, Running};

/// A host that waits longer than this for an answer has none.
const PATIENCE: Duration = Duration::from_secs(30);

/// The address that wasmpod says it has opened.
fn opened(run: &mut Running, to: &str) -> SocketAddr {
    let line = run.line_with(&format!(" leads to {to}"));
    let address = line.strip_prefix("wasmpod: ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
    address.parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time above 0");
    let request = format!("GET {path} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the pod takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the pod answers");
    answer
}

#[test]
fn a_published_port_leads_to_the_pod() {
    let folder = Folder::new();
    let file =
        folder.manifest("web", &[pod("web", &[container("c", "net_http_hello", &["8080", "2", "from inside"])])]);
    let mut run = Play::file(file).args(&["--publish", "0:8080"]).start();
    let address = opened(&mut run, "web:8080");
    assert!(address.ip().is_loopback() && address.port() != 0, "{address}");
    run.line_with("listening on 0.0.0.0:8080");
    let answer = get(address, "/");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("\r\n\r\nfrom inside"), "{answer}");
    assert!(get(address, "/hostname").contains("\r\n\r\nweb"), "the pod's own name");
    let run = run.finish().expect(0);
    assert_eq!(run.of("web/c").last().map(String::as_str), Some("answered 2 requests"));
    // the door closes with the run
    let closed = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| error.kind());
    assert_eq!(closed.err(), Some(ErrorKind::ConnectionRefused));
}

#[test]
fn a_preopened_socket_can_be_published() {
    let folder = Folder::new();
    let server =
        with(container("c", "net_p1_server", &["http", "1", "std"]), "", &json!({"ports": [{"containerPort": 80}]}));
    let file = folder.manifest("p1", &[pod("p1", &[server])]);
    let mut run = Play::file(file).args(&["--publish", "p1/127.0.0.1:0:80"]).start();
    let address = opened(&mut run, "p1:80");
    run.line_with("found 1 listening sockets");
    assert!(get(address, "/").contains("hello from a pre-opened socket"));
    run.finish().expect(0);
}

#[test]
fn a_published_udp_port_leads_to_the_pod() {
    let folder = Folder::new();
    let file = folder.manifest("udp", &[pod("udp", &[container("c", "net_udp_echo_server", &["7001", "1"])])]);
    let mut run = Play::file(file).args(&["--publish", "0:7001/udp"]).start();
    let address = opened(&mut run, "udp:7001");
    run.line_with("bound to 0.0.0.0:7001");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time above 0");
    let mut buffer = [0; 2048];
    for message in [&b"x"[..], &[7; 1400], b"bye"] {
        socket.send_to(message, address).expect("it can be sent");
        let (length, from) = socket.recv_from(&mut buffer).expect("the pod answers");
        assert_eq!((&buffer[..length], from), (message, address));
    }
    run.finish().expect(0);
}

#[test]
fn a_port_of_the_host_that_is_taken_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("it has one").port();
    let run = Play::spec("hello.yaml").args(&["--publish", &format!("{port}:80")]).run().expect(2);
    let text = format!("--publish: cannot listen on 127.0.0.1:{port}: ");
    assert!(run.stderr().contains(&text), "{}", run.stderr());
    assert!(run.stdout.is_empty());
}

/// A pod that prints `paths` of a hostPath volume at `/host`.
fn shows(host: &std::path::Path, paths: &[&str]) -> Value {
    let mounted =
        with(container("c", "fs_cat", paths), "", &json!({"volumeMounts": [{"name": "v", "mountPath": "/host"}]}));
    with(pod("p", &[mounted]), "spec", &json!({"volumes": [{"name": "v", "hostPath": {"path": host}}]}))
}

#[test]
fn a_host_path_needs_leave() {
    let folder = Folder::new();
    let shared = Folder::new();
    shared.write("given.txt", "for the pod\n");
    let file = folder.manifest("p", &[shows(shared.path(), &["/host"])]);
    let run = Play::file(&file).run().expect(2);
    assert!(run.stderr().contains("spec.volumes[0].hostPath.path: hostPath "), "{}", run.stderr());
    assert!(run.stderr().contains(" is not allowed"), "{}", run.stderr());
    // leave for another directory is none for this one
    let other = Folder::new();
    Play::file(&file).arg("--allow-hostpath").arg(other.path()).run().expect(2);
    let run = Play::file(&file).arg("--allow-hostpath").arg(shared.path()).run().expect(0);
    assert_eq!(run.of("p/c"), ["== /host/: given.txt", "== /host/given.txt", "for the pod"]);
}

#[test]
fn a_host_path_is_the_hosts_directory() {
    let folder = Folder::new();
    let shared = Folder::new();
    let writer = with(
        container("c", "fs_writer", &["/host/log", "2", "1"]),
        "",
        &json!({"volumeMounts": [{"name": "v", "mountPath": "/host"}]}),
    );
    let volume = json!({"volumes": [{"name": "v", "hostPath": {"path": shared.path(), "type": "Directory"}}]});
    let file = folder.manifest("p", &[with(pod("p", &[writer]), "spec", &volume)]);
    Play::file(file).arg("--allow-hostpath").arg(shared.path()).run().expect(0);
    assert_eq!(wasmpod_suite::read(&shared.path().join("log")), "line 1 of 2\nline 2 of 2\n");
}

#[cfg(unix)]
#[test]
fn links_do_not_lead_out_of_a_host_path() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    let outside = Folder::new();
    let secret = outside.write("secret.txt", "SECRET of the host\n");
    let shared = Folder::new();
    shared.write("sub/inside.txt", "inside\n");
    let link =
        |target: &std::path::Path, name: &str| symlink(target, shared.path().join(name)).expect("a link can be made");
    link(&secret, "absolute");
    link(outside.path(), "folder");
    let up = std::path::Path::new("..").join(outside.path().file_name().expect("it has a name")).join("secret.txt");
    link(&up, "relative");
    assert!(shared.path().join("relative").is_file(), "the host itself can follow it");
    link(std::path::Path::new("sub/inside.txt"), "fine");
    let paths = [
        "/host/absolute",
        "/host/relative",
        "/host/folder/secret.txt",
        "/host/../secret.txt",
        "/host/fine",
        "/host/sub/inside.txt",
    ];
    let file = folder.manifest("p", &[shows(shared.path(), &paths)]);
    let run = Play::file(file).arg("--allow-hostpath").arg(shared.path()).run().expect(0);
    let stdout = run.stdout();
    assert!(!stdout.contains("SECRET"), "{stdout}");
    let inside = run.of("p/c").iter().filter(|line| *line == "inside").count();
    assert_eq!(inside, 2, "a link that stays inside works: {stdout}");
}

#[cfg(unix)]
#[test]
fn a_link_in_place_of_an_allowed_directory_is_no_way_around() {
    let folder = Folder::new();
    let outside = Folder::new();
    outside.write("secret.txt", "SECRET of the host\n");
    let shared = Folder::new();
    std::os::unix::fs::symlink(outside.path(), shared.path().join("door")).expect("a link can be made");
    // as on a cluster, a volume that cannot be mounted is tried again and again
    let file = folder.manifest("p", &[shows(&shared.path().join("door"), &["/host"])]);
    let door = Play::file(file)
        .seeded(0)
        .args(&["--timeout", "60s", "--allow-nondeterminism"])
        .arg("--allow-hostpath")
        .arg(shared.path());
    let door = door.run().expect(124);
    assert!(door.stderr().contains("FailedMount"), "{}", door.stderr());
    let file = folder.manifest("p", &[shows(&shared.path().join(".."), &["/host"])]);
    let above = Play::file(file).arg("--allow-hostpath").arg(shared.path()).run().expect(2);
    for run in [door, above] {
        assert!(!run.stdout().contains("SECRET"), "{}", run.stdout());
    }
}
