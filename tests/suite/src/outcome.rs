//! What a run left: its exit code, what it printed, by container, and its journal.

use std::collections::BTreeMap;

use serde_json::Value;

/// A run that ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its arguments.
    pub command: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Its journal, if it had one.
    pub journal: String,
    /// How many files it left in the folder for temporary ones.
    pub left: usize,
}

impl Outcome {
    /// Standard output as text.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Checks the exit code.
    ///
    /// # Panics
    /// It is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "{}\n--- stdout\n{}--- stderr\n{}",
            self.command,
            self.stdout(),
            self.stderr()
        );
        self
    }

    /// The lines that containers wrote to standard output, in order, by `pod/container`.
    pub fn by_container(&self) -> BTreeMap<String, Vec<String>> {
        lines_by_prefix(&self.stdout())
    }

    /// The lines that a container wrote to standard output; none if it wrote none.
    pub fn of(&self, container: &str) -> Vec<String> {
        self.by_container().remove(container).unwrap_or_default()
    }

    /// The lines that a container wrote to standard error.
    pub fn errors_of(&self, container: &str) -> Vec<String> {
        lines_by_prefix(&self.stderr()).remove(container).unwrap_or_default()
    }

    /// The row of the table that a run ends with, for a container: phase, exit code, reason, restarts.
    ///
    /// # Panics
    /// There is no such row.
    #[track_caller]
    pub fn row(&self, pod: &str, container: &str) -> [String; 4] {
        let stderr = self.stderr();
        for line in stderr.lines() {
            let cells: Vec<&str> = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
            if let [p, phase, c, exit, reason, restarts] = cells[..]
                && (p, c) == (pod, container)
            {
                return [phase, exit, reason, restarts].map(str::to_owned);
            }
        }
        panic!("no row of {pod}/{container}: {}\n{stderr}", self.command);
    }

    /// The journal's lines about `who` (a pod or `pod/container`) that begin with `what`: seconds and the rest of the line.
    ///
    /// # Panics
    /// A line of the journal has another form.
    #[track_caller]
    pub fn journalled(&self, who: &str, what: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for line in self.journal.lines() {
            let mut words = line.splitn(3, ' ');
            let (Some(time), Some(subject), Some(rest)) = (words.next(), words.next(), words.next()) else {
                panic!("not a line of a journal: {line:?}");
            };
            if subject == who && rest.starts_with(what) {
                found.push((time.to_owned(), rest.to_owned()));
            }
        }
        found
    }

    /// What was said of a deadlock after the line that names its time: a line of each process, and the circle; `TIME` for each time, as
    /// they are the seed's.
    ///
    /// # Panics
    /// There was none.
    #[track_caller]
    pub fn deadlock(&self) -> Vec<String> {
        let stderr = self.stderr();
        let said = stderr.lines().filter_map(|line| line.strip_prefix("wasmpod: "));
        let mut lines = said.skip_while(|line| !line.starts_with("deadlock at "));
        assert!(lines.next().is_some(), "there was no deadlock: {stderr}");
        let told = lines.take_while(|line| !line.starts_with("still running"));
        told.map(|line| {
            let Some((who, rest)) = line.split_once(" waits since ") else { return line.to_owned() };
            let Some((_, what)) = rest.split_once(" for ") else { return line.to_owned() };
            format!("{who} waits since TIME for {what}")
        })
        .collect()
    }

    /// When the journal has `what` about `who`, in nanoseconds.
    #[track_caller]
    pub fn times(&self, who: &str, what: &str) -> Vec<u64> {
        self.journalled(who, what).iter().map(|(time, _)| nanos(time)).collect()
    }

    /// Standard output as JSON, one object per line.
    ///
    /// # Panics
    /// A line is not JSON.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout().lines().map(parse).collect()
    }
}

/// `12.000000345` as nanoseconds.
fn nanos(seconds: &str) -> u64 {
    let (whole, fraction) = seconds.split_once('.').unwrap_or_else(|| panic!("not a time: {seconds:?}"));
    assert_eq!(fraction.len(), 9, "not nanoseconds: {seconds:?}");
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|error| panic!("{seconds:?}: {error}"));
    number(whole) * 1_000_000_000 + number(fraction)
}

/// Splits `pod/container | text`; other lines are wasmpod's own.
fn lines_by_prefix(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((who, said)) = line.split_once(" | ")
            && who.contains('/')
            && !who.contains(' ')
        {
            lines.entry(who.to_owned()).or_default().push(said.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_told_apart_by_container() {
        let text = "p/a | one\np/b | x | y\nwasmpod: p/a | no\np/a | two\np/a | \n";
        let lines = lines_by_prefix(text);
        assert_eq!(lines["p/a"], ["one", "two", ""]);
        assert_eq!(lines["p/b"], ["x | y"]);
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(nanos("10.000005296"), 10_000_005_296);
    }
}
