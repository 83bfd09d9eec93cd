//! The handles that feed the thread which writes.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use jiff::tz::TimeZone;

use super::format::{self, Event};
use super::record::{Also, Record, TunnelStats};
use super::target::{Shared, Target, lock};
use super::thread::{Files, Thread};
use super::told::Told;
use crate::config::model::{self, LogFormat, LogPath};
use crate::ending::Ending;

/// Lines that may wait for the disk; beyond it they are dropped and counted.
const QUEUE: usize = 65_536;
/// How long the end of the process waits for a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Task {
    Line(Log, Job),
    Reopen,
    Flush(SyncSender<()>),
}

/// A line to be made.
#[derive(Debug)]
pub(super) enum Job {
    Request(Box<Record>),
    Open(Box<Record>),
    Close(Box<Record>, Ending, TunnelStats),
}

/// Told how many lines were lost.
type OnLoss = Arc<dyn Fn(u64) + Send + Sync>;

/// The thread, from outside. Lives as long as the process.
pub struct Writer {
    tasks: SyncSender<Task>,
    files: Arc<Mutex<Files>>,
    /// The files are to be opened again, and the queue had no room to say so: a disk hangs.
    reopen: Arc<AtomicBool>,
    lost: OnLoss,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Where the records of a location go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Arc<Writer>,
    place: Place,
    format: LogFormat,
    open: bool,
    zone: TimeZone,
}

/// Where the lines of a log go.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// To this file.
    File(Shared),
    /// To the one that has this name, once it is known.
    Told(Arc<Mutex<Told>>, Option<PathBuf>),
}

impl Writer {
    /// Starts the thread. `lost` is told of lines that could not be written.
    pub fn start(lost: impl Fn(u64) + Send + Sync + 'static) -> io::Result<Arc<Self>> {
        let (tasks, receiver) = mpsc::sync_channel(QUEUE);
        let files = Arc::<Mutex<Files>>::default();
        let thread_files = Arc::clone(&files);
        let reopen = Arc::<AtomicBool>::default();
        let thread_reopen = Arc::clone(&reopen);
        let lost: OnLoss = Arc::new(lost);
        let thread_lost = Arc::clone(&lost);
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            let (files, again, lost) = (&thread_files, &thread_reopen, &*thread_lost);
            Thread { files, again, lost, dirty: Vec::new() }.run(&receiver);
        })?;
        Ok(Arc::new(Self { tasks, files, reopen, lost }))
    }

    /// A handle to the log of a location; opens the file now, so that a reload can fail.
    pub fn open(self: &Arc<Self>, log: &model::AccessLog) -> io::Result<Log> {
        let mut files = lock(&self.files);
        files.fixed.retain(|_, target| target.strong_count() > 0);
        files.told.retain(|told| told.strong_count() > 0);
        let place = match &log.path {
            LogPath::File(path) => match files.fixed.get(path).and_then(Weak::upgrade) {
                Some(target) => Place::File(target),
                None => {
                    let target = Arc::new(Mutex::new(Target::open(path, log.buffer)?));
                    files.fixed.insert(path.clone(), Arc::downgrade(&target));
                    Place::File(target)
                }
            },
            LogPath::Told(_, cache) => {
                let told = Arc::new(Mutex::new(Told::new(*cache)));
                files.told.push(Arc::downgrade(&told));
                Place::Told(told, None)
            }
        };
        let (writer, zone) = (Arc::clone(self), TimeZone::system());
        let (format, open) = (log.format.clone(), log.open);
        Ok(Log(Arc::new(Inner { writer, place, format, open, zone })))
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
    /// The log with the file of this name, where variables tell that. One whose name climbs out of its
    /// folder writes nothing.
    #[must_use]
    pub fn at(&self, path: &str) -> Self {
        let Place::Told(files, _) = &self.0.place else {
            return self.clone();
        };
        let climbs = path.contains('\0') || path.split('/').any(|segment| segment == "..");
        if climbs {
            (self.0.writer.lost)(1);
            tracing::error!("the name of an access log climbs out of its folder: {path:?}");
        }
        let path = (!climbs).then(|| PathBuf::from(path));
        let Inner { writer, place: _, format, open, zone } = &*self.0;
        Self(Arc::new(Inner {
            writer: Arc::clone(writer),
            place: Place::Told(Arc::clone(files), path),
            format: format.clone(),
            open: *open,
            zone: zone.clone(),
        }))
    }

    pub(super) fn place(&self) -> &Place {
        &self.0.place
    }

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

    pub(super) fn line(&self, job: &Job) -> String {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn config(path: PathBuf, format: LogFormat, open: bool) -> model::AccessLog {
        let path = LogPath::File(path);
        model::AccessLog { path, buffer: None, format, open, condition: None }
    }

    fn setup(name: &str) -> (tempfile::TempDir, Arc<Writer>, Log, Arc<AtomicU64>) {
        let folder = tempfile::tempdir().unwrap();
        let lost = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&lost);
        let writer = Writer::start(move |lines| {
            counter.fetch_add(lines, Ordering::Relaxed);
        });
        let writer = writer.unwrap();
        let path = if name.starts_with('/') { name.into() } else { folder.path().join(name) };
        let config = config(path, LogFormat::Json, false);
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
        let config = config(path, LogFormat::Combined, true);
        let other = writer.open(&config).unwrap();

        other.tunnel_opened(&Record::default());
        writer.flush();
        assert_eq!(lines(&folder, "a.log"), 1);
    }
}
