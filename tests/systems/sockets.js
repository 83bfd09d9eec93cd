// Put before the scripts that chromium.py runs in a page.

// A socket whose messages can be awaited one by one: dial(url, protocols).
class Dialled {
  constructor(url, protocols = []) {
    this.socket = new WebSocket(url, protocols);
    this.socket.binaryType = "arraybuffer";
    this.messages = [];
    this.waiting = [];
    this.opened = new Promise((resolve) => {
      this.socket.onopen = () => resolve(true);
      this.socket.onerror = () => resolve(false);
    });
    this.closed = new Promise((resolve) => {
      this.socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
    });
    this.socket.onmessage = ({ data }) => {
      const next = this.waiting.shift();
      next ? next(data) : this.messages.push(data);
    };
  }

  next() {
    if (this.messages.length) return Promise.resolve(this.messages.shift());
    const message = new Promise((resolve) => this.waiting.push(resolve));
    const closed = this.closed.then(({ code }) => {
      throw new Error(`closed with ${code} while a message was awaited`);
    });
    return Promise.race([message, closed]);
  }

  // What comes back for a message.
  ask(message) {
    this.socket.send(message);
    return this.next();
  }

  close(code, reason) {
    this.socket.close(code, reason);
    return this.closed;
  }
}

async function dial(url, protocols) {
  const dialled = new Dialled(url, protocols);
  if (!(await dialled.opened)) throw new Error(`${url} does not open`);
  return dialled;
}

// Whether two stretches of bytes are the same.
function same(one, other) {
  const [a, b] = [new Uint8Array(one), new Uint8Array(other)];
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

// Bytes that no compression makes small.
function noise(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, length)));
  }
  return bytes;
}
