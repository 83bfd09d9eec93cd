//! A wire that can be cut: a network namespace behind a veth pair. Needs root, iproute2, iptables.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A namespace at the other end of a veth pair; both go with it.
pub struct Wire {
    name: String,
    here: String,
    /// Our address, and the one behind the wire.
    pub ours: String,
    pub theirs: String,
}

fn run(command: &str) -> bool {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output();
    output.is_ok_and(|output| output.status.success())
}

impl Wire {
    /// `None` when this machine does not let us.
    pub fn new() -> Option<Self> {
        // Apart from those of other tests, and of other processes.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = std::process::id() % 200 + 20;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let at = |host: u32| format!("10.213.{id}.{}", 4 * number + host);
        let wire = Self {
            name: format!("wayhold-{id}-{number}"),
            here: format!("wh{id}a{number}"),
            ours: at(1),
            theirs: at(2),
        };
        let Self { name, here, ours, theirs } = &wire;
        let there = format!("wh{id}b{number}");
        let made = run(&format!("ip netns add {name}"))
            && run(&format!("ip link add {here} type veth peer name {there} netns {name}"))
            && run(&format!("ip addr add {ours}/30 dev {here}"))
            && run(&format!("ip link set {here} up"))
            && run(&format!("ip -n {name} addr add {theirs}/30 dev {there}"))
            && run(&format!("ip -n {name} link set {there} up"))
            && run(&format!("ip netns exec {name} iptables -w -L"));
        made.then_some(wire)
    }

    /// From now on whatever comes from there is swallowed, whatever goes there too. The link stays
    /// up: without it, packets would take the default route.
    pub fn cut(&self) {
        for chain in ["INPUT", "OUTPUT"] {
            let rule = format!("ip netns exec {} iptables -w -I {chain} -j DROP", self.name);
            assert!(run(&rule), "the wire is cut");
        }
    }

    /// Does something behind the wire, in a thread of its own: sockets it makes stay there.
    pub fn inside<T: Send + 'static>(&self, act: impl FnOnce() -> T + Send + 'static) -> T {
        let file = std::fs::File::open(format!("/run/netns/{}", self.name)).unwrap();
        std::thread::spawn(move || {
            nix::sched::setns(&file, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            act()
        })
        .join()
        .unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        run(&format!("ip netns del {}", self.name));
        run(&format!("ip link del {}", self.here));
    }
}
