//! The corpus of hostile bytes (`*.toml` here), played against Wayhold twice: as it comes, and with
//! `validate`. Every case has a proxy address and an upstream of its own while it runs, so they
//! run side by side, and those that wait for a timeout do not hold up the others.
//!
//! `peers` plays the same against other proxies, by the two variables below.

mod case;
mod echo;
mod invariants;
mod judge;
mod keys;
mod player;
mod recorder;
mod script;
mod tls;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::case::Case;
use self::judge::Verdict;
use self::player::{Played, Slot};
use self::recorder::Recorder;
use self::script::Script;
use super::support::certs::Authority;
use super::support::proxy::Proxy;

/// Cases at once.
const SLOTS: u8 = 24;
/// So many slots of another proxy are ready: the `i`th from 1 listens on 127.7.0.i, and looks for its
/// upstream there, at [`PEER_PORTS`].
const PEER_SLOTS: &str = "WAYHOLD_HOSTILE_SLOTS";
/// Plain, TLS, PROXY protocol, upstream.
const PEER_PORTS: [u16; 4] = [21011, 21451, 21101, 21901];
/// A file for the results: a line for each case, with its group, level, id, verdict, title and faults.
const RESULTS: &str = "WAYHOLD_HOSTILE_RESULTS";

/// More late cases than this are no accident.
const LATE: usize = 8;

/// What the corpus counts on: a head in 5 s, a tunnel or an answer in 6 s, an idle connection 10 s.
const CLOCKS: &str = "client_header_timeout = \"5s\"\nclient_body_timeout = \"6s\"\n\
    keepalive_timeout = \"10s\"\nproxy_read_timeout = \"6s\"\n";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_it_comes() {
    if let Some(slots) = std::env::var(PEER_SLOTS).ok().and_then(|count| count.parse().ok()) {
        return another_proxy(slots).await;
    }
    play_all("", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_validate() {
    if std::env::var_os(PEER_SLOTS).is_none() {
        play_all("validate = true\nmax_frame_size = \"16m\"\n", true).await;
    }
}

/// Plays every case against Wayhold; all must come out as expected.
async fn play_all(websocket: &str, validating: bool) {
    let folder = Proxy::folder();
    let slots: Vec<Slot> = (1..=SLOTS).map(|i| slot(validating, i)).collect();
    let config = config(&folder, &slots, websocket);
    let proxy = Proxy::start_in(folder, &config).await;
    let results = play_cases(case::load(&self::folder(), validating), slots).await;
    report(&results);
    assert!(results.len() > 300, "where is the corpus? {} cases", results.len());
    let failed: Vec<&(Case, Verdict)> = results.iter().filter(|(_, v)| !v.is_good()).collect();
    let mut text = String::new();
    for (case, verdict) in &failed {
        let Case { id, level, title, .. } = case;
        let (faults, seen) = (verdict.faults("\n    "), &verdict.seen);
        write!(text, "\n{level} {id}: {title}\n    {faults}\n    seen: {seen}\n").unwrap();
    }
    assert!(failed.is_empty(), "{} of {} cases:\n{text}", failed.len(), results.len());
    let panicked = proxy.stderr().contains("panicked");
    assert!(!panicked, "{}", proxy.stderr());
}

/// Plays the cases that other proxies can be held to, for the record.
async fn another_proxy(count: u8) {
    let addr = |i, port| SocketAddr::from(([127, 7, 0, i], port));
    let [plain, tls, proxy_protocol, recorder] = PEER_PORTS;
    let slots = (1..=count).map(|i| Slot {
        plain: addr(i, plain),
        tls: addr(i, tls),
        proxy_protocol: addr(i, proxy_protocol),
        recorder: addr(i, recorder),
    });
    let mut cases = case::load(&folder(), false);
    cases.retain(|case| !case.needs_frames);
    report(&play_cases(cases, slots.collect()).await);
}

/// Each mode has a network of its own: 127.x.77.i.
fn slot(validating: bool, i: u8) -> Slot {
    let net = (std::process::id() % 100 * 2) as u8 + 20 + u8::from(validating);
    let addr = |port| SocketAddr::from(([127, net, 77, i], port));
    Slot { plain: addr(8011), tls: addr(8451), proxy_protocol: addr(8101), recorder: addr(9101) }
}

fn config(folder: &tempfile::TempDir, slots: &[Slot], websocket: &str) -> String {
    let leaf = Authority::new(folder.path()).leaf("site", &["localhost", wire::HOST]);
    let mut config = format!(
        "{CLOCKS}ssl_certificate = {:?}\nssl_certificate_key = {:?}\n[websocket]\n{websocket}",
        leaf.certificate, leaf.key
    );
    for Slot { plain, tls, proxy_protocol, recorder } in slots {
        write!(
            config,
            "[[server]]\nlisten = [\"{plain}\", \"{tls} ssl\"]\n\
             [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{recorder}\"\n\
             [[server.location]]\npath = \"/acl/\"\nproxy_pass = \"http://{recorder}\"\n\
             [server.location.websocket]\nallowed_origins = [\"https://app.example\"]\n\
             [[server]]\nlisten = \"{proxy_protocol} proxy_protocol\"\n\
             [[server.location]]\npath = \"/\"\nproxy_pass = \"http://{recorder}\"\n"
        )
        .unwrap();
    }
    config
}

/// Plays the cases, as many at once as there are slots; the order is that of the ids. Those that lack
/// something are played once more when all is quiet: a busy machine is late, and many cases at
/// once make it one.
async fn play_cases(cases: Vec<Case>, slots: Vec<Slot>) -> Vec<(Case, Verdict)> {
    let scripts = Arc::new(script::load(&folder()));
    // Those that wait go first.
    let (slow, quick): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| matches!(case.group.as_str(), "slow" | "tls" | "pp"));
    let queue: VecDeque<Case> = slow.into_iter().chain(quick).collect();
    let queue = Arc::new(Mutex::new(queue));
    let first = slots[0];
    let players: Vec<_> = slots
        .into_iter()
        .map(|slot| tokio::spawn(play_some(slot, Arc::clone(&queue), Arc::clone(&scripts))))
        .collect();
    let mut results = Vec::new();
    for player in players {
        results.extend(player.await.unwrap());
    }
    let is_late = |verdict: &Verdict| verdict.wrong.is_empty() && !verdict.is_good();
    let (late, mut results): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, v)| is_late(v));
    if late.len() > LATE {
        results.extend(late);
    } else {
        let again = late.into_iter().map(|(case, verdict)| {
            eprintln!("once more: {}: {}", case.id, verdict.faults("; "));
            case
        });
        let queue = Arc::new(Mutex::new(again.collect()));
        results.extend(play_some(first, queue, scripts).await);
    }
    results.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
    results
}

