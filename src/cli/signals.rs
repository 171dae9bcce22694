//! SIGINT and SIGTERM: the first stops the daemon in order, a later one at once. SIGHUP: the settings are read anew.
//!
//! A terminal that closes sends SIGHUP, too. Whose terminal has gone wants a stop in order and no reload; a process that was told
//! to ignore the signal, as by `nohup`, goes on ignoring it.
//!
//! Invariant: signals within a second of the first one repeat the same wish. `timeout` tells a process and then its
//! group, and a key is easily hit twice; neither wants to lose a checkpoint.

use std::{fs::File, io, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
    time::Instant,
};

const REPEAT_WINDOW: Duration = Duration::from_secs(1);

/// Listens to signals. The future resolves at the first that wants a stop; one that comes over a second later ends the process.
/// The channel has a wish for each reload, of which several may be one.
pub(super) fn listen() -> io::Result<(impl Future<Output = ()> + Send, mpsc::Receiver<()>)> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
    let had_terminal = has_terminal();
    let (told, stop) = oneshot::channel();
    let (heard, signals) = mpsc::channel(1);
    let (wish, wishes) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = received(&mut hangup) => if !had_terminal || has_terminal() {
                    // One that waits will read the newest settings.
                    let _ = wish.try_send(());
                    continue;
                },
            }
            if heard.send(()).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        if insisted(signals, told).await {
            tracing::warn!(event = "killed", "second signal: stopping at once, without a checkpoint");
            #[expect(clippy::disallowed_methods, reason = "told twice: now, whatever is lost")]
            std::process::exit(130);
        }
    });
    let stop = async move {
        // A dropped sender means the same: no signal can come any more.
        let _ = stop.await;
    };
    Ok((stop, wishes))
}

async fn received(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

/// Returns true if this process has a terminal that can send it signals; the kernel takes away one that has closed.
fn has_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Returns true if whoever started this process had it ignore SIGHUP, as Linux tells.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Its signals are bits, of which SIGHUP is the first.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// Passes the first signal on, and returns at one that is a wish of its own; `false` where none can come any more.
async fn insisted(mut signals: mpsc::Receiver<()>, told: oneshot::Sender<()>) -> bool {
    if signals.recv().await.is_none() {
        return false;
    }
    let first = Instant::now();
    // The daemon may have ended by itself.
    let _ = told.send(());
    while signals.recv().await.is_some() {
        if first.elapsed() >= REPEAT_WINDOW {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn signals_within_a_second_of_the_first_are_one_and_a_later_one_ends_it() {
        let ((heard, signals), (told, mut stop)) = (mpsc::channel(1), oneshot::channel());
        let mut insisted = Box::pin(insisted(signals, told));
        assert!(poll!(&mut insisted).is_pending() && stop.try_recv().is_err());
        for wait in [0, 0, 400, 599] {
            advance(Duration::from_millis(wait)).await;
            heard.send(()).await.expect("somebody listens");
            assert!(poll!(&mut insisted).is_pending(), "after {wait} ms");
        }
        assert_eq!(stop.try_recv(), Ok(()));
        advance(Duration::from_millis(1)).await;
        heard.send(()).await.expect("somebody listens");
        assert_eq!(poll!(&mut insisted), Poll::Ready(true));
    }
}
