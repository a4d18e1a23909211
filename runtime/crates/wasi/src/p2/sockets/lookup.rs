//! `wasi:sockets/ip-name-lookup`: IP literals are read here, names are asked of the pod's resolver. Answers are there at once, so
//! the stream never waits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wasmtime::component::Resource;
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::{Network, SocketResult};
use crate::Ctx;
use crate::p2::bindings::sockets::ip_name_lookup::{Host, HostResolveAddressStream};
use crate::p2::bindings::sockets::network::{ErrorCode, IpAddress};
use crate::p2::{CALL_FUEL, ITEM_FUEL};

/// The longest name of the DNS (RFC 1035 section 2.3.4), with its final dot.
const MAX_NAME: usize = 254;
/// The longest part of one.
const MAX_LABEL: usize = 63;

/// The resource `resolve-address-stream`: what is left of an answer.
pub struct ResolvedAddresses(std::vec::IntoIter<IpAddr>);

#[async_trait]
impl Pollable for ResolvedAddresses {
    async fn ready(&mut self) {}
}

impl Host for Ctx {
    fn resolve_addresses(
        &mut self,
        network: Resource<Network>,
        name: String,
    ) -> SocketResult<Resource<ResolvedAddresses>> {
        self.charge_path(&name);
        self.table.get(&network)?;
        let addresses = match literal_or_name(&name)? {
            Some(ip) => vec![ip],
            None => self.process.spec.net.resolve(&name).map_err(ErrorCode::from)?,
        };
        self.charge(ITEM_FUEL * addresses.len() as u64);
        let addresses: Vec<_> = addresses.into_iter().map(|ip| ip.to_canonical()).collect();
        Ok(self.table.push(ResolvedAddresses(addresses.into_iter()))?)
    }
}

impl HostResolveAddressStream for Ctx {
    fn resolve_next_address(&mut self, this: Resource<ResolvedAddresses>) -> SocketResult<Option<IpAddress>> {
        self.charge(CALL_FUEL);
        Ok(self.table.get_mut(&this)?.0.next().map(IpAddress::from))
    }

    fn subscribe(&mut self, this: Resource<ResolvedAddresses>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(CALL_FUEL);
        subscribe(&mut self.table, this)
    }

    fn drop(&mut self, this: Resource<ResolvedAddresses>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// An address if `name` is one, `None` if it is a name to look up.
fn literal_or_name(name: &str) -> Result<Option<IpAddr>, ErrorCode> {
    if let Some(inner) = name.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(ErrorCode::InvalidArgument)?;
        return inner.parse::<Ipv6Addr>().map(|ip| Some(ip.into())).map_err(|_| ErrorCode::InvalidArgument);
    }
    if let Ok(ip) = name.parse::<Ipv6Addr>() {
        return Ok(Some(ip.into()));
    }
    let dotless = name.strip_suffix('.').unwrap_or(name);
    if dotless.is_empty() || name.len() > MAX_NAME {
        return Err(ErrorCode::InvalidArgument);
    }
    let last = dotless.rsplit('.').next().unwrap_or_default();
    if number(last).is_some() || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())) {
        // as in URLs and inet_aton(3), what ends in a number is an address or nothing
        return ipv4(dotless).map(|ip| Some(ip.into())).ok_or(ErrorCode::InvalidArgument);
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    for label in dotless.split('.') {
        if !label.is_ascii() {
            // an internationalized name is well-formed, but no name of a cluster is one (RFC 1123 labels only)
            let letters = label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
            return Err(if letters { ErrorCode::NameUnresolvable } else { ErrorCode::InvalidArgument });
        }
        if label.is_empty() || label.len() > MAX_LABEL || !label.bytes().all(good) {
            return Err(ErrorCode::InvalidArgument);
        }
    }
    Ok(None)
}

/// An IPv4 address in any of the forms of inet_aton(3): one to four parts, the last filling what is left.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(number).collect::<Option<Vec<_>>>()?;
    let (&last, front) = parts.split_last()?;
    if front.len() > 3 || front.iter().any(|&part| part > 255) {
        return None;
    }
    let bits_left = 32 - 8 * u32::try_from(front.len()).ok()?;
    if u64::from(last) >> bits_left != 0 {
        return None;
    }
    let high = front.iter().zip([24_u32, 16, 8]).fold(0, |all, (&part, shift)| all | part << shift);
    Some(Ipv4Addr::from_bits(high | last))
}

/// A number in C's notation.
fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some("") => return Some(0),
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_addresses() {
        let is = |name: &str, ip: &str| assert_eq!(literal_or_name(name), Ok(Some(ip.parse().unwrap())), "{name}");
        is("127.0.0.1", "127.0.0.1");
        is("127.1", "127.0.0.1");
        is("0x7f.1", "127.0.0.1");
        is("017700000001", "127.0.0.1");
        is("2130706433", "127.0.0.1");
        is("10.0.0.1.", "10.0.0.1");
        is("::1", "::1");
        is("[fd00::1]", "fd00::1");
    }

    #[test]
    fn names_are_names_and_rubbish_is_refused() {
        for name in ["localhost", "web", "web.default.svc.cluster.local.", "_http._tcp.web", "a-1", "0xzz", "1a"] {
            assert_eq!(literal_or_name(name), Ok(None), "{name}");
        }
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", "a b", "a/b", "300.1.1.1", "1.2.3.4.5", "[::1", "a%41", "[1.2.3.4]", "09", &long]
        {
            assert_eq!(literal_or_name(name), Err(ErrorCode::InvalidArgument), "{name}");
        }
        assert_eq!(literal_or_name("bücher.example"), Err(ErrorCode::NameUnresolvable));
        assert_eq!(literal_or_name("bü cher"), Err(ErrorCode::InvalidArgument));
    }

    proptest::proptest! {
        #[test]
        fn every_text_is_an_address_a_name_or_refused(text in "[\\PC\\x00]{0,40}|[0-9a-fx.:\\[\\]]{0,40}") {
            if let Ok(Some(ip)) = literal_or_name(&text) {
                proptest::prop_assert_eq!(literal_or_name(&ip.to_string()), Ok(Some(ip)));
            }
        }

        #[test]
        fn every_address_is_read_in_every_notation(bits: u32) {
            let (ip, [a, b, c, d]) = (Ipv4Addr::from_bits(bits), bits.to_be_bytes());
            let low = bits & 0xffff;
            for text in [ip.to_string(), bits.to_string(), format!("{bits:#x}"), format!("0{bits:o}"), format!("{a}.0{b:o}.{low}"),
                format!("{a}.{b:#X}.{c}.{d}").replace("0X", "0x")] {
                proptest::prop_assert_eq!(literal_or_name(&text), Ok(Some(ip.into())), "{}", text);
            }
        }
    }
}
