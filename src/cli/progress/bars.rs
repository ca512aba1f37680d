//! Bars, with rate and time left.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{HumanFloatCount, ProgressBar, ProgressState, ProgressStyle};

use crate::base::progress::Progress;
use crate::cli::console;

use super::Screen;

/// Draws one bar a task.
#[derive(Debug)]
pub struct Bars {
    screen: Screen,
    tasks: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    /// Bars on `screen`.
    #[must_use]
    pub fn new(screen: Screen) -> Self {
        Self { screen, tasks: Mutex::default() }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, ProgressBar>> {
        // A panic elsewhere leaves a map that is still whole.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// indicatif reads the template at run time; a wrong one costs the looks, never the run.
fn style(known: bool) -> ProgressStyle {
    let template = if known {
        "{prefix:>18} {bar:32.cyan/dim} {human_pos}/{human_len}  {rate}  {eta} left  {msg}"
    } else {
        "{prefix:>18} {spinner} {human_pos}  {rate}"
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_wrong| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, to: &mut dyn fmt::Write| {
            let rate = state.per_sec();
            let _ = match rate {
                ..10.0 => write!(to, "{rate:.1}/s"),
                _ => write!(to, "{}/s", HumanFloatCount(rate.round())),
            };
        })
        .progress_chars("━╸─")
}

impl Progress for Bars {
    fn begin(&self, task: &str, total: Option<u64>) {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        bar.set_style(style(total.is_some()));
        bar.set_prefix(task.to_owned());
        let bar = self.screen.bars().add(bar);
        bar.enable_steady_tick(Duration::from_millis(200));
        if let Some(old) = self.tasks().insert(task.to_owned(), bar) {
            old.finish_and_clear();
        }
    }

    fn advance(&self, task: &str, done: u64) {
        if let Some(bar) = self.tasks().get(task) {
            bar.inc(done);
        }
    }

    fn status(&self, task: &str, words: &str) {
        if let Some(bar) = self.tasks().get(task) {
            bar.set_message(words.to_owned());
        }
    }

    fn end(&self, task: &str) {
        let bar = self.tasks().remove(task);
        if let Some(bar) = bar {
            bar.finish();
        }
    }

    fn note(&self, line: &str) {
        self.screen.aside(|| console::complain(line));
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // Bars of work that failed stay where they are: they say how far it came.
        for bar in self.tasks().values() {
            bar.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_read() {
        for template in [true, false] {
            let bar = ProgressBar::hidden();
            bar.set_style(style(template));
        }
        assert!(ProgressStyle::with_template("{prefix:>18} {bar:32.cyan/dim}").is_ok());
    }

    #[test]
    fn tasks_count_on_their_own() {
        let bars = Bars::new(Screen::new(false));
        bars.begin("images", Some(10));
        bars.begin("captions", None);
        bars.advance("images", 3);
        bars.advance("captions", 5);
        bars.advance("nobody", 1);
        assert_eq!(bars.tasks()["images"].position(), 3);
        assert_eq!(bars.tasks()["captions"].position(), 5);
        bars.end("images");
        assert!(!bars.tasks().contains_key("images"));
    }
}
