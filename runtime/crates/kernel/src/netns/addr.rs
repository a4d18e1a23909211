//! Addresses as sockets see them: families, IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2), wildcards, and which bindings overlap
//! (`ip(7)`, `ipv6(7)`). Owns no tables.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{Errno, Result};

/// The address family of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
}

/// What a socket is bound to, as far as conflicts and lookups care. An IPv4-mapped address is its IPv4 address here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// Every IPv4 address.
    AnyV4,
    /// Every IPv6 address, and no IPv4 one (`IPV6_V6ONLY`).
    AnyV6,
    /// Every address of both families.
    AnyDual,
    /// One address.
    One(IpAddr),
}

impl Bound {
    /// What binding to `ip` means for a socket of this family.
    pub(super) fn of(family: Family, ip: IpAddr, v6only: bool) -> Self {
        match (family, ip) {
            (_, IpAddr::V4(ip)) if ip.is_unspecified() => Self::AnyV4,
            (_, IpAddr::V6(ip)) if ip.is_unspecified() => {
                if v6only {
                    Self::AnyV6
                } else {
                    Self::AnyDual
                }
            }
            (_, ip) => Self::One(ip),
        }
    }

    /// True if one datagram or connection could belong to both.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.accepts_any_of(other) || other.accepts_any_of(self)
    }

    fn accepts_any_of(self, other: Self) -> bool {
        match (self, other) {
            (Self::AnyDual, _) => true,
            (Self::AnyV4, Self::AnyV4) | (Self::AnyV6, Self::AnyV6) => true,
            (bound, Self::One(ip)) => bound.accepts(ip),
            _ => false,
        }
    }

    /// True if traffic to the local address `ip` may end here.
    pub(super) fn accepts(self, ip: IpAddr) -> bool {
        match self {
            Self::AnyDual => true,
            Self::AnyV4 => ip.is_ipv4(),
            Self::AnyV6 => ip.is_ipv6(),
            Self::One(own) => own == ip,
        }
    }

    /// How exact the match is; among several, the highest wins (`compute_score` of net/ipv4/inet_hashtables.c).
    pub(super) fn score(self) -> u8 {
        match self {
            Self::One(_) => 2,
            Self::AnyV4 | Self::AnyV6 => 1,
            Self::AnyDual => 0,
        }
    }
}

/// Turns what a program passed into the address meant: `::ffff:a.b.c.d` becomes `a.b.c.d`.
///
/// # Errors
/// [`Errno::AfNoSupport`] if the address is of the other family.
pub(super) fn canonical(family: Family, addr: SocketAddr) -> Result<SocketAddr> {
    match (family, addr) {
        (Family::V4, SocketAddr::V4(_)) => Ok(addr),
        (Family::V6, SocketAddr::V6(v6)) => Ok(SocketAddr::new(v6.ip().to_canonical(), v6.port())),
        _ => Err(Errno::AfNoSupport),
    }
}

/// The address as a socket of this family shows it: an IPv4 address on an IPv6 socket is shown mapped.
pub(super) fn present(family: Family, addr: SocketAddr) -> SocketAddr {
    match (family, addr) {
        (Family::V6, SocketAddr::V4(v4)) => SocketAddr::new(IpAddr::V6(v4.ip().to_ipv6_mapped()), v4.port()),
        _ => addr,
    }
}

/// The wildcard address of a family.
pub(super) fn wildcard(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// A destination of "any" means this host: 0.0.0.0 is 127.0.0.1 and `::` is `::1`, as on Linux.
pub(super) fn destination(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(ip: &str) -> Bound {
        Bound::One(ip.parse().unwrap())
    }

    #[test]
    fn wildcards_overlap_what_they_cover() {
        assert!(Bound::AnyV4.overlaps(one("127.0.0.1")) && one("127.0.0.1").overlaps(Bound::AnyV4));
        assert!(Bound::AnyDual.overlaps(Bound::AnyV4) && Bound::AnyV6.overlaps(Bound::AnyDual));
        assert!(!Bound::AnyV6.overlaps(Bound::AnyV4) && !Bound::AnyV6.overlaps(one("10.244.0.2")));
        assert!(!one("127.0.0.1").overlaps(one("10.244.0.2")) && one("::1").overlaps(one("::1")));
    }

    #[test]
    fn mapped_addresses_are_ipv4_inside_and_ipv6_outside() {
        let mapped: SocketAddr = "[::ffff:10.244.0.2]:80".parse().unwrap();
        let plain: SocketAddr = "10.244.0.2:80".parse().unwrap();
        assert_eq!(canonical(Family::V6, mapped), Ok(plain));
        assert_eq!(present(Family::V6, plain), mapped);
        assert_eq!(present(Family::V4, plain), plain);
        assert_eq!(canonical(Family::V4, mapped), Err(Errno::AfNoSupport));
        assert_eq!(canonical(Family::V6, plain), Err(Errno::AfNoSupport));
    }

    #[test]
    fn a_wildcard_destination_is_loopback() {
        assert_eq!(destination(wildcard(Family::V4)), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(destination(wildcard(Family::V6)), IpAddr::V6(Ipv6Addr::LOCALHOST));
    }
}
