// Starts Chromium for a script, without anything that talks to elsewhere, and ends it whatever comes of the script.
const { createHash, X509Certificate } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { chromium } = require("playwright-core");

const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

// Lets the key of a certificate pass, and no other.
exports.trust = (certificate) => {
  const key = new X509Certificate(readFileSync(certificate)).publicKey.export({ type: "spki", format: "der" });
  return `--ignore-certificate-errors-spki-list=${createHash("sha256").update(key).digest("base64")}`;
};

// A line of JSON for the test.
exports.show = (thing) => console.log(JSON.stringify(thing));

exports.withBrowser = async (args, script) => {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: [...QUIET, ...args] });
  try {
    await script(browser);
  } finally {
    await browser.close();
  }
};
