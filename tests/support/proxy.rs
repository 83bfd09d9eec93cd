//! Wayhold itself, as a process of its own.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{PATIENCE, address, client, eventually};

/// A running proxy, its folder and its configuration. It is killed on drop.
pub struct Proxy {
    child: Child,
    pub folder: TempDir,
    pub metrics: SocketAddr,
}

impl Proxy {
    /// A folder for a proxy to be, for certificates and the like.
    pub fn folder() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    /// Starts one and waits until it is ready. `[metrics]`, `pid` and the error log are added to
    /// the configuration.
    pub async fn start(config: &str) -> Self {
        Self::start_in(Self::folder(), config).await
    }

    pub async fn start_in(folder: TempDir, config: &str) -> Self {
        Self::run(folder, config, Command::new(env!("CARGO_BIN_EXE_wayhold"))).await
    }

    /// Starts one under a resource limit, in the words of `prlimit`.
    pub async fn start_limited(folder: TempDir, config: &str, limit: &str) -> Self {
        let mut command = Command::new("prlimit");
        command.arg(limit).arg(env!("CARGO_BIN_EXE_wayhold"));
        Self::run(folder, config, command).await
    }

    /// Starts one that sees these files in the place of the system's; `None` when this machine does
    /// not let us.
    pub async fn start_with_mounts(
        folder: TempDir,
        config: &str,
        mounts: &[(PathBuf, &str)],
    ) -> Option<Self> {
        let unshare = ["--mount", "--propagation", "private"];
        if !Command::new("unshare").args(unshare).arg("true").status().is_ok_and(|s| s.success()) {
            return None;
        }
        let mut script = String::from("set -e\n");
        for (file, place) in mounts {
            script.push_str(&format!("mount --bind {} {place}\n", file.display()));
        }
        script.push_str("exec \"$0\" \"$@\"");
        let mut command = Command::new("unshare");
        command.args(unshare).args(["sh", "-c", &script, env!("CARGO_BIN_EXE_wayhold")]);
        Some(Self::run(folder, config, command).await)
    }

    async fn run(folder: TempDir, config: &str, mut command: Command) -> Self {
        let metrics = address(9145);
        let file = folder.path().join("wayhold.toml");
        let proxy_config = Self::complete(&folder, metrics, config);
        std::fs::write(&file, proxy_config).unwrap();
        let child = command
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("stderr.log")).unwrap())
            .spawn()
            .unwrap();
        let mut proxy = Self { child, folder, metrics };
        eventually("the proxy to be ready", async || {
            if let Some(status) = proxy.child.try_wait().unwrap() {
                panic!("the proxy ended with {status}:\n{}", proxy.stderr());
            }
            proxy.get("/readyz").await.filter(|page| page.starts_with("HTTP/1.1 200")).map(drop)
        })
        .await;
        proxy
    }

    fn complete(folder: &TempDir, metrics: SocketAddr, config: &str) -> String {
        let pid = folder.path().join("wayhold.pid");
        let set = config.contains("auto_reload_delay");
        let delay = if set { "" } else { "auto_reload_delay = \"50ms\"\n" };
        format!(
            "pid = {pid:?}\nerror_log_level = \"info\"\n{delay}{config}\n[metrics]\nlisten = \"{metrics}\"\n"
        )
    }

    /// Writes a new configuration over the old one, by renaming, as editors and tools do.
    pub fn write_config(&self, config: &str) {
        let new = self.folder.path().join("wayhold.toml.new");
        let mut file = std::fs::File::create(&new).unwrap();
        let text = Self::complete(&self.folder, self.metrics, config);
        file.write_all(text.as_bytes()).unwrap();
        std::fs::rename(new, self.folder.path().join("wayhold.toml")).unwrap();
    }

    /// Writes a new configuration and waits until it is running.
    pub async fn reload(&self, config: &str) {
        let before = self.reloads("success").await;
        self.write_config(config);
        eventually("the reload", async || (self.reloads("success").await > before).then_some(()))
            .await;
    }

    /// How many reloads there have been with this result.
    pub async fn reloads(&self, result: &str) -> u64 {
        let name = format!("wayhold_config_reloads_total{{result=\"{result}\"}}");
        self.metric(&name).await.unwrap_or(0.0) as u64
    }

    /// A page of the metrics endpoint; `None` when nobody answers.
    pub async fn get(&self, path: &str) -> Option<String> {
        tokio::net::TcpStream::connect(self.metrics).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        Some(client::exchange(self.metrics, request).await)
    }

    /// The value of a series, by its name with labels as the page has it.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics").await?;
        let line = page
            .lines()
            .find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The sum over every series of a name whose labels contain all of `labels`.
    pub async fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let page = self.get("/metrics").await.expect("the metrics answer");
        page.lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
            .filter(|line| labels.iter().all(|label| line.contains(label)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.file("stderr.log")).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the process to end.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the proxy to end", async || self.child.try_wait().unwrap()).await
    }

    /// The access log's lines, as JSON, once there are at least `count`.
    pub async fn log_lines(&self, name: &str, count: usize) -> Vec<serde_json::Value> {
        eventually(&format!("{count} log lines within {PATIENCE:?}"), async || {
            let text = std::fs::read_to_string(self.file(name)).unwrap_or_default();
            let lines: Vec<_> =
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the proxy said:\n{}", self.stderr());
        }
    }
}
