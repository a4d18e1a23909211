//! Addresses for pods: one after the other, as the CNI plugin host-local gives them, so that an address is not reused at once. The
//! IPv6 address has the host number of the IPv4 one. Owns which host numbers are taken.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{Errno, Result};

/// The host number of the gateway.
const GATEWAY: u32 = 1;
/// The host number of the first pod.
const FIRST: u32 = 2;

pub(super) struct Ipam {
    v4: u32,
    v6: u128,
    /// The highest host number of a pod; the one above is the broadcast address.
    last: u32,
    next: u32,
    taken: BTreeSet<u32>,
}

impl Ipam {
    /// # Errors
    /// [`Errno::Inval`] if there is no room for a gateway and a pod, or fewer IPv6 addresses than IPv4 ones.
    pub(super) fn new(v4: (Ipv4Addr, u8), v6: (Ipv6Addr, u8)) -> Result<Self> {
        let bits = 32u32.checked_sub(v4.1.into()).ok_or(Errno::Inval)?;
        let bits_v6 = 128u32.checked_sub(v6.1.into()).ok_or(Errno::Inval)?;
        if !(2..32).contains(&bits) || bits_v6 < bits {
            return Err(Errno::Inval);
        }
        let hosts = 1u32 << bits;
        let mask_v6 = u128::MAX.checked_shl(bits_v6).unwrap_or(0);
        Ok(Self {
            v4: v4.0.to_bits() & !(hosts - 1),
            v6: v6.0.to_bits() & mask_v6,
            last: hosts - 2,
            next: FIRST,
            taken: BTreeSet::new(),
        })
    }

    pub(super) fn gateway(&self) -> (Ipv4Addr, Ipv6Addr) {
        self.addresses(GATEWAY)
    }

    pub(super) fn broadcast(&self) -> Ipv4Addr {
        self.addresses(self.last + 1).0
    }

    fn addresses(&self, host: u32) -> (Ipv4Addr, Ipv6Addr) {
        (Ipv4Addr::from_bits(self.v4 | host), Ipv6Addr::from_bits(self.v6 | u128::from(host)))
    }

    /// The IPv4 address with the same host number, if `ip` is of one of the networks.
    pub(super) fn ipv4_of(&self, ip: IpAddr) -> Option<Ipv4Addr> {
        let host = match ip {
            IpAddr::V4(ip) => ip.to_bits() ^ self.v4,
            IpAddr::V6(ip) => u32::try_from(ip.to_bits() ^ self.v6).ok()?,
        };
        (host <= self.last + 1).then(|| self.addresses(host).0)
    }

    /// # Errors
    /// [`Errno::AddrNotAvail`] if all addresses are taken.
    pub(super) fn allocate(&mut self) -> Result<(Ipv4Addr, Ipv6Addr)> {
        let around = (self.next..=self.last).chain(FIRST..self.next);
        let host = { around }.find(|host| !self.taken.contains(host)).ok_or(Errno::AddrNotAvail)?;
        self.taken.insert(host);
        self.next = if host == self.last { FIRST } else { host + 1 };
        Ok(self.addresses(host))
    }

    pub(super) fn in_use(&self) -> usize {
        self.taken.len()
    }

    pub(super) fn release(&mut self, ip: Ipv4Addr) {
        self.taken.remove(&(ip.to_bits() ^ self.v4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_around_and_skips_what_is_taken() {
        let mut ipam = Ipam::new((Ipv4Addr::new(10, 244, 0, 77), 29), ("fd00::".parse().unwrap(), 64)).unwrap();
        assert_eq!(ipam.gateway().0, Ipv4Addr::new(10, 244, 0, 73));
        assert_eq!(ipam.broadcast(), Ipv4Addr::new(10, 244, 0, 79));
        let all: Vec<_> = (0..5).map(|_| ipam.allocate().unwrap()).collect();
        assert_eq!(all[0], (Ipv4Addr::new(10, 244, 0, 74), "fd00::2".parse().unwrap()));
        assert_eq!(all[4].0, Ipv4Addr::new(10, 244, 0, 78));
        assert_eq!(ipam.allocate(), Err(Errno::AddrNotAvail));
        ipam.release(all[2].0);
        assert_eq!(ipam.allocate(), Ok(all[2]));
    }
}
