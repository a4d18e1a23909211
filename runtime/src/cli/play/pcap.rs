//! `--pcap`: every packet of every pod in one file that Wireshark, tshark and tcpdump read. Owns the file format (classic pcap with
//! nanoseconds, raw IP packets) and the cap on its size; what a packet is, the kernel's tap says.
//!
//! Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use etherparse::{PacketBuilder, PacketBuilderStep, TcpHeader, TcpOptionElement};
use parking_lot::Mutex;
use wasmpod_cri::tap::{Packet, Segment, Tap, TcpFlags, WINDOW_SCALE};

use super::args::Args;

/// The most that one run may write, as for the journal: a guest that sends without end cannot fill the disk.
pub const MAX_PCAP_BYTES: u64 = 1 << 30;
/// The first word of a classic pcap file whose times are in nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xa1b2_3c4d;
/// `LINKTYPE_RAW`: packets begin with the IPv4 or IPv6 header.
const LINKTYPE_RAW: u32 = 101;
/// The largest packet: an IPv6 header and 65535 bytes behind it.
const SNAP_LENGTH: u32 = 40 + 65_535;
/// The hop limit of what pods send.
const HOP_LIMIT: u8 = 64;

/// Begins the file, if one is asked for.
///
/// # Errors
/// The sentence for the user, if it cannot be made.
pub fn open(args: &Args) -> Result<Option<Arc<Pcap>>, String> {
    let create =
        |path: &PathBuf| Pcap::create(path).map_err(|error| format!("error: --pcap {}: {error}", path.display()));
    args.pcap.as_ref().map(create).transpose()
}

/// The file being written.
pub struct Pcap(Mutex<Writer<BufWriter<File>>>);

struct Writer<W> {
    out: W,
    written: u64,
    full: bool,
    error: Option<io::Error>,
}

impl Pcap {
    /// Begins the file.
    ///
    /// # Errors
    /// If it cannot be made or written.
    pub fn create(path: &Path) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self(Mutex::new(Writer::new(BufWriter::new(File::create(path)?))?))))
    }

    /// Ends the file; true if it is not complete because it is as large as it may be.
    ///
    /// # Errors
    /// The first error of any write.
    pub fn finish(&self) -> io::Result<bool> {
        let mut writer = self.0.lock();
        match writer.error.take() {
            Some(error) => Err(error),
            None => writer.out.flush().map(|()| writer.full),
        }
    }
}

impl Tap for Pcap {
    fn packet(&self, packet: &Packet<'_>) {
        self.0.lock().packet(packet);
    }
}

impl<W: Write> Writer<W> {
    fn new(mut out: W) -> io::Result<Self> {
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC_NANOSECONDS.to_le_bytes());
        header.extend(2u16.to_le_bytes()); // version 2.4
        header.extend(4u16.to_le_bytes());
        header.extend([0; 8]); // no time zone, no accuracy: both are unused
        header.extend(SNAP_LENGTH.to_le_bytes());
        header.extend(LINKTYPE_RAW.to_le_bytes());
        out.write_all(&header)?;
        Ok(Self { out, written: header.len() as u64, full: false, error: None })
    }

    fn packet(&mut self, packet: &Packet<'_>) {
        if self.full || self.error.is_some() {
            return;
        }
        // an encoder's error would be a header that cannot be, which the kernel does not make
        let Ok(bytes) = encode(packet) else { return };
        let size = 16 + bytes.len() as u64;
        if self.written + size > MAX_PCAP_BYTES {
            self.full = true;
            return;
        }
        self.written += size;
        if let Err(error) = self.record(packet.at, &bytes) {
            self.error = Some(error);
        }
    }

    fn record(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let (seconds, nanos) = (at / 1_000_000_000, at % 1_000_000_000);
        for word in [seconds as u32, nanos as u32, bytes.len() as u32, bytes.len() as u32] {
            self.out.write_all(&word.to_le_bytes())?;
        }
        self.out.write_all(bytes)
    }
}

/// The packet with its IP header and right checksums.
fn encode(packet: &Packet<'_>) -> Result<Vec<u8>, etherparse::err::packet::BuildWriteError> {
    let ip = ip_header(packet.from.ip(), packet.to.ip());
    let mut bytes = Vec::new();
    match packet.segment {
        Segment::Tcp { seq, ack, flags, window, mss, payload } => {
            let mut header = tcp_header(packet.from, packet.to, flags, mss);
            (header.sequence_number, header.acknowledgment_number, header.window_size) = (seq, ack, window);
            ip.tcp_header(header).write(&mut bytes, payload)?;
        }
        Segment::Udp { payload } => ip.udp(packet.from.port(), packet.to.port()).write(&mut bytes, payload)?,
    }
    Ok(bytes)
}

