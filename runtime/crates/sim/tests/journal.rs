//! The journal's lines: one event each, escaped, the same for the same run; its errors.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;
use wasmpod_sim::Sim;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).expect("the journal is UTF-8")
    }
}

#[test]
fn a_line_is_time_subject_and_what() {
    let (sim, sink) = (Sim::new_virtual(1), Sink::default());
    sim.journal().event("default/web", format_args!("nobody listens yet"));
    assert!(!sim.journal().is_on());
    sim.journal().set_sink(Box::new(sink.clone()));
    assert!(sim.journal().is_on());
    sim.block_on(sim.clock().sleep(Duration::from_millis(1_250))).expect("time passes");
    sim.journal().event("default/web", format_args!("started {}", "app"));
    sim.journal().event("a\nb", format_args!("two\nlines\r\\ and \x1b[31mred ünïcode"));
    sim.journal().finish().expect("no error");
    assert!(!sim.journal().is_on());
    sim.journal().event("default/web", format_args!("after the end"));
    let expected = "1.250000000 default/web started app\n\
                    1.250000000 a\\nb two\\nlines\\r\\\\ and \\u{1b}[31mred ünïcode\n";
    assert_eq!(sink.text(), expected);
}

#[test]
fn the_first_write_error_is_returned_at_the_end() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += 1;
            assert_eq!(self.0, 1, "written to again after an error");
            Err(std::io::Error::other(format!("no room for {}", bytes.len())))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sim = Sim::new_virtual(1);
    sim.journal().set_sink(Box::new(Full(0)));
    sim.journal().event("a", format_args!("b"));
    sim.journal().event("a", format_args!("b"));
    assert_eq!(sim.journal().finish().expect_err("kept").to_string(), "no room for 16");
    sim.journal().finish().expect("no sink, no error");
}

proptest! {
    #[test]
    fn whatever_is_said_a_line_is_one_event(texts in prop::collection::vec((any::<String>(), any::<String>()), 0..10)) {
        let (sim, sink) = (Sim::new_virtual(1), Sink::default());
        sim.journal().set_sink(Box::new(sink.clone()));
        for (subject, what) in &texts {
            sim.journal().event(subject, format_args!("{what}"));
        }
        let text = sink.text();
        prop_assert_eq!(text.lines().count(), texts.len());
        prop_assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()));
    }
}
