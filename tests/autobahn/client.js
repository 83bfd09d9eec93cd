// The client under test for permessage-deflate: ws, with the context kept and every message
// compressed, which echoes every message. gorilla/websocket cannot be that: it offers to keep no
// context, and refuses the suite's answer, which does not say so.
//
//   node client.js URL AGENT TCP-ADDRESS [CERT]   as `endpoint dial` does it

"use strict";
const fs = require("fs");
const net = require("net");
const tls = require("tls");
const WebSocket = require("ws");

const [base, agent, address, certificate] = process.argv.slice(2);
const [host, port] = address.split(":");
const ca = certificate && fs.readFileSync(certificate);

function dial(path) {
  return new WebSocket(base + path, {
    handshakeTimeout: 20000,
    maxPayload: 0,
    perMessageDeflate: { threshold: 0 },
    createConnection: () => (ca ? tls.connect({ host, port, ca }) : net.connect({ host, port })),
  });
}

// A case's errors are the suite's to judge; that there was a connection is not.
function over(socket) {
  return new Promise((resolve, reject) => {
    let open = false;
    socket.on("open", () => (open = true));
    socket.on("error", (error) => open || reject(error));
    socket.on("close", resolve);
  });
}

async function main() {
  let cases = 0;
  const counter = dial("/getCaseCount");
  counter.on("message", (message) => (cases = Number(message)));
  await over(counter);
  for (let number = 1; number <= cases; number++) {
    const socket = dial(`/runCase?case=${number}&agent=${encodeURIComponent(agent)}`);
    socket.on("message", (message, binary) => socket.send(message, { binary }));
    await over(socket);
  }
  console.log(cases);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
