//! Several faults on one link: what each does is kept, and the link is what all of them together make of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use wasmpod_cri::{LinkProps, Runtime, link};

use super::Effect;

/// The effects that are at work, by link.
#[derive(Debug, Default)]
pub struct Effects {
    by_link: BTreeMap<(IpAddr, IpAddr), Vec<(String, Effect)>>,
}

impl Effects {
    /// Adds what the fault `name` does to the way from `from` to `to`.
    pub fn add(&mut self, runtime: &Runtime, name: &str, from: IpAddr, to: IpAddr, effect: Effect) {
        self.by_link.entry((from, to)).or_default().push((name.to_owned(), effect));
        self.apply(runtime, from, to);
    }

    /// Takes all that the fault `name` does away.
    pub fn remove(&mut self, runtime: &Runtime, name: &str) {
        let links: Vec<_> = self.by_link.keys().copied().collect();
        for (from, to) in links {
            let Some(effects) = self.by_link.get_mut(&(from, to)) else { continue };
            let before = effects.len();
            effects.retain(|(known, _)| known != name);
            if effects.len() < before {
                self.apply(runtime, from, to);
            }
        }
    }

    fn apply(&self, runtime: &Runtime, from: IpAddr, to: IpAddr) {
        let effects = self.by_link.get(&(from, to)).map_or(&[][..], Vec::as_slice);
        if let Err(errno) = runtime.fabric().set_link(from, to, together(effects)) {
            // the values were checked when the file was read; a pod without an address has no link
            tracing::error!(%errno, %from, %to, "a link cannot be set");
        }
    }
}

/// Latencies add up; a packet must survive every loss; the narrowest bandwidth counts; one partition is enough.
fn together(effects: &[(String, Effect)]) -> LinkProps {
    let mut props = LinkProps::default();
    for (_, effect) in effects {
        match *effect {
            Effect::Delay { latency, jitter } => {
                props.latency = (props.latency + latency).min(link::MAX_LATENCY);
                props.jitter = (props.jitter + jitter).min(props.latency);
            }
            Effect::Loss(ppm) => {
                let (kept, more) = (u64::from(link::LOSS_ALL - props.loss_ppm), u64::from(link::LOSS_ALL - ppm));
                let kept = kept * more / u64::from(link::LOSS_ALL);
                props.loss_ppm = link::LOSS_ALL - u32::try_from(kept).unwrap_or(0);
            }
            Effect::Bandwidth(rate) => {
                let known = props.bandwidth_bytes_per_second;
                props.bandwidth_bytes_per_second = Some(known.map_or(rate, |known| known.min(rate)));
            }
            Effect::Partition => props.partitioned = true,
        }
    }
    props
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn effects_on_one_link_come_together() {
        let millis = Duration::from_millis;
        let delay = |latency, jitter| Effect::Delay { latency: millis(latency), jitter: millis(jitter) };
        let effects = [
            delay(10, 2),
            Effect::Loss(500_000),
            Effect::Bandwidth(1000),
            delay(5, 0),
            Effect::Loss(500_000),
            Effect::Bandwidth(300),
        ];
        let named: Vec<_> = effects.iter().map(|effect| ("x".to_owned(), *effect)).collect();
        let props = together(&named);
        assert_eq!((props.latency, props.jitter, props.loss_ppm), (millis(15), millis(2), 750_000));
        assert_eq!((props.bandwidth_bytes_per_second, props.partitioned), (Some(300), false));
        assert!(together(&[("x".to_owned(), Effect::Partition)]).partitioned);
        assert_eq!(together(&[]), LinkProps::default());
    }
}
