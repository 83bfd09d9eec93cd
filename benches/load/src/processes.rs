//! CPU time and memory of processes and their descendants, as /proc has them.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use nix::unistd::{SysconfVar, sysconf};
use serde_json::{Value, json};

/// One line of /proc/PID/stat, as far as it is needed.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time, of reaped children too, in clock ticks.
    ticks: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The name is in parentheses and may hold anything.
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let ticks = fields.get(11..15)?.iter().map(|field| field.parse().unwrap_or(0_u64)).sum();
        Some(Self { parent: fields[1].parse().ok()?, ticks })
    }
}

fn all() -> io::Result<HashMap<u32, Stat>> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended meanwhile.
        let Ok(line) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        all.extend(Stat::parse(&line).map(|stat| (pid, stat)));
    }
    Ok(all)
}

/// The processes and everything they started.
fn family(all: &HashMap<u32, Stat>, roots: &[u32]) -> io::Result<Vec<u32>> {
    if let Some(gone) = roots.iter().find(|pid| !all.contains_key(pid)) {
        return Err(io::Error::other(format!("no process {gone}")));
    }
    let mut found = roots.to_vec();
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        next += 1;
        let children =
            all.iter().filter(|(pid, stat)| stat.parent == parent && !roots.contains(pid));
        found.extend(children.map(|(pid, _)| *pid));
    }
    Ok(found)
}

fn tick() -> io::Result<Duration> {
    let hertz = sysconf(SysconfVar::CLK_TCK)?.unwrap_or(100);
    Ok(Duration::from_secs(1) / hertz as u32)
}

/// CPU time used so far.
pub struct Account {
    at: Instant,
    proxy: Duration,
    echo: Duration,
    load: Duration,
    /// Everything that ran on this machine.
    machine: Duration,
}

impl Account {
    pub fn take(proxy: &[u32], echo: Option<u32>) -> io::Result<Self> {
        let (all, tick) = (all()?, tick()?);
        let used = |roots: &[u32]| {
            let family = family(&all, roots)?;
            let ticks: u64 = family.iter().map(|pid| all[pid].ticks).sum();
            io::Result::Ok(tick * ticks as u32)
        };
        let echo: Vec<u32> = echo.into_iter().collect();
        Ok(Self {
            at: Instant::now(),
            proxy: used(proxy)?,
            echo: used(&echo)?,
            load: used(&[std::process::id()])?,
            machine: tick * busy(&fs::read_to_string("/proc/stat")?) as u32,
        })
    }

    pub fn until(&self, later: &Self) -> Used {
        Used {
            seconds: later.at.duration_since(self.at).as_secs_f64(),
            proxy: seconds(self.proxy, later.proxy),
            echo: seconds(self.echo, later.echo),
            load: seconds(self.load, later.load),
            machine: seconds(self.machine, later.machine),
        }
    }
}

/// A process that ended without being waited for takes its time with it, so it may look negative.
fn seconds(before: Duration, after: Duration) -> f64 {
    after.saturating_sub(before).as_secs_f64()
}

/// Ticks of /proc/stat that were neither idle nor waiting.
fn busy(stat: &str) -> u64 {
    let line = stat.lines().next().unwrap_or_default();
    let fields: Vec<u64> =
        line.split_ascii_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are in user already.
    fields
        .iter()
        .take(8)
        .enumerate()
        .filter(|(n, _)| !matches!(n, 3 | 4))
        .map(|(_, ticks)| ticks)
        .sum()
}

/// CPU seconds used in a window.
pub struct Used {
    pub seconds: f64,
    pub proxy: f64,
    echo: f64,
    load: f64,
    machine: f64,
}

impl Used {
    /// The proxy's microseconds for each of `count`.
    pub fn micros_each(&self, count: u64) -> f64 {
        if count == 0 { 0.0 } else { (self.proxy * 1e9 / count as f64).round() / 1e3 }
    }

    /// How many cores each kept busy; `others` is what nobody here accounts for.
    pub fn cores(&self) -> Value {
        let share = |used: f64| (used / self.seconds * 100.0).round() / 100.0;
        json!({
            "proxy": share(self.proxy),
            "echo": share(self.echo),
            "load": share(self.load),
            "others": share(self.machine - self.proxy - self.echo - self.load),
        })
    }
}

/// Resident bytes; pages shared among processes count in full in `rss`, in parts in `pss`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub rss: i64,
    pub pss: i64,
}

impl Memory {
    pub fn of(roots: &[u32]) -> io::Result<Self> {
        let mut sum = Self::default();
        for pid in family(&all()?, roots)? {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            sum.rss += kib(&rollup, "Rss:") * 1024;
            sum.pss += kib(&rollup, "Pss:") * 1024;
        }
        Ok(sum)
    }
}

fn kib(rollup: &str, name: &str) -> i64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_behind_its_name() {
        let line = "12 (a) b (c) S 7 12 12 0 -1 4194560 1 2 3 4 100 20 3 4 20 0 1 0 99 0 0";
        assert_eq!(Stat::parse(line), Some(Stat { parent: 7, ticks: 127 }));
        assert_eq!(Stat::parse("12 (a"), None);
    }

    #[test]
    fn descendants_belong_to_the_family() {
        let stat = |parent| Stat { parent, ticks: 0 };
        let all =
            HashMap::from([(1, stat(0)), (2, stat(1)), (3, stat(2)), (4, stat(1)), (5, stat(4))]);
        let mut found = family(&all, &[2, 4]).unwrap();
        found.sort_unstable();
        assert_eq!(found, [2, 3, 4, 5]);
        assert!(family(&all, &[9]).is_err());
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let own = std::process::id();
        let before = Account::take(&[own], None).unwrap();
        let begun = Instant::now();
        let used = loop {
            let used = before.until(&Account::take(&[own], None).unwrap());
            if used.proxy > 0.02 {
                break used;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no time is counted");
        };
        // Other tests run in this process, on every core.
        let cores = std::thread::available_parallelism().unwrap().get() as f64;
        assert!(used.proxy < used.seconds * cores + 0.1, "{} in {}", used.proxy, used.seconds);
        let memory = Memory::of(&[own]).unwrap();
        assert!(memory.pss > 100 << 10 && memory.rss >= memory.pss);
    }

    #[test]
    fn the_machine_is_busy_when_it_is_neither_idle_nor_waiting() {
        assert_eq!(busy("cpu  1 2 4 1000 2000 8 16 32 64 128\ncpu0 9 9 9\n"), 63);
        assert_eq!(kib("Rss:     12 kB\nPss:   7 kB\nPss_Dirty: 3 kB\n", "Pss:"), 7);
    }
}
