// Drives the page of examples/chat for several people, each in a browser of their own. Takes commands as lines of JSON, such as
// {"do":"say","who":"alice","text":"hello"}, and answers each with a line of JSON.
const { createInterface } = require("node:readline");
const { setTimeout: pause } = require("node:timers/promises");
const { show, withBrowser } = require("./browser");

// Less than the test's own patience, so that the answer says what was there instead.
const SOON_MS = 18000;

const people = new Map();

// What is on the page, as who looks at it would tell it.
const look = () => {
  const line = (li) => {
    const own = (selector) => li.querySelector(selector)?.textContent ?? "";
    if (li.matches(".message")) return `${own(".who")}: ${own(".text")}${own(".fate") && ` [${own(".fate")}]`}`;
    return [...li.childNodes].filter((node) => node.nodeName !== "TIME").map((node) => node.textContent).join("");
  };
  const shown = [...document.querySelectorAll("#lines > li:not([hidden], .day)")];
  return {
    lines: shown.map(line),
    count: document.querySelector("#count").textContent,
    people: [...document.querySelectorAll("#people .name")].map((name) => name.textContent),
    state: document.querySelector("#state-text").textContent,
    hit: window.hit ?? null,
    elements: document.querySelectorAll("#lines :is(img, script, b, a), #people :is(img, script, b, a)").length,
  };
};

const commands = {
  // `blocked` do not pass, and of `held` nothing is heard.
  async open(browser, { who, gateway, transport, blocked = [], held = [] }) {
    const context = await browser.newContext();
    for (const name of blocked) {
      if (name === "ws") await context.routeWebSocket(/\/v1\/ws/, (socket) => socket.close());
      else await context.route(new RegExp(`/v1/${name}\\?`), (route) => route.abort());
    }
    for (const name of held) await context.route(new RegExp(`/v1/${name}\\?`), () => {});
    const page = await context.newPage();
    people.set(who, page);
    page.faults = [];
    page.on("pageerror", (error) => page.faults.push(String(error)));
    page.on("console", (message) => message.text().includes("Content Security Policy") && page.faults.push(message.text()));
    await page.goto(`${gateway}?${new URLSearchParams({ name: who, room: "1", transport })}`);
  },
  async say(page, { text }) {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
  },
  choose: (page, { transport }) => page.selectOption("#transport", transport),
  click: (page, { on }) => page.click(on),
  // Waits until the page shows this in its `lines`, its `count` or its `state`.
  async see(page, { what, text }) {
    for (const end = Date.now() + SOON_MS; Date.now() < end; await pause(20)) {
      if ([(await page.evaluate(look))[what]].flat().some((shown) => shown.includes(text))) return;
    }
    throw new Error("it is not there");
  },
  look: () => ({}),
};

withBrowser([], async (browser) => {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    let error = null;
    try {
      await commands[command.do](command.do === "open" ? browser : people.get(command.who), command);
    } catch (thrown) {
      error = thrown.message;
    }
    const page = people.get(command.who);
    show({ error, faults: page.faults, ...(await page.evaluate(look)) });
  }
});
