//! What `--pcap` writes, read back by a parser that shares nothing with the writer: headers, checksums, and every byte of every
//! conversation in its place. What tshark says of such a file is in docs/PACKETS.md.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wasmpod_suite::play::Play;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// One packet of a file.
#[derive(Debug)]
struct Packet {
    nanos: u64,
    from: SocketAddr,
    to: SocketAddr,
    /// Sequence number, acknowledgement number and flags of TCP; none of UDP.
    tcp: Option<(u32, u32, u8)>,
    payload: Vec<u8>,
}

fn be16(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The one's complement sum of RFC 1071; all ones over bytes that hold their own right checksum.
fn sum(parts: &[&[u8]]) -> u16 {
    let bytes = parts.concat();
    let total: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) * 256 + u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (total & 0xffff) + (total >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

/// Reads a classic pcap file of raw IP packets with times in nanoseconds.
fn parse(file: &[u8]) -> Vec<Packet> {
    let le32 = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((le32(0), le32(4), le32(20)), (0xa1b2_3c4d, 0x0004_0002, 101));
    let (mut at, mut packets) = (24, Vec::new());
    while at < file.len() {
        let nanos = u64::from(le32(at)) * 1_000_000_000 + u64::from(le32(at + 4));
        let len = le32(at + 8) as usize;
        assert_eq!(le32(at + 12) as usize, len, "nothing is cut off");
        packets.push(packet(nanos, &file[at + 16..at + 16 + len]));
        at += 16 + len;
    }
    packets
}

fn packet(nanos: u64, ip: &[u8]) -> Packet {
    let (from, to, protocol, body, addresses): (IpAddr, IpAddr, u8, &[u8], &[u8]) = match ip[0] >> 4 {
        4 => {
            assert_eq!((ip[0], be16(ip, 2), sum(&[&ip[..20]])), (0x45, ip.len(), 0xffff));
            let address = |at: usize| Ipv4Addr::from(be32(ip, at));
            (address(12).into(), address(16).into(), ip[9], &ip[20..], &ip[12..20])
        }
        6 => {
            assert_eq!(be16(ip, 4), ip.len() - 40);
            let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).unwrap());
            (address(8).into(), address(24).into(), ip[6], &ip[40..], &ip[8..40])
        }
        version => panic!("IP version {version}"),
    };
    let pseudo = [&[0, protocol][..], &u16::try_from(body.len()).unwrap().to_be_bytes()].concat();
    assert_eq!(sum(&[addresses, &pseudo, body]), 0xffff, "the checksum of {from} to {to}");
    let (tcp, payload) = match protocol {
        6 => (Some((be32(body, 4), be32(body, 8), body[13])), &body[usize::from(body[12] >> 4) * 4..]),
        17 => {
            assert_eq!(be16(body, 4), body.len());
            (None, &body[8..])
        }
        other => panic!("protocol {other}"),
    };
    assert!(tcp.is_none() || ip.len() <= 1500, "a segment is larger than the MTU");
    let end = |ip: IpAddr, at: usize| SocketAddr::new(ip, be16(body, at) as u16);
    Packet { nanos, from: end(from, 0), to: end(to, 2), tcp, payload: payload.to_vec() }
}

/// Runs a manifest and gives the bytes of its packets.
fn captured(spec: &str, seed: u64) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packets");
    Play::spec(spec).seeded(seed).arg("--pcap").arg(&path).run().expect(0);
    std::fs::read(path).unwrap()
}

/// The bytes of each direction of each TCP connection, after checking that each is a whole one: SYN, SYN-ACK, every byte once and in order,
/// acknowledged, FIN both ways.
fn streams(packets: &[Packet]) -> BTreeMap<(SocketAddr, SocketAddr), Vec<u8>> {
    let mut directions: BTreeMap<(SocketAddr, SocketAddr), (u32, Vec<u8>, u8)> = BTreeMap::new();
    for packet in packets {
        let Some((seq, ack, flags)) = packet.tcp else { continue };
        let (key, answers) = ((packet.from, packet.to), (packet.to, packet.from));
        if flags & RST != 0 && !directions.contains_key(&key) {
            directions.remove(&answers).expect("a refusal of something");
            continue; // the client tries again by another port
        }
        if flags & SYN != 0 {
            assert_eq!(flags & ACK != 0, directions.contains_key(&(packet.to, packet.from)), "SYN, then SYN-ACK");
            assert!(directions.insert(key, (seq.wrapping_add(1), Vec::new(), flags)).is_none());
        }
        if flags & ACK != 0 {
            assert_eq!(ack, directions[&(packet.to, packet.from)].0, "everything before is acknowledged, and no more");
        }
        let (next, bytes, seen) = directions.get_mut(&key).expect("a SYN comes first");
        if flags & (SYN | RST) == 0 {
            assert_eq!(seq, *next, "{key:?} has a gap");
        }
        bytes.extend(&packet.payload);
        *next = next.wrapping_add(packet.payload.len() as u32 + u32::from(flags & FIN));
        *seen |= flags;
    }
    for (key, (_, _, seen)) in &directions {
        assert!(seen & (FIN | RST) != 0, "{key:?} never ends");
    }
    directions.into_iter().map(|(key, (_, bytes, _))| (key, bytes)).collect()
}

#[test]
fn a_file_of_packets_holds_every_connection_whole() {
    let file = captured("pod-to-pod.yaml", 7);
    let packets = parse(&file);
    assert!(packets.is_sorted_by_key(|packet| packet.nanos));
    let server = |address: &SocketAddr| address.port() == 7000;
    let (mut asked, mut answered) = (Vec::new(), Vec::new());
    for ((from, to), bytes) in streams(&packets) {
        assert!(server(&from) != server(&to) && from.ip() != to.ip(), "{from} {to}");
        if server(&to) { asked.push(bytes) } else { answered.push(bytes) }
    }
    asked.sort_by_key(Vec::len);
    answered.sort_by_key(Vec::len);
    assert_eq!((asked.len(), asked[1].len()), (2, 10_000), "one client sends ten times a thousand bytes");
    assert_eq!(asked, answered, "the server is an echo");
    assert_eq!(captured("pod-to-pod.yaml", 7), file, "one seed, the same bytes");
    assert_ne!(captured("pod-to-pod.yaml", 8), file, "another seed, other ports and numbers");
}

#[test]
fn a_file_of_packets_holds_datagrams_and_loopback() {
    let packets = parse(&captured("udp.yaml", 7));
    assert!(packets.iter().all(|packet| packet.tcp.is_none()));
    let of = |loopback: bool| packets.iter().filter(move |packet| packet.from.ip().is_loopback() == loopback).count();
    assert!(of(true) > 0 && of(true) == of(false), "the same exchange inside of the pod and between pods");
    assert!(packets.iter().all(|packet| packet.from.ip().is_loopback() == packet.to.ip().is_loopback()));
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_runs() {
    let outcome = Play::spec("hello.yaml").args(&["--pcap", "/nowhere/at/all"]).run().expect(2);
    assert!(outcome.stderr().contains("--pcap /nowhere/at/all"), "{}", outcome.stderr());
}
