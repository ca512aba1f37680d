//! Progress as plain lines, every few seconds: for logs and CI.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::clock::Clock;
use crate::base::progress::Progress;
use crate::base::units::count;

/// Pause between two lines of one task, in microseconds.
const PAUSE_US: i64 = 5_000_000;

/// Where a line goes.
type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// Writes a line a task every five seconds, and one when it is over.
pub struct Lines {
    clock: Arc<dyn Clock>,
    pause_us: i64,
    tasks: Mutex<BTreeMap<String, Task>>,
    sink: Sink,
}

struct Task {
    done: u64,
    total: Option<u64>,
    begun_us: i64,
    said_us: i64,
    words: String,
}

impl Lines {
    /// Lines to `sink`, timed by `clock`.
    pub fn new(clock: Arc<dyn Clock>, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { clock, pause_us: PAUSE_US, tasks: Mutex::default(), sink: Box::new(sink) }
    }

    /// The same, but of a task only the line when it is over.
    pub fn at_ends(clock: Arc<dyn Clock>, sink: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { pause_us: i64::MAX, ..Self::new(clock, sink) }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, Task>> {
        // A panic elsewhere leaves a map that is still whole.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Task {
    /// Units a second since the task began.
    fn rate(&self, now_us: i64) -> f64 {
        let seconds = (now_us - self.begun_us).max(1) as f64 / 1e6;
        self.done as f64 / seconds
    }

    fn line(&self, name: &str, now_us: i64) -> String {
        let rate = self.rate(now_us);
        let line = match self.total.filter(|total| *total > 0) {
            Some(total) => {
                let percent = self.done.saturating_mul(100) / total;
                let left = total.saturating_sub(self.done) as f64 / rate.max(f64::MIN_POSITIVE);
                format!(
                    "{name}: {} of {} ({percent} %), {rate:.0}/s, {} left",
                    count(self.done),
                    count(total),
                    duration(left)
                )
            }
            None => format!("{name}: {}, {rate:.0}/s", count(self.done)),
        };
        if self.words.is_empty() { line } else { format!("{line}; {}", self.words) }
    }

    fn last_line(&self, name: &str, now_us: i64) -> String {
        let seconds = (now_us - self.begun_us).max(0) as f64 / 1e6;
        format!("{name}: {} in {}, {:.0}/s", count(self.done), duration(seconds), self.rate(now_us))
    }
}

/// `45 s`, `3 min 20 s`, `2 h 5 min`.
fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds > 360_000.0 {
        return "more than 100 h".to_owned();
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let minutes = (seconds / 60.0).floor();
    if minutes < 1.0 {
        format!("{seconds:.0} s")
    } else if minutes < 60.0 {
        format!("{minutes:.0} min {:.0} s", (seconds - minutes * 60.0).floor())
    } else {
        let hours = (minutes / 60.0).floor();
        format!("{hours:.0} h {:.0} min", minutes - hours * 60.0)
    }
}

impl Progress for Lines {
    fn begin(&self, task: &str, total: Option<u64>) {
        let now_us = self.clock.now_us();
        let fresh =
            Task { done: 0, total, begun_us: now_us, said_us: now_us, words: String::new() };
        self.tasks().insert(task.to_owned(), fresh);
    }

    fn advance(&self, task: &str, done: u64) {
        let now_us = self.clock.now_us();
        let line = {
            let mut tasks = self.tasks();
            let Some(state) = tasks.get_mut(task) else { return };
            state.done += done;
            if now_us - state.said_us < self.pause_us {
                return;
            }
            state.said_us = now_us;
            state.line(task, now_us)
        };
        (self.sink)(&line);
    }

    fn status(&self, task: &str, words: &str) {
        if let Some(state) = self.tasks().get_mut(task) {
            words.clone_into(&mut state.words);
        }
    }

    fn end(&self, task: &str) {
        let now_us = self.clock.now_us();
        let task_state = self.tasks().remove(task);
        if let Some(state) = task_state {
            (self.sink)(&state.last_line(task, now_us));
        }
    }

    fn note(&self, line: &str) {
        (self.sink)(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::TestClock;

    #[test]
    fn a_line_every_five_seconds_and_one_at_the_end() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = said.clone();
        // Each look at the clock is a second.
        let lines = Lines::new(Arc::new(TestClock::default()), move |line| {
            kept.lock().unwrap().push(line.to_owned());
        });
        lines.begin("images", Some(2000));
        for _ in 0..6 {
            lines.advance("images", 100);
        }
        lines.note("a note");
        lines.end("images");
        assert_eq!(
            *said.lock().unwrap(),
            [
                "images: 500 of 2,000 (25 %), 100/s, 15 s left",
                "a note",
                "images: 600 in 7.0 s, 86/s",
            ]
        );
    }

    #[test]
    fn a_log_has_the_notes_and_the_ends() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let kept = said.clone();
        let lines = Lines::at_ends(Arc::new(TestClock::default()), move |line| {
            kept.lock().unwrap().push(line.to_owned());
        });
        lines.begin("images", Some(2000));
        for _ in 0..60 {
            lines.advance("images", 10);
        }
        lines.note("a note");
        lines.end("images");
        assert_eq!(*said.lock().unwrap(), ["a note", "images: 600 in 1 min 1 s, 10/s"]);
    }

    #[test]
    fn durations_as_people_say_them() {
        assert_eq!(duration(1.25), "1.2 s");
        assert_eq!(duration(59.0), "59 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
        assert_eq!(duration(f64::INFINITY), "more than 100 h");
    }
}
