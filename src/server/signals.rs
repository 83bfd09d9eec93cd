//! The main loop: signals, changed files, and the end.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::News;
use super::stop::Stopping;
use super::watch::Watch;
use super::{NOTICE, Process};

/// nginx's signals.
pub(super) struct Signals {
    hangup: Option<Signal>,
    reopen: Option<Signal>,
    quit: Option<Signal>,
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    winch: Option<Signal>,
}

/// What the process is told.
#[derive(Debug)]
enum Told {
    Reload,
    Reopen,
    Quit,
    Fast,
    Terminate,
    StopAccepting,
    FilesChanged,
    News(News),
    Tick,
}

impl Signals {
    /// From now on no signal ends the process by itself.
    pub(super) fn new() -> Self {
        let on = |kind| signal(kind).inspect_err(|e| tracing::error!("a signal is deaf: {e}")).ok();
        Self {
            hangup: on(SignalKind::hangup()),
            reopen: on(SignalKind::user_defined1()),
            quit: on(SignalKind::quit()),
            interrupt: on(SignalKind::interrupt()),
            terminate: on(SignalKind::terminate()),
            winch: on(SignalKind::window_change()),
        }
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            () = heard(&mut self.hangup) => Told::Reload,
            () = heard(&mut self.reopen) => Told::Reopen,
            () = heard(&mut self.quit) => Told::Quit,
            () = heard(&mut self.interrupt) => Told::Fast,
            () = heard(&mut self.terminate) => Told::Terminate,
            () = heard(&mut self.winch) => Told::StopAccepting,
        }
    }
}

async fn heard(signal: &mut Option<Signal>) {
    let received = match signal {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if received.is_none() {
        pending::<()>().await;
    }
}

async fn files_changed(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => pending().await,
    }
}

impl Process {
    /// Runs until there is nothing left to do.
    pub(super) async fn serve(&mut self, mut signals: Signals) {
        let mut stopping: Option<Stopping> = None;
        loop {
            let ticks = stopping.is_some();
            let told = tokio::select! {
                told = signals.next() => told,
                () = files_changed(&mut self.watch) => Told::FilesChanged,
                news = self.coming.news() => Told::News(news),
                () = tokio::time::sleep(super::stop::STEP), if ticks => Told::Tick,
            };
            match told {
                Told::Reload if stopping.is_none() => self.reload(),
                Told::FilesChanged if stopping.is_none() => self.files_changed(),
                Told::News(News::Settled) if stopping.is_none() => self.look_at_files(),
                Told::News(News::Read(loaded)) if stopping.is_none() => self.take_over(*loaded),
                Told::Reopen => {
                    self.error_log.reopen();
                    self.shared.log_writer.reopen();
                }
                Told::StopAccepting => self.listeners.close_services(),
                Told::Quit if stopping.is_none() => stopping = Some(self.stop_gracefully()),
                Told::Terminate if stopping.is_none() => stopping = Some(self.drain()),
                Told::Fast | Told::Terminate | Told::Quit => break,
                // While stopping, a new configuration comes too late.
                Told::Reload | Told::FilesChanged | Told::News(_) | Told::Tick => {}
            }
            if let Some(stopping) = &mut stopping
                && self.is_done(stopping)
            {
                break;
            }
        }
        tracing::info!(target: NOTICE, "wayhold stops");
        self.finish();
    }
}
