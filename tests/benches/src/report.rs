//! Samples, alternating rounds and the table. Owns no measuring.

use std::fmt::Write;

/// What was measured, in one unit.
#[derive(Debug, Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// One more.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value below which `part` of the samples are (nearest rank); 0 without samples.
    pub fn percentile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0.0)
    }

    /// The middle.
    pub fn median(&self) -> f64 {
        self.percentile(0.5)
    }
}

/// Two things measured in turn, so that whatever else the machine does meets both.
#[derive(Debug, Default)]
pub struct Rounds {
    /// Ours.
    pub ours: Samples,
    /// The peer's.
    pub peer: Samples,
    /// Ours ÷ the peer's, round by round.
    pub ratio: Samples,
}

impl Rounds {
    /// Measures `rounds` times, in alternating order, after one round that does not count.
    ///
    /// # Errors
    /// The first of a measurement.
    pub fn alternate(
        rounds: usize,
        mut ours: impl FnMut() -> anyhow::Result<f64>,
        mut peer: impl FnMut() -> anyhow::Result<f64>,
    ) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for round in 0..=rounds {
            let (a, b) = if round % 2 == 0 {
                let a = ours()?;
                (a, peer()?)
            } else {
                let b = peer()?;
                (ours()?, b)
            };
            if round > 0 {
                all.add(a, b);
            }
        }
        Ok(all)
    }

    /// One round's two values.
    pub fn add(&mut self, ours: f64, peer: f64) {
        self.ours.push(ours);
        self.peer.push(peer);
        self.ratio.push(ours / peer);
    }
}

/// What a number must be.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// At most, in the unit.
    Most(f64),
    /// At least, in the unit.
    Least(f64),
    /// Nothing is promised.
    None,
}

struct Row {
    what: String,
    unit: &'static str,
    target: Target,
    measured: f64,
    detail: String,
}

/// All numbers of this run.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A number with its unit (`×`, `ms`, …), what it must be, and what it was made of.
    pub fn add(
        &mut self,
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        target: Target,
        detail: impl Into<String>,
    ) {
        let row = Row { what: what.into(), unit, target, measured, detail: detail.into() };
        eprintln!("  {}", row.line());
        self.rows.push(row);
    }

    /// A ratio of alternating rounds; `show` writes one side's value.
    pub fn ratio(
        &mut self,
        what: impl Into<String>,
        rounds: &Rounds,
        target: Target,
        peer: &str,
        show: impl Fn(f64) -> String,
    ) {
        let (low, high) = (rounds.ratio.percentile(0.1), rounds.ratio.percentile(0.9));
        let detail = format!(
            "{} against {peer}'s {}; {low:.2} to {high:.2} from round to round",
            show(rounds.ours.median()),
            show(rounds.peer.median())
        );
        self.add(what, rounds.ratio.median(), "×", target, detail);
    }

    /// The table for people.
    pub fn print(&self) {
        println!();
        for row in &self.rows {
            println!("{}", row.line());
        }
    }

    /// The table for `docs/BENCHMARKS.md`.
    pub fn print_markdown(&self) {
        let mut text = String::from("| number | target | measured | |\n|---|---|---|---|\n");
        for row in &self.rows {
            let (target, measured, met) = (row.target_text(), row.measured_text(), row.met());
            let met = if met.is_empty() { String::new() } else { format!("{met}: ") };
            let _ = writeln!(text, "| {} | {target} | {measured} | {met}{} |", row.what, row.detail);
        }
        println!("{text}");
    }
}

impl Row {
    fn measured_text(&self) -> String {
        format!("{} {}", short(self.measured), self.unit)
    }

    fn target_text(&self) -> String {
        match self.target {
            Target::Most(most) => format!("≤ {most} {}", self.unit),
            Target::Least(least) => format!("≥ {least} {}", self.unit),
            Target::None => "–".to_owned(),
        }
    }

    fn met(&self) -> &'static str {
        match self.target {
            Target::Most(most) if self.measured > most => "MISSED",
            Target::Least(least) if self.measured < least => "MISSED",
            Target::None => "",
            Target::Most(_) | Target::Least(_) => "met",
        }
    }

    fn line(&self) -> String {
        let (measured, target) = (self.measured_text(), self.target_text());
        format!("{:<52} {measured:>12}  {target:>10}  {:<6}  {}", self.what, self.met(), self.detail)
    }
}

/// Three digits that mean something.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut samples = Samples::default();
        assert_eq!(samples.median(), 0.0);
        for value in [5.0, 1.0, 4.0, 2.0, 3.0] {
            samples.push(value);
        }
        assert_eq!((samples.median(), samples.percentile(0.95), samples.percentile(0.1)), (3.0, 5.0, 1.0));
    }

    #[test]
    fn the_first_round_does_not_count_and_the_order_alternates() {
        let order = std::cell::RefCell::new(String::new());
        let (mut a, mut b) = (0.0, 0.0);
        let rounds = Rounds::alternate(
            2,
            || {
                order.borrow_mut().push('a');
                a += 1.0;
                Ok(a)
            },
            || {
                order.borrow_mut().push('b');
                b += 2.0;
                Ok(b)
            },
        )
        .expect("nothing fails");
        assert_eq!(*order.borrow(), "abbaab");
        assert_eq!((rounds.ours.0, rounds.peer.0, rounds.ratio.0), (vec![2.0, 3.0], vec![4.0, 6.0], vec![0.5, 0.5]));
    }
}
