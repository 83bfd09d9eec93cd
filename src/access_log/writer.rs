//! The thread that makes and writes the lines, and the handles that feed it.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::file::ReopenableFile;
use super::format::{self, Event};
use super::record::{Also, Record, TunnelStats};
use crate::config::model::{self, LogFormat};
use crate::ending::Ending;

/// Lines that may wait for the disk; beyond it they are dropped and counted.
const QUEUE: usize = 65_536;
/// Bytes gathered before they are written, while more lines wait.
const BATCH: usize = 64 * 1024;
/// How long the end of the process waits for a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the thread is told.
#[derive(Debug)]
enum Task {
    Line(Log, Job),
    Reopen,
    Flush(SyncSender<()>),
}

/// A line to be made.
#[derive(Debug)]
enum Job {
    Request(Box<Record>),
    Open(Box<Record>),
    Close(Box<Record>, Ending, TunnelStats),
}

/// The open files. Logs of equal path share one.
type Targets = Mutex<HashMap<PathBuf, Weak<Mutex<Target>>>>;

/// A file and what waits to be written to it.
#[derive(Debug)]
struct Target {
    file: ReopenableFile,
    batch: Vec<u8>,
    lines: u64,
    /// The last write failed, and that has been said.
    failing: bool,
    /// The file ends in the middle of a line.
    torn: bool,
}

/// Told how many lines were lost.
type OnLoss = Arc<dyn Fn(u64) + Send + Sync>;

/// The thread, from outside. Lives as long as the process.
pub struct Writer {
    tasks: SyncSender<Task>,
    targets: Arc<Targets>,
    /// The files are to be opened again, and the queue had no room to say so: a disk hangs.
    reopen: Arc<AtomicBool>,
    lost: OnLoss,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("targets", &self.targets).finish_non_exhaustive()
    }
}

/// Where the records of a location go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Arc<Writer>,
    target: Arc<Mutex<Target>>,
    format: LogFormat,
    open: bool,
    zone: TimeZone,
}

impl Writer {
    /// Starts the thread. `lost` is told of lines that could not be written.
    pub fn start(lost: impl Fn(u64) + Send + Sync + 'static) -> io::Result<Arc<Self>> {
        let (tasks, receiver) = mpsc::sync_channel(QUEUE);
        let targets = Arc::<Targets>::default();
        let thread_targets = Arc::clone(&targets);
        let reopen = Arc::<AtomicBool>::default();
        let thread_reopen = Arc::clone(&reopen);
        let lost: OnLoss = Arc::new(lost);
        let thread_lost = Arc::clone(&lost);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || run(&receiver, &thread_targets, &thread_reopen, &*thread_lost))?;
        Ok(Arc::new(Self { tasks, targets, reopen, lost }))
    }

    /// A handle to the log of a location; opens the file now, so that a reload can fail.
    pub fn open(self: &Arc<Self>, log: &model::AccessLog) -> io::Result<Log> {
        let mut targets = lock(&self.targets);
        targets.retain(|_, target| target.strong_count() > 0);
        let target = if let Some(target) = targets.get(&log.path).and_then(Weak::upgrade) {
            target
        } else {
            let file = ReopenableFile::open(&log.path)?;
            let target = Target { file, batch: Vec::new(), lines: 0, failing: false, torn: false };
            let target = Arc::new(Mutex::new(target));
            targets.insert(log.path.clone(), Arc::downgrade(&target));
            target
        };
        let writer = Arc::clone(self);
        let zone = TimeZone::system();
        Ok(Log(Arc::new(Inner {
            writer,
            target,
            format: log.format.clone(),
            open: log.open,
            zone,
        })))
    }

    /// USR1: every file is opened again. Waits for nothing.
    pub fn reopen(&self) {
        if self.tasks.try_send(Task::Reopen).is_err() {
            self.reopen.store(true, Ordering::Release);
        }
    }

    /// Waits until everything queued so far is written, but not for a disk that hangs.
    pub fn flush(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        let tasks = self.tasks.clone();
        // The queue may be full: whoever waits for room in it ends with the process.
        let asked = std::thread::Builder::new().spawn(move || tasks.send(Task::Flush(done)));
        if asked.is_err() || wait.recv_timeout(PATIENCE).is_err() {
            tracing::error!("the access log is not written to its end");
        }
    }
}

