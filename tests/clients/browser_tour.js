// A tour with Chromium over TLS: WebSocket, EventSource and a long poll receive what `fetch` publishes.
// node browser_tour.js https://localhost:PORT CERTIFICATE TOKEN
const { show, trust, withBrowser } = require("./browser");

const [url, certificate, token] = process.argv.slice(2);

// Runs in the page. An answer of the gateway is page enough, and of the right origin.
const tour = async (token) => {
  const headers = { Authorization: `Bearer ${token}` };
  const json = { ...headers, "Content-Type": "application/json" };
  const ticket = async () => {
    const body = JSON.stringify({ channels: ["news"] });
    const answer = await fetch("/v1/ticket", { method: "POST", headers, body });
    return (await answer.json()).ticket;
  };
  const once = (target, name) => new Promise((resolve) => target.addEventListener(name, resolve, { once: true }));
  const data = async (event) => JSON.parse((await event).data);
  const socket = new WebSocket(`wss://${location.host}/v1/ws?channel=news`, ["everyway.v1", `bearer.${token}`]);
  const socketWelcome = await data(once(socket, "message"));
  const source = new EventSource(`/v1/sse?channel=news&ticket=${await ticket()}`);
  const sourceWelcome = await data(once(source, "welcome"));
  // A first page says where it stands, so that the second one misses nothing.
  const page = await (await fetch(`/v1/poll?channel=news&ticket=${await ticket()}`)).json();
  const target = `/v1/longpoll?channel=news&wait=20&cursor=${page.cursor}&ticket=${await ticket()}`;
  const heard = [data(once(socket, "message")), data(once(source, "message")), fetch(target).then((r) => r.json())];
  const published = await (await fetch("/v1/publish?channel=news", { method: "POST", headers: json, body: '{"n":1}' })).json();
  const [bySocket, bySource, byPoll] = await Promise.all(heard);
  source.close();
  socket.close();
  const hops = performance.getEntriesByType("resource").map((entry) => entry.nextHopProtocol);
  return {
    protocol: socket.protocol,
    users: [socketWelcome.user, sourceWelcome.user],
    published: published.offset,
    heard: [bySocket.data, bySource.data, byPoll.messages[0].data],
    hops: [...new Set(hops)],
  };
};

withBrowser([trust(certificate)], async (browser) => {
  const page = await browser.newPage();
  await page.goto(`${url}/healthz`);
  show(await page.evaluate(tour, token));
});
