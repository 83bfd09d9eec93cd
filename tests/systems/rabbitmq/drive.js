// STOMP and MQTT clients of one broker through Wayhold: drive.js URL, or drive.js URL wait to wait
// for the broker's end.
//
// Under URL: /stomp and /mqtt, where clients are pinged and silence is short; /stomp-unpinged and
// /mqtt-unpinged without pings.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");
const WebSocket = require("ws");
const mqtt = require("mqtt");
const { Client } = require("@stomp/stompjs");

Object.assign(globalThis, { WebSocket });
const [url, wait] = process.argv.slice(2);
const scheme = url.split(":")[0];
// Longer than Wayhold's idle_timeout of 4 s.
const LONG = 7000;

function equal(what, got, wanted) {
  assert.deepEqual(got, wanted, `${what}: got ${got}, wanted ${wanted}`);
  console.log(`    ${scheme}, ${what}: ${String(got).slice(0, 100)}`);
}

async function until(what, condition, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  while (!condition()) {
    assert(Date.now() < end, `${scheme}, ${what}: not within ${seconds} s`);
    await sleep(10);
  }
}

// Both kinds of clients are used alike: subscribe, publish, and the code of the Close in `code`.
class Stomp {
  name = "STOMP";
  bodies = [];

  async start(path, beats = 0) {
    this.client = new Client({
      brokerURL: url + path,
      connectHeaders: { login: "guest", passcode: "guest", host: "/" },
      heartbeatIncoming: beats,
      heartbeatOutgoing: beats,
      reconnectDelay: 0,
      onWebSocketClose: (event) => { this.code = event.code; },
    });
    this.client.activate();
    await until("STOMP connects", () => this.client.connected);
    return this;
  }

  protocol() { return this.client.webSocket.protocol; }

  async receipt(how) {
    const receipt = crypto.randomUUID();
    const arrived = new Promise((resolve) => this.client.watchForReceipt(receipt, resolve));
    how({ receipt });
    await arrived;
  }

  async subscribe(topic) {
    const heard = (message) => this.bodies.push(Buffer.from(message.binaryBody));
    await this.receipt((headers) => this.client.subscribe(`/topic/${topic}`, heard, headers));
  }

  async publish(topic, body) {
    const destination = `/topic/${topic}`;
    const message = { destination, binaryBody: body };
    await this.receipt((headers) => this.client.publish({ ...message, headers }));
  }

  async end() {
    await this.client.deactivate();
    await until("its Close", () => this.code);
  }
}

class Mqtt {
  name = "MQTT";
  bodies = [];

  async start(path, keepalive = 0) {
    const createWebsocket = (where, protocols) => {
      this.socket = new WebSocket(where, protocols);
      this.socket.on("close", (code) => { this.code = code; });
      return this.socket;
    };
    const user = { username: "guest", password: "guest" };
    const options = { protocolVersion: 4, reconnectPeriod: 0, keepalive, createWebsocket, ...user };
    this.client = await mqtt.connectAsync(url + path, options);
    this.client.on("message", (topic, body) => this.bodies.push(body));
    return this;
  }

  protocol() { return this.socket.protocol; }

  async subscribe(topic) { await this.client.subscribeAsync(topic, { qos: 1 }); }

  async publish(topic, body) { await this.client.publishAsync(topic, body, { qos: 1 }); }

  async end() {
    await this.client.endAsync();
    await until("its Close", () => this.code);
  }
}

async function everybodyHears(clients, speaker, topic, bodies) {
  for (const body of bodies) await speaker.publish(topic, body);
  for (const client of clients) {
    await until(`${client.name} hears all`, () => client.bodies.length >= bodies.length);
    const heard = client.bodies.splice(0);
    assert(heard.length === bodies.length, `${client.name} hears ${heard.length}`);
    heard.forEach((body, n) => assert(body.equals(bodies[n]), `${client.name}, message ${n}`));
  }
}

