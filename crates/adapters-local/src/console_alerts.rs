//! Alerts for the person at the terminal.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use pixmill::alert::Alert;
use pixmill::error::BoxError;
use pixmill::ports::AlertSink;

/// An alert sink that writes each alert as a block of its own, such as closes a run:
///
/// ```text
///
/// ALERT (critical): 3 of 10 pictures were not made
///   3 rejected (the files themselves are the trouble), 0 failed (may work when run again).
/// ```
///
/// Control characters are shown as `\u{..}`, so that no file name can play with the terminal.
#[derive(Debug)]
pub struct ConsoleAlerts<W> {
    writer: Mutex<W>,
}

impl<W: Write + Send> ConsoleAlerts<W> {
    /// Alerts go to `writer`, most likely standard error.
    pub fn new(writer: W) -> Self {
        Self {
            writer: Mutex::new(writer),
        }
    }

    /// The writer again.
    pub fn into_inner(self) -> W {
        let writer = self.writer.into_inner();
        writer.unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl<W: Write + Send> AlertSink for ConsoleAlerts<W> {
    async fn send(&self, alert: &Alert) -> Result<(), BoxError> {
        let mut block = format!("\nALERT ({}): {}\n", alert.channel, plain(&alert.subject));
        for line in alert.body.split('\n') {
            let _ = writeln!(block, "  {}", plain(line));
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.write_all(block.as_bytes())?;
        Ok(writer.flush()?)
    }
}

/// The text with its control characters made visible.
fn plain(text: &str) -> String {
    text.chars().fold(String::new(), |mut plain, c| {
        if c.is_control() {
            plain.extend(c.escape_unicode());
        } else {
            plain.push(c);
        }
        plain
    })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use pixmill::alert::Channel;

    use super::*;

    #[test]
    fn an_alert_is_a_block_of_its_own_without_control_characters() {
        let alerts = ConsoleAlerts::new(Vec::new());
        let alert = Alert {
            channel: Channel::Critical,
            subject: "1 of 2\nmissing".to_owned(),
            body: "first\nsecond \u{1b}[2J".to_owned(),
        };
        let sent = alerts.send(&alert).now_or_never();
        sent.expect("it waits for nothing").expect("it was written");
        let text = String::from_utf8(alerts.into_inner()).expect("text");
        let expected = "\nALERT (critical): 1 of 2\\u{a}missing\n  first\n  second \\u{1b}[2J\n";
        assert_eq!(text, expected);
    }
}