impl Log {
    /// Writes a finished request.
    pub fn request(&self, mut record: Box<Record>) {
        for (log, line) in also(&mut record) {
            log.send(Job::Request(Box::new(Record { line, ..(*record).clone() })));
        }
        self.send(Job::Request(record));
    }

    /// Writes the line of a tunnel's opening, when the log asks for it.
    pub fn tunnel_opened(&self, record: &Record) {
        if self.0.open {
            self.send(Job::Open(Box::new(record.clone())));
        }
    }

    /// Writes the line of a tunnel that ended.
    pub fn tunnel_ended(&self, mut record: Box<Record>, ending: &Ending, stats: &TunnelStats) {
        for (log, line) in also(&mut record) {
            let record = Box::new(Record { line, ..(*record).clone() });
            log.send(Job::Close(record, *ending, *stats));
        }
        self.send(Job::Close(record, *ending, *stats));
    }

    fn send(&self, job: Job) {
        let writer = &self.0.writer;
        if writer.tasks.try_send(Task::Line(self.clone(), job)).is_err() {
            (writer.lost)(1);
        }
    }

    fn line(&self, job: &Job) -> String {
        let shape = match &self.0.format {
            LogFormat::Combined => format::combined,
            LogFormat::Json => format::json,
            LogFormat::Custom(_) => format::custom,
        };
        let (record, event) = match job {
            Job::Request(record) => (record, Event::Request),
            Job::Open(record) => (record, Event::Open),
            Job::Close(record, ending, stats) => (record, Event::Close(ending, stats)),
        };
        shape(record, event, &self.0.zone)
    }
}

/// More logs of a record.
fn also(record: &mut Record) -> Vec<Also> {
    record.also.take().map_or_else(Vec::new, |also| *also)
}

/// The thread: lines are gathered while more wait, and written when none does.
fn run(tasks: &Receiver<Task>, targets: &Targets, again: &AtomicBool, lost: &dyn Fn(u64)) {
    while let Ok(first) = tasks.recv() {
        let mut dirty: Vec<Arc<Mutex<Target>>> = Vec::new();
        let mut next = Some(first);
        while let Some(task) = next {
            let overdue = again.swap(false, Ordering::Acquire);
            if overdue || matches!(task, Task::Reopen) {
                write_out(&mut dirty, lost);
                reopen(targets);
            }
            match task {
                Task::Line(log, job) => add_line(&log, &job, &mut dirty, lost),
                Task::Reopen => {}
                Task::Flush(done) => {
                    write_out(&mut dirty, lost);
                    // Whoever asked may have stopped waiting.
                    let _gone = done.send(());
                }
            }
            next = tasks.try_recv().ok();
        }
        write_out(&mut dirty, lost);
    }
}

fn add_line(log: &Log, job: &Job, dirty: &mut Vec<Arc<Mutex<Target>>>, lost: &dyn Fn(u64)) {
    let line = log.line(job);
    let mut target = lock(&log.0.target);
    if target.batch.is_empty() {
        dirty.push(Arc::clone(&log.0.target));
    }
    target.batch.extend_from_slice(line.as_bytes());
    target.lines += 1;
    if target.batch.len() >= BATCH {
        target.write_out(lost);
        dirty.retain(|other| !Arc::ptr_eq(other, &log.0.target));
    }
}

fn write_out(dirty: &mut Vec<Arc<Mutex<Target>>>, lost: &dyn Fn(u64)) {
    for target in dirty.drain(..) {
        lock(&target).write_out(lost);
    }
}

