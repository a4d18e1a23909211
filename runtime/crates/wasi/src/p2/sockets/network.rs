//! The network as a capability, and addresses: the WIT's form, and which are valid for what. Owns no socket.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use wasmpod_kernel::netns::Family;
use wasmtime::component::Resource;

use super::{SocketError, SocketFailure};
use crate::Ctx;
use crate::p2::CALL_FUEL;
use crate::p2::bindings::sockets::instance_network;
use crate::p2::bindings::sockets::network::{
    self, ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};

/// The resource `network`: the right to use the pod's network. There is one network and everybody in the pod may use it.
pub struct Network;

impl network::Host for Ctx {
    fn convert_error_code(&mut self, error: SocketError) -> wasmtime::Result<ErrorCode> {
        match error {
            SocketError::Code(code) => Ok(code),
            SocketError::Trap(error) => Err(error),
        }
    }

    fn network_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.charge(CALL_FUEL);
        Ok(self.table.get(&error)?.downcast_ref::<SocketFailure>().map(|failure| failure.0.into()))
    }
}

impl network::HostNetwork for Ctx {
    fn drop(&mut self, this: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl instance_network::Host for Ctx {
    fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        self.charge(CALL_FUEL);
        Ok(self.table.push(Network)?)
    }
}

impl From<IpAddressFamily> for Family {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::V4,
            IpAddressFamily::Ipv6 => Self::V6,
        }
    }
}

impl From<Family> for IpAddressFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ipv4,
            Family::V6 => Self::Ipv6,
        }
    }
}

impl From<IpSocketAddress> for SocketAddr {
    fn from(address: IpSocketAddress) -> Self {
        match address {
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) }) => {
                SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into()
            }
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port,
                flow_info,
                address: (a, b, c, d, e, f, g, h),
                scope_id,
            }) => SocketAddrV6::new(Ipv6Addr::new(a, b, c, d, e, f, g, h), port, flow_info, scope_id).into(),
        }
    }
}

impl From<SocketAddr> for IpSocketAddress {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => {
                let [a, b, c, d] = v4.ip().octets();
                Self::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
            }
            SocketAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h] = v6.ip().segments();
                Self::Ipv6(Ipv6SocketAddress {
                    port: v6.port(),
                    flow_info: v6.flowinfo(),
                    address: (a, b, c, d, e, f, g, h),
                    scope_id: v6.scope_id(),
                })
            }
        }
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self::Ipv4((a, b, c, d))
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h] = v6.segments();
                Self::Ipv6((a, b, c, d, e, f, g, h))
            }
        }
    }
}

/// True if a socket of `family` can have this address. IPv6 sockets of WASI are IPv6 only, so IPv4-mapped addresses are not
/// theirs; IPv4-compatible ones (RFC 4291 section 2.5.5.1) are deprecated.
pub(super) fn fits(family: Family, ip: IpAddr) -> bool {
    match (family, ip) {
        (Family::V4, IpAddr::V4(_)) => true,
        (Family::V6, IpAddr::V6(ip)) => {
            let compatible = matches!(ip.segments(), [0, 0, 0, 0, 0, 0, _, _])
                && ip != Ipv6Addr::UNSPECIFIED
                && ip != Ipv6Addr::LOCALHOST;
            !compatible && ip.to_ipv4_mapped().is_none()
        }
        _ => false,
    }
}

/// True if it is neither multicast nor broadcast.
pub(super) fn is_unicast(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_multicast(),
    }
}

/// True if something can be sent to it.
pub(super) fn is_remote(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_unspecified() && address.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_wit() {
        for text in ["10.244.0.7:80", "[fd00:10:244::7]:8080", "[::]:0", "0.0.0.0:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(SocketAddr::from(IpSocketAddress::from(address)), address);
        }
    }

    #[test]
    fn families_and_kinds() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(fits(Family::V4, ip("127.0.0.1")) && !fits(Family::V4, ip("::1")));
        assert!(fits(Family::V6, ip("::1")) && fits(Family::V6, ip("::")));
        assert!(!fits(Family::V6, ip("::ffff:127.0.0.1")) && !fits(Family::V6, ip("::7f00:1")));
        assert!(!is_unicast(ip("224.0.0.1")) && !is_unicast(ip("255.255.255.255")) && !is_unicast(ip("ff02::1")));
        assert!(is_remote("10.0.0.1:80".parse().unwrap()) && !is_remote("10.0.0.1:0".parse().unwrap()));
        assert!(!is_remote("0.0.0.0:80".parse().unwrap()));
    }
}