fn ip_header(from: IpAddr, to: IpAddr) -> PacketBuilderStep<etherparse::IpHeaders> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), HOP_LIMIT),
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            PacketBuilder::ipv6(octets(from), octets(to), HOP_LIMIT)
        }
    }
}

fn tcp_header(from: SocketAddr, to: SocketAddr, flags: TcpFlags, mss: u16) -> TcpHeader {
    let mut header = TcpHeader::new(from.port(), to.port(), 0, 0);
    header.fin = flags.contains(TcpFlags::FIN);
    header.syn = flags.contains(TcpFlags::SYN);
    header.rst = flags.contains(TcpFlags::RST);
    header.psh = flags.contains(TcpFlags::PSH);
    header.ack = flags.contains(TcpFlags::ACK);
    if header.syn {
        let options = [
            TcpOptionElement::MaximumSegmentSize(mss),
            TcpOptionElement::Noop,
            TcpOptionElement::WindowScale(WINDOW_SCALE),
        ];
        _ = header.set_options(&options); // eight bytes, of forty that there may be
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet<'a>(from: &str, to: &str, segment: Segment<'a>) -> Packet<'a> {
        Packet { at: 1_700_000_000_000_000_007, from: from.parse().unwrap(), to: to.parse().unwrap(), segment }
    }

    /// The sum of RFC 1071 over everything a checksum covers, which is all ones if the checksum in it is right.
    fn sum(words: &[u8]) -> u16 {
        let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        let mut sum: u32 = words.chunks(2).map(word).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    #[test]
    fn a_segment_is_a_well_formed_ipv4_packet() {
        let segment = Segment::Tcp {
            seq: 0x0102_0304,
            ack: 0x0506_0708,
            flags: TcpFlags::SYN | TcpFlags::ACK,
            window: 512,
            mss: 1460,
            payload: &[],
        };
        let bytes = encode(&packet("10.244.0.2:80", "10.244.0.3:4000", segment)).unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[9], &bytes[2..4]), (48, 0x45, 6, &[0, 48][..]));
        assert_eq!(
            (&bytes[12..16], &bytes[16..20], sum(&bytes[..20])),
            (&[10, 244, 0, 2][..], &[10, 244, 0, 3][..], 0xffff)
        );
        let tcp = &bytes[20..];
        assert_eq!(&tcp[..14], &[0, 80, 0x0f, 0xa0, 1, 2, 3, 4, 5, 6, 7, 8, 0x70, 0x12]);
        assert_eq!((&tcp[14..16], &tcp[20..]), (&[2, 0][..], &[2, 4, 0x05, 0xb4, 1, 3, 3, 7][..]));
        let pseudo = [&bytes[12..20], &[0, 6, 0, tcp.len() as u8], tcp].concat();
        assert_eq!(sum(&pseudo), 0xffff);
    }

    #[test]
    fn a_datagram_is_a_well_formed_ipv6_packet() {
        let bytes = encode(&packet("[fd00::2]:53", "[fd00::3]:5353", Segment::Udp { payload: b"odd" })).unwrap();
        assert_eq!((bytes.len(), bytes[0] >> 4, bytes[6], bytes[7]), (51, 6, 17, HOP_LIMIT));
        let udp = &bytes[40..];
        assert_eq!((&udp[..6], &udp[8..]), (&[0, 53, 0x14, 0xe9, 0, 11][..], &b"odd"[..]));
        assert_eq!(sum(&[&bytes[8..40], &[0, 17, 0, 11], udp].concat()), 0xffff);
    }

    #[test]
    fn the_file_is_classic_pcap_with_nanoseconds_and_never_larger_than_it_may_be() {
        let mut writer = Writer::new(Vec::new()).unwrap();
        writer.packet(&packet("10.0.0.1:1", "10.0.0.2:2", Segment::Udp { payload: b"x" }));
        let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let file = &writer.out;
        assert_eq!((word(file, 0), word(file, 20), file.len()), (0xa1b2_3c4d, 101, 24 + 16 + 29));
        assert_eq!([24, 28, 32, 36].map(|at| word(file, at)), [1_700_000_000, 7, 29, 29]);
        writer.written = MAX_PCAP_BYTES - 20;
        writer.packet(&packet("10.0.0.1:1", "10.0.0.2:2", Segment::Udp { payload: b"x" }));
        assert!(writer.full && writer.out.len() == 24 + 16 + 29);
    }
}