fn reopen(targets: &Targets) {
    let open: Vec<_> = lock(targets).values().filter_map(Weak::upgrade).collect();
    for target in open {
        let mut target = lock(&target);
        if let Err(error) = target.file.reopen() {
            let path = target.file.path().display();
            tracing::error!("the access log cannot be opened again: {path}: {error}");
        } else if target.file.is_empty() {
            target.torn = false;
        }
    }
}

impl Target {
    fn write_out(&mut self, lost: &dyn Fn(u64)) {
        let lines = std::mem::take(&mut self.lines);
        let batch = std::mem::take(&mut self.batch);
        let (written, result) = self.write(&batch);
        if written > 0 {
            self.torn = batch[written - 1] != b'\n';
        }
        match result {
            Ok(()) => self.failing = false,
            Err(error) => {
                let whole = batch[..written].split(|byte| *byte == b'\n').count() - 1;
                lost(lines.saturating_sub(whole as u64));
                if !std::mem::replace(&mut self.failing, true) {
                    let path = self.file.path().display();
                    tracing::error!("the access log cannot be written: {path}: {error}");
                }
            }
        }
    }

    /// Writes lines behind what is there; a line that a full disk has torn is ended first. Gives
    /// back how far it came.
    fn write(&mut self, batch: &[u8]) -> (usize, io::Result<()>) {
        if self.torn && !batch.is_empty() {
            match self.file.write_all(b"\n") {
                Ok(()) => self.torn = false,
                Err(error) => return (0, Err(error)),
            }
        }
        let mut written = 0;
        while written < batch.len() {
            match self.file.write(&batch[written..]) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn setup(name: &str) -> (tempfile::TempDir, Arc<Writer>, Log, Arc<AtomicU64>) {
        let folder = tempfile::tempdir().unwrap();
        let lost = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&lost);
        let writer = Writer::start(move |lines| {
            counter.fetch_add(lines, Ordering::Relaxed);
        });
        let writer = writer.unwrap();
        let path = if name.starts_with('/') { name.into() } else { folder.path().join(name) };
        let config =
            model::AccessLog { path, format: LogFormat::Json, open: false, condition: None };
        let log = writer.open(&config).unwrap();
        (folder, writer, log, lost)
    }

    fn lines(folder: &tempfile::TempDir, name: &str) -> usize {
        std::fs::read_to_string(folder.path().join(name)).unwrap().lines().count()
    }

    #[test]
    fn a_rotated_file_is_opened_again() {
        let (folder, writer, log, _) = setup("a.log");
        for _ in 0..500 {
            log.request(Box::default());
        }
        writer.flush();
        assert_eq!(lines(&folder, "a.log"), 500);
        std::fs::rename(folder.path().join("a.log"), folder.path().join("a.log.1")).unwrap();
        log.request(Box::default());
        writer.reopen();
        log.request(Box::default());
        writer.flush();
        assert_eq!((lines(&folder, "a.log.1"), lines(&folder, "a.log")), (501, 1));
    }

    #[test]
    fn a_full_disk_costs_lines_and_nothing_else() {
        let (_folder, writer, log, lost) = setup("/dev/full");
        for _ in 0..3 {
            log.request(Box::default());
            writer.flush();
        }
        assert_eq!(lost.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn logs_of_one_path_share_the_file_and_openings_are_an_option() {
        let (folder, writer, log, _) = setup("a.log");
        log.tunnel_opened(&Record::default());
        let path = folder.path().join("a.log");
        let config =
            model::AccessLog { path, format: LogFormat::Combined, open: true, condition: None };
        let other = writer.open(&config).unwrap();
        assert!(Arc::ptr_eq(&log.0.target, &other.0.target));
        other.tunnel_opened(&Record::default());
        writer.flush();
        assert_eq!(lines(&folder, "a.log"), 1);
    }
}
