//! `tensorflow.Event` and what it holds, as protocol buffers
//! (`tensorflow/core/util/event.proto`, `framework/summary.proto`, `framework/tensor.proto`).

use super::wire::Message;

/// One event at a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The first of every file.
    FileVersion,
    /// What was written at this step or later by an earlier file is void.
    Restart,
    /// A number.
    Scalar {
        /// Its name.
        tag: &'a str,
        /// The number.
        value: f32,
    },
    /// Markdown.
    Text {
        /// Its name.
        tag: &'a str,
        /// The text.
        text: &'a str,
    },
}

/// `DT_STRING`
const STRING: u64 = 7;

impl Event<'_> {
    /// The message, of an event at `step` at `time_us` microseconds since 1970.
    #[must_use]
    pub(super) fn encode(&self, step: u64, time_us: i64) -> Vec<u8> {
        #[expect(clippy::cast_precision_loss, reason = "a time to the microsecond")]
        let seconds = time_us as f64 / 1e6;
        let mut event = Message::default();
        event.double(1, seconds);
        event.integer(2, step);
        match self {
            Self::FileVersion => event.bytes(3, b"brain.Event:2"),
            Self::Restart => {
                let mut log = Message::default();
                log.integer(1, 1); // START
                event.bytes(7, &log.0);
            }
            Self::Scalar { tag, value } => {
                let mut one = Message::default();
                one.bytes(1, tag.as_bytes());
                one.float(2, *value);
                event.bytes(5, &summary(&one));
            }
            Self::Text { tag, text } => {
                let mut plugin = Message::default();
                plugin.bytes(1, b"text");
                let mut metadata = Message::default();
                metadata.bytes(1, &plugin.0);
                let mut dimension = Message::default();
                dimension.integer(1, 1);
                let mut shape = Message::default();
                shape.bytes(2, &dimension.0);
                let mut tensor = Message::default();
                tensor.integer(1, STRING);
                tensor.bytes(2, &shape.0);
                tensor.bytes(8, text.as_bytes());
                let mut one = Message::default();
                one.bytes(1, tag.as_bytes());
                one.bytes(9, &metadata.0);
                one.bytes(8, &tensor.0);
                event.bytes(5, &summary(&one));
            }
        }
        event.0
    }
}

/// `Summary` of one value.
fn summary(value: &Message) -> Vec<u8> {
    let mut summary = Message::default();
    summary.bytes(1, &value.0);
    summary.0
}