async fn play_some(
    slot: Slot,
    queue: Arc<Mutex<VecDeque<Case>>>,
    scripts: Arc<HashMap<String, Arc<Script>>>,
) -> Vec<(Case, Verdict)> {
    let recorder = Recorder::start(slot.recorder).await;
    let mut results = Vec::new();
    loop {
        let Some(case) = queue.lock().unwrap().pop_front() else { return results };
        let script = scripts.get(&case.origin).unwrap_or_else(|| panic!("no {}", case.origin));
        recorder.reset(Arc::clone(script));
        // Connections that the proxy kept end now; it has to notice.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let verdict = play_one(&case, &slot, &recorder).await;
        results.push((case, verdict));
    }
}

async fn play_one(case: &Case, slot: &Slot, recorder: &Recorder) -> Verdict {
    let mut verdict = match player::play(case, slot).await {
        Ok(mut played) => {
            let verdict = judge_in_time(case, &played, recorder).await;
            played.first.close(false).await;
            verdict
        }
        Err(error) => Verdict { missing: vec![error.to_string()], ..Verdict::default() },
    };
    recorder.reset(Arc::new(Script::default()));
    if !player::is_alive(slot).await {
        verdict.wrong.push("the proxy does not answer behind it".to_owned());
    }
    verdict
}

/// On a busy machine bytes may be under way for longer than a case waits. What may not happen, may
/// not happen later either.
async fn judge_in_time(case: &Case, played: &Played, recorder: &Recorder) -> Verdict {
    let mut pauses = [50, 300, 700, 2000].into_iter();
    loop {
        tokio::time::sleep(Duration::from_millis(pauses.next().unwrap_or_default())).await;
        let verdict = judge::judge(case, played, &recorder.seen());
        if verdict.is_good() || pauses.len() == 0 {
            return verdict;
        }
    }
}

/// Writes the results where they are asked for.
fn report(results: &[(Case, Verdict)]) {
    let Some(file) = std::env::var_os(RESULTS) else { return };
    let mut text = String::new();
    for (case, verdict) in results {
        let word = if verdict.is_good() { "pass" } else { "miss" };
        let faults = verdict.faults("; ");
        let Case { group, level, id, title, .. } = case;
        writeln!(text, "{group}\t{level}\t{id}\t{word}\t{title}\t{faults}").unwrap();
    }
    std::fs::write(file, text).unwrap();
}
