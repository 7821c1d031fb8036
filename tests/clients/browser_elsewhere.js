// Pages that have no business here, in Chromium: what each of them gets from a gateway in open mode.
// node browser_elsewhere.js http://localhost:PORT
const { createServer } = require("node:http");
const { show, withBrowser } = require("./browser");

const url = process.argv[2];
const port = new URL(url).port;

// Runs in the page: every way to reach the gateway, and whether it got anywhere.
const reach = async (url) => {
  const first = (target, ...names) =>
    new Promise((resolve) => names.forEach((name) => target.addEventListener(name, () => resolve(name))));
  const post = { method: "POST", body: '"from elsewhere"' };
  const status = (answer) => answer.then((got) => got.status, () => "refused");
  // Listened to from the start, because what happens does not wait for us.
  const source = first(new EventSource(`${url}/v1/sse?channel=news`), "welcome", "error");
  const socket = first(new WebSocket(`${url.replace("http", "ws")}/v1/ws?channel=news`), "open", "error");
  return {
    fetch: await status(fetch(`${url}/v1/poll?channel=news&cursor=earliest`)),
    publish: await status(fetch(`${url}/v1/publish?channel=news`, post)),
    // Sent without asking first, and not to be read: status 0 says nothing of whether it was let in.
    blind: await status(fetch(`${url}/v1/publish?channel=news`, { ...post, mode: "no-cors" })),
    source: await source,
    socket: await socket,
  };
};

const elsewhere = createServer((_, answer) => answer.end("a page")).listen(0, "127.0.0.1", () =>
  withBrowser(["--host-resolver-rules=MAP evil.example 127.0.0.1"], async (browser) => {
    const page = await browser.newPage();
    const visit = async (name, at, to) => {
      await page.goto(at);
      show({ name, origin: await page.evaluate("origin"), ...(await page.evaluate(reach, to)) });
    };
    await visit("same", `${url}/healthz`, url);
    await visit("another port", `http://127.0.0.1:${elsewhere.address().port}/`, url);
    await visit("no origin", "data:text/html,a page", url);
    // A name of theirs that points here: for the browser the gateway is the page's own host.
    await visit("rebound", `http://evil.example:${port}/healthz`, `http://evil.example:${port}`);
  }).finally(() => elsewhere.close()),
);
