//! Why a tunnel ended. Every tunnel has exactly one [`Ending`]; it becomes one log line and one
//! counter increment. Not here: the close codes a configuration chooses (`config::model`).

/// Who ended the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// The client's leg ended first.
    Client,
    /// The upstream's leg ended first.
    Upstream,
    /// Wayhold ended it.
    Proxy,
}

impl Initiator {
    /// The word used in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Proxy => "proxy",
        }
    }
}

/// What ended the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A Close frame came from the initiator and was passed on.
    CloseFrame,
    /// The initiator's socket ended without a Close frame.
    Eof,
    /// The initiator's socket was reset, or failed in another way.
    Reset,
    /// No byte either way for `idle_timeout`.
    Idle,
    /// No data frame either way for `data_idle_timeout`.
    DataIdle,
    /// A pinged leg stayed silent for `pong_timeout`.
    DeadPeer,
    /// The process is finishing.
    Drain,
    /// The tunnel reached `max_age`.
    MaxAge,
    /// A frame or message was longer than `max_frame_size` or `max_message_size`.
    TooBig,
    /// A leg took no byte for `proxy_send_timeout` while there was something to send.
    SlowConsumer,
    /// A frame header made the frame's end unknowable (RFC 6455 §5.2), or broke another rule where
    /// `validate` is on.
    Protocol,
    /// The TLS session of a leg failed.
    Tls,
    /// The process ended at once (fast shutdown).
    Shutdown,
}

impl Cause {
    /// Every cause, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::CloseFrame,
        Self::Eof,
        Self::Reset,
        Self::Idle,
        Self::DataIdle,
        Self::DeadPeer,
        Self::Drain,
        Self::MaxAge,
        Self::TooBig,
        Self::SlowConsumer,
        Self::Protocol,
        Self::Tls,
        Self::Shutdown,
    ];

    /// The word used in logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CloseFrame => "close_frame",
            Self::Eof => "eof",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::DataIdle => "data_idle",
            Self::DeadPeer => "dead_peer",
            Self::Drain => "drain",
            Self::MaxAge => "max_age",
            Self::TooBig => "too_big",
            Self::SlowConsumer => "slow_consumer",
            Self::Protocol => "protocol",
            Self::Tls => "tls",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Why and how a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Who ended it.
    pub initiator: Initiator,
    /// What ended it.
    pub cause: Cause,
    /// The WebSocket close code: the initiator's own, or the one Wayhold sent. `None` when no Close
    /// frame with a code was seen or sent.
    pub code: Option<u16>,
    /// Whether both legs ended with a Close frame.
    pub clean: bool,
}
