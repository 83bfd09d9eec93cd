// A Socket.IO client, driven by lines of JSON: client.js URL TRANSPORT[,TRANSPORT]
//
// In: {"emit": [event, …]} answers {"ack": …}; {"blob": bytes} answers {"same": true} when as many
// random bytes come back; {"end": true}. Out, also: {"connected": id}, again with each
// reconnection, {"transport": name}, {"said": text}, {"disconnected": why}.
"use strict";

const crypto = require("node:crypto");
const readline = require("node:readline");
const { io } = require("socket.io-client");

const [url, transports] = process.argv.slice(2);
const say = (line) => console.log(JSON.stringify(line));
const socket = io(url, {
  transports: transports.split(","),
  reconnectionDelay: 100,
  reconnectionDelayMax: 300,
  extraHeaders: { "User-Agent": "JavaScript" },
});

socket.on("connect", () => {
  const { engine } = socket.io;
  say({ transport: engine.transport.name });
  engine.on("upgrade", (transport) => say({ transport: transport.name }));
  say({ connected: socket.id });
});
socket.on("disconnect", (why) => say({ disconnected: why }));
socket.on("said", (text) => say({ said: text }));
socket.on("question", (question, answer) => answer(`JavaScript: ${question}`));

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { emit, blob } = JSON.parse(line);
  if (emit) {
    socket.timeout(10000).emit(...emit, (error, ack) => say({ ack: error ? String(error) : ack }));
  } else if (blob) {
    const bytes = crypto.randomBytes(blob);
    socket.timeout(20000).emit("blob", bytes, (error, back) => {
      say({ same: !error && bytes.equals(back) });
    });
  } else {
    socket.disconnect();
    // Not before it is said.
    setTimeout(process.exit, 100);
  }
});
