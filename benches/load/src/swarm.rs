//! Many clients in one thread.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;
use serde_json::{Value, json};

use crate::args::{Target, Url};
use crate::body::Faults;
use crate::client::{Client, End, Event};
use crate::stream::{self, Scratch, Stream};
use crate::upgrade;

pub struct Swarm {
    poll: Poll,
    events: Events,
    scratch: Scratch,
    url: Url,
    request: String,
    tls: Option<Arc<ClientConfig>>,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    opened: u64,
    live: usize,
    /// Of connections that are gone.
    faults: Faults,
    lost: usize,
    /// Why connections ended that should not have, and how long after the swarm began.
    pub broken: Vec<(f64, String)>,
    begun: Instant,
}

impl Swarm {
    pub fn new(target: &Target) -> io::Result<Self> {
        let url = target.url.clone();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            scratch: Scratch::new(),
            request: upgrade::request(&format!("{}:{}", url.host, url.addr.port()), &url.path),
            tls: url.tls.then(|| stream::tls_config(false)),
            url,
            clients: Vec::new(),
            free: Vec::new(),
            opened: 0,
            live: 0,
            faults: Faults::default(),
            lost: 0,
            broken: Vec::new(),
            begun: Instant::now(),
        })
    }

    /// Connections that have not ended.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Begins a connection whose messages have `size` bytes; gives its slot.
    pub fn open(&mut self, size: usize) -> io::Result<usize> {
        let tls = self.tls.clone();
        self.open_with(size, tls.as_ref())
    }

    /// The slot that the next connection will get.
    pub fn next_slot(&self) -> usize {
        self.free.last().copied().unwrap_or(self.clients.len())
    }

    /// The same, with a TLS configuration of its own.
    pub fn open_with(&mut self, size: usize, tls: Option<&Arc<ClientConfig>>) -> io::Result<usize> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.clients.push(None);
            self.clients.len() - 1
        });
        let mut socket = TcpStream::connect(self.url.addr)?;
        socket.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(slot), interest)?;
        let stream = Stream::new(socket, tls.map(|tls| (tls, self.url.host.as_str())))?;
        self.clients[slot] = Some(Client::new(slot, self.opened, size, stream, &self.request));
        self.opened += 1;
        self.live += 1;
        Ok(slot)
    }

    /// Waits for something to happen, at most so long, and tells of it.
    pub fn poll(
        &mut self,
        timeout: Duration,
        mut on: impl FnMut(&mut Client, Event),
    ) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let mut ended = Vec::new();
        for event in &self.events {
            let slot = event.token().0;
            let Some(client) = self.clients[slot].as_mut() else { continue };
            let to_end = event.is_read_closed() || event.is_error();
            if let Err(end) = client.ready(&mut self.scratch, to_end, &mut on) {
                ended.push((slot, end));
            }
        }
        for (slot, end) in ended {
            let Some(mut client) = self.remove(slot) else { continue };
            if let End::Lost(reason) = &end {
                self.broken.push((self.begun.elapsed().as_secs_f64(), reason.clone()));
            }
            on(&mut client, Event::Ended(end));
        }
        Ok(())
    }

    /// Does something to one client, and writes what that queued.
    pub fn with(&mut self, slot: usize, act: impl FnOnce(&mut Client)) {
        let Some(client) = self.clients.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        act(client);
        // What fails here shows in the next read.
        let _ = client.flush();
    }

    /// The slots of clients that fulfil this.
    pub fn those(&self, which: impl Fn(&Client) -> bool) -> Vec<usize> {
        self.clients
            .iter()
            .flatten()
            .filter(|client| which(client))
            .map(|client| client.slot)
            .collect()
    }

    /// Gives up on a client.
    pub fn abandon(&mut self, slot: usize, reason: &str) {
        if self.remove(slot).is_some() {
            self.broken.push((self.begun.elapsed().as_secs_f64(), reason.to_owned()));
        }
    }

    fn remove(&mut self, slot: usize) -> Option<Client> {
        let mut client = self.clients[slot].take()?;
        let _ = self.poll.registry().deregister(client.stream.socket());
        self.free.push(slot);
        self.live -= 1;
        self.faults.add(client.faults());
        self.lost += client.in_flight();
        Some(client)
    }

    /// Opens so many, `parallel` of them at once; returns when all are up.
    pub fn open_all(&mut self, conns: usize, size: usize, parallel: usize) -> io::Result<()> {
        let patience = Instant::now() + Duration::from_secs(60);
        let (mut begun, mut up) = (0, 0);
        while up < conns {
            while begun < conns && begun - up < parallel {
                self.open(size)?;
                begun += 1;
            }
            self.poll(Duration::from_millis(100), |_, event| {
                up += usize::from(matches!(event, Event::Up));
            })?;
            if let Some((_, reason)) = self.broken.first() {
                return Err(io::Error::other(format!("connection {up}: {reason}")));
            }
            if Instant::now() > patience {
                return Err(io::Error::other(format!("{up} of {conns} connections came up")));
            }
        }
        Ok(())
    }

    /// Closes all, `parallel` of them at once, and waits for their ends. Those that are still
    /// opening are waited for first.
    pub fn close_all(&mut self, parallel: usize) -> io::Result<()> {
        let patience = Instant::now() + Duration::from_secs(10);
        while !self.those(Client::is_opening).is_empty() && Instant::now() < patience {
            self.poll(Duration::from_millis(100), |_, _| {})?;
        }
        let mut open = self.those(Client::is_open);
        while self.live > 0 && Instant::now() < patience {
            let closing = self.live.saturating_sub(open.len());
            for _ in closing..parallel {
                let Some(slot) = open.pop() else { break };
                self.with(slot, Client::close);
            }
            self.poll(Duration::from_millis(100), |_, _| {})?;
        }
        for slot in self.those(|_| true) {
            match self.clients[slot].as_ref().map(Client::at_end) {
                Some(End::Orderly) => drop(self.remove(slot)),
                _ => self.abandon(slot, "no answer to a Close"),
            }
        }
        Ok(())
    }

    /// Whether all came back as it was sent, on connections that held.
    pub fn is_clean(&self) -> bool {
        self.faults.is_none() && self.lost == 0 && self.broken.is_empty()
    }

    /// What `is_clean` is made of; to be asked when all connections are closed.
    pub fn integrity(&self) -> Value {
        let reasons: Vec<&String> = self.broken.iter().take(5).map(|(_, reason)| reason).collect();
        json!({
            "corrupt": self.faults.corrupt,
            "skipped": self.faults.skipped,
            "repeated": self.faults.repeated,
            "lost": self.lost,
            "broken": self.broken.len(),
            "reasons": reasons,
        })
    }
}
