// A tour of the gateway with the package `ws`. Prints what arrives, one JSON object a line.
const { on, once } = require("node:events");
const WebSocket = require("ws");

const url = process.argv[2]; // ws://host:port/v1/ws

function show(thing) {
  console.log(JSON.stringify(thing));
  return thing;
}

async function connect(query = "") {
  const ws = new WebSocket(url + query);
  const messages = on(ws, "message");
  const closed = once(ws, "close");
  await once(ws, "open");
  const send = (command) => ws.send(JSON.stringify(command));
  const receive = async () => {
    const { value } = await messages.next();
    return show(JSON.parse(value[0]));
  };
  return { ws, send, receive, closed };
}

async function tour() {
  // Subscribe, and publish over the same connection: the message comes back, before or after the answer.
  let { ws, send, receive, closed } = await connect();
  await receive(); // welcome
  send({ action: "subscribe", channel: "news", ref: "a" });
  const { epoch } = await receive();
  send({ action: "publish", channel: "news", data: { n: 1 }, ref: "b" });
  const both = [await receive(), await receive()];
  const { offset } = both.find((each) => each.type === "message");
  ws.ping();
  await once(ws, "pong");
  show({ type: "answered", ping: true });
  ws.close();
  await closed;

  // The connection is gone. Meanwhile somebody publishes.
  ({ ws, send, receive } = await connect());
  for (const n of [2, 3]) send({ action: "publish", channel: "news", data: { n } });
  await receive(), await receive(), await receive(); // welcome, and two answers
  ws.close();

  // Come back with a cursor made of what was seen: nothing is missing.
  ({ ws, receive } = await connect(`?channel=news&cursor=news@${epoch}.${offset}`));
  await receive(), await receive(), await receive(); // welcome, and two messages
  ws.close();

  // What cannot be right is refused with a code.
  ({ receive, closed } = await connect("?channel=news&cursor=bogus"));
  await receive(); // disconnect
  const [code, reason] = await closed;
  show({ type: "closed", code, reason: reason.toString() });
}

tour();