async function messages() {
  const speakers = [await new Stomp().start("/stomp"), await new Mqtt().start("/mqtt")];
  const clients = [...speakers, await new Stomp().start("/stomp"), await new Mqtt().start("/mqtt")];
  const protocols = clients.map((client) => client.protocol());
  equal("subprotocols", protocols, ["v12.stomp", "mqtt", "v12.stomp", "mqtt"]);
  for (const client of clients) await client.subscribe("lines");
  const lines = Array.from({ length: 200 }, (_, n) => Buffer.from(`line ${n} with ümlauts`));
  for (const speaker of speakers) {
    await everybodyHears(clients, speaker, "lines", lines);
    equal(`${speaker.name} says ${lines.length} things, heard in order by`, clients.length, 4);
    await everybodyHears(clients, speaker, "lines", [crypto.randomBytes(300000)]);
    equal(`a large one from ${speaker.name}, unchanged at`, clients.length, 4);
  }
  for (const client of clients) await client.end();
  equal("their Closes", clients.map((client) => client.code), [1000, 1000, 1000, 1000]);
}

// Nothing is said for longer than Wayhold's idle_timeout.
async function quiet() {
  const pinged = [await new Stomp().start("/stomp"), await new Mqtt().start("/mqtt")];
  const beating = [
    await new Stomp().start("/stomp-unpinged", 1000),
    await new Mqtt().start("/mqtt-unpinged", 1),
  ];
  const alone = [
    await new Stomp().start("/stomp-unpinged"),
    await new Mqtt().start("/mqtt-unpinged"),
  ];
  const alive = [...pinged, ...beating];
  for (const client of alive) await client.subscribe("quiet");
  await sleep(LONG);
  const body = Buffer.from("still there");
  await everybodyHears(alive, pinged[0], "quiet", [body]);
  equal("alive after a silence, with pings or with heartbeats", alive.length, 4);
  equal("ended after a silence without either", alone.map((client) => client.code), [1001, 1001]);
  for (const client of alive) await client.end();
}

// MQTT's CONNECT of a guest that promises to say something each second.
const CONNECT = "\x10\x1e\0\x04MQTT\x04\xc2\0\x01\0\x04mute\0\x05guest\0\x05guest";

// Who answers Wayhold's pings, but says nothing to the broker, is dropped by the broker: pings are
// no heartbeats.
async function mute() {
  const codes = {};
  const began = Date.now();
  const socket = new WebSocket(`${url}/mqtt`, ["mqtt"]);
  socket.on("open", () => socket.send(Buffer.from(CONNECT, "latin1")));
  socket.on("close", (code) => { codes.MQTT = code; });
  const { client } = await new Stomp().start("/stomp", 500);
  client.webSocket.send = () => {};
  client.onWebSocketClose = (event) => { codes.STOMP = event.code; };
  await until("the mute ones are dropped", () => codes.MQTT && codes.STOMP);
  equal("Closes of the mute ones", [codes.MQTT, codes.STOMP], [1000, 1000]);
  assert(Date.now() - began > 1000);
}

function refused(path, protocols) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url + path, protocols);
    socket.on("unexpected-response", (_, response) => resolve(response.statusCode));
    socket.on("open", () => reject(new Error("it was let in")));
    socket.on("error", reject);
  });
}

async function end() {
  const clients = [await new Stomp().start("/stomp"), await new Mqtt().start("/mqtt")];
  console.log("ready");
  await until("the broker's end", () => clients.every((client) => client.code), 30);
  console.log("codes", ...clients.map((client) => client.code));
}

async function main() {
  if (wait) return end();
  await messages();
  await Promise.all([quiet(), mute()]);
  equal("v10.stomp, which is not allowed", await refused("/stomp", ["v10.stomp"]), 400);
}

main().then(() => process.exit(), (error) => {
  console.error(error);
  process.exit(1);
});
