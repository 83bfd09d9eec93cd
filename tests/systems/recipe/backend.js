// The backend that backend.py describes, with the Node library ws: backend.js PORT
"use strict";

const { WebSocketServer } = require("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.argv[2]),
  path: "/ws",
  perMessageDeflate: true,
  handleProtocols: (offered) => ["second", "first"].find((name) => offered.has(name)) ?? false,
});

function seen(request) {
  const names = ["x-real-ip", "x-forwarded-for", "origin", "user-agent"];
  const headers = Object.fromEntries(names.map((name) => [name, request.headers[name] ?? ""]));
  return JSON.stringify({ ...headers, backend: "ws", path: request.url, host: request.headers.host });
}

function echo(socket, data, binary) {
  for (let at = 0; at === 0 || at < data.length; at += 1000) {
    socket.send(data.subarray(at, at + 1000), { binary, fin: at + 1000 >= data.length });
  }
}

server.on("connection", (socket, request) => {
  socket.on("message", (data, binary) => {
    const text = binary ? "" : data.toString();
    if (text === "headers") {
      socket.send(seen(request));
    } else if (text.startsWith("close ")) {
      const [, code, reason] = text.split(" ");
      socket.close(Number(code), reason);
    } else {
      echo(socket, data, binary);
    }
  });
  socket.on("close", (code, reason) => console.log("closed", code, reason.toString()));
});
