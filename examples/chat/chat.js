// A chat in the terminal over WebSocket, with Node and the package `ws` (`npm install ws`).
//
//     node chat.js NAME [ROOM] [URL]
//
// Each line that is typed is said to all in the room; `/msg NAME TEXT` goes to one person only, with quotes around a name that
// has spaces. Ctrl-D leaves.
const { randomBytes } = require('node:crypto');
const { createInterface } = require('node:readline');
const { setTimeout: pause } = require('node:timers/promises');
const WebSocket = require('ws');

const [name, number = '1', url = 'http://127.0.0.1:8080'] = process.argv.slice(2);
if (!name) stop('who are you? node chat.js NAME [ROOM] [URL]');
const room = `room:${number}`, presence = `presence:${room}`, channels = [room, presence, '@']; // `@` is one's own inbox
const session = randomBytes(16).toString('hex'); // of all attachments of one session the newest is served
const at = new Map(); // channel -> [epoch, offset]: everything up to there was shown; a channel that is not in it starts now
const here = new Set();
const unsent = new Map(); // ref -> command: what was not answered is sent again after a reconnect, with the same key
const UNSENT_MAX = 100;

const position = (token) => [token.split('.')[0], Number(token.split('.')[1])];

// What others wrote must not steer the terminal.
function tell(text) {
  console.log(text.replace(/\p{Cc}/gu, '\ufffd'));
}

function stop(why) {
  tell(`* ${why}`);
  process.exit(1);
}

// Who is here, on all pages, and where to follow what changes from.
async function askWhoIsHere() {
  const query = new URLSearchParams({ channel: room, user: name, limit: 1000 });
  let first, page, users = [];
  do {
    const answer = await fetch(`${url}/v1/presence?${query}`, { signal: AbortSignal.timeout(10000) });
    page = await answer.json();
    if (page.error) throw new Error(page.error.message);
    first ??= page;
    users.push(...page.users.map(({ user }) => user));
    query.set('after', users.at(-1) ?? '');
  } while (page.more);
  here.clear();
  users.forEach((user) => here.add(user));
  tell(`* ${first.count} here: ${users.join(', ')}`);
  return first.cursor;
}

function show({ channel, from = 'somebody', data = '(bytes)' }) {
  if (channel === presence) {
    const came = data.joined.map(({ user }) => user).filter((user) => !here.has(user));
    const left = data.left.map(({ user }) => user).filter((user) => here.delete(user));
    came.forEach((user) => here.add(user));
    if (came.length) tell(`* ${came.join(', ')} came, ${data.users} here`);
    if (left.length) tell(`* ${left.join(', ')} left, ${data.users} here`);
  } else {
    tell(`${from}${channel.startsWith('@') ? ' (to you only)' : ''}: ${typeof data === 'string' ? data : JSON.stringify(data)}`);
  }
}

// One object from the gateway. Positions move when it was shown: nothing is missed, and nothing comes twice.
async function take(told) {
  if (told.type === 'welcome') {
    told.channels.forEach(({ channel, epoch, offset }) => at.set(channel, [epoch, offset]));
  } else if (told.type === 'message' && told.offset > at.get(told.channel)[1]) {
    show(told);
    at.get(told.channel)[1] = told.offset;
  } else if (told.type === 'gap') {
    tell(`* ${told.lost ?? 'some'} messages of ${told.channel} may be missing: ${told.reason}`);
    if (told.channel === presence) await askWhoIsHere();
    at.set(told.channel, [told.epoch, told.offset]);
  } else if (told.type === 'error' && told.retry_after_ms === undefined) {
    tell(`* not sent: ${told.message}`);
    unsent.delete(told.ref);
  } else if (told.type === 'published' || told.type === 'sent') {
    unsent.delete(told.ref);
  } else if (told.type === 'disconnect' && !told.reconnect) {
    stop(`stopped: ${told.message ?? told.code}`);
  }
}

// Follows over one connection until it ends, and returns how long the gateway wants to be left alone, in milliseconds.
async function attach() {
  if (at.size === 0) at.set(presence, position(await askWhoIsHere()));
  const cursor = [...at].map(([channel, [epoch, offset]]) => `${channel}@${epoch}.${offset}`).join(',');
  const query = new URLSearchParams([...channels.map((channel) => ['channel', channel]),
    ['cursor', cursor], ['user', name], ['session', session]]);
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/ws?${query}`, { handshakeTimeout: 10000 });
  let later = 0, failure, silence;
  // The gateway pings every 25 seconds: a connection that is silent for longer is dead.
  const heard = () => { clearTimeout(silence); silence = setTimeout(() => socket.terminate(), 62500); };
  socket.on('open', heard).on('ping', heard).on('error', (error) => { failure = error; });
  let taking = Promise.resolve(); // one after the other, also where one waits
  socket.on('message', (text) => {
    heard();
    const told = JSON.parse(text);
    if (told.type === 'welcome') {
      current = socket;
      unsent.forEach((command) => socket.send(JSON.stringify(command)));
    }
    later = told.retry_after_ms ?? later;
    if (told.retry_after_ms !== undefined) socket.close(3000);
    taking = taking.then(() => take(told)).catch((error) => { failure = error; socket.terminate(); });
  });
  await new Promise((resolve) => { socket.on('close', resolve); });
  current = undefined;
  clearTimeout(silence);
  await taking;
  if (failure) tell(`* not connected: ${failure.message}`);
  return later;
}

let current;
function say(line) {
  const [, quoted, word, text] = /^\/msg (?:"([^"]+)"|(\S+)) +(.+)/.exec(line) ?? [];
  const to = text ? { action: 'send', to: quoted ?? word } : { action: 'publish', channel: room };
  const ref = randomBytes(8).toString('hex');
  const command = { ...to, data: text ?? line, key: ref, ref };
  unsent.set(ref, command);
  current?.send(JSON.stringify(command));
}

async function type() {
  for await (const line of createInterface({ input: process.stdin })) {
    while (unsent.size >= UNSENT_MAX) await pause(50);
    if (line.trim()) say(line.trim());
  }
  // What is typed is said before it leaves, and 1000 tells that it does not come back.
  while (unsent.size || !current) await pause(50);
  current.on('close', () => process.exit(0)).close(1000);
}

async function chat() {
  for (let delay = 1000; ;) {
    const before = JSON.stringify([...at]);
    const later = await attach().catch((error) => { tell(`* not connected: ${error.cause?.message ?? error.message}`); return 0; });
    // Something was shown: begin with short delays again.
    delay = JSON.stringify([...at]) === before ? Math.min(delay * 2, 30000) : 1000;
    await pause(Math.max(delay * (0.5 + Math.random() / 2), later));
  }
}

type();
chat();
