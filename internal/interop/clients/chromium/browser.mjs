// Starts Chromium, and opens the gateway's own address, so that the page has its origin, to make the calls from there. The browser is told by its key which
// certificate to trust.

import { spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

import { chromium } from "playwright-core";

const found = spawnSync("sh", ["-c", "command -v chromium"], { encoding: "utf8" }).stdout.trim();
if (!found) {
  throw new Error("there is no chromium on the PATH");
}
const key = new X509Certificate(readFileSync(process.env.PRISM_CERT)).publicKey.export({ type: "spki", format: "der" });
const trusted = createHash("sha256").update(key).digest("base64");
const browser = await chromium.launch({
  executablePath: found,
  args: [
    `--ignore-certificate-errors-spki-list=${trusted}`,
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
try {
  const page = await browser.newPage();
  const opened = await page.goto(`https://${process.env.PRISM_SECURE}/`);
  // The browser's buffer of timings holds 250 entries; the calls are fewer.
  await page.addScriptTag({ path: "page.bundle.js" });
  const calls = await page.evaluate(() => globalThis.callPrism());
  const others = calls.filter((call) => call.protocol !== "h2" && call.protocol !== "");
  const told = calls.filter((call) => call.protocol === "h2");
  const streams = told.filter((call) => call.path.endsWith("/Scan"));
  console.log(`${calls.length} calls, ${told.length} over h2, ${streams.length} of them streams; the page itself was ${opened.status()}`);
  if (others.length > 0 || told.length < 10 || streams.length < 2) {
    throw new Error(`not all calls went over h2: ${JSON.stringify(calls)}`);
  }
} finally {
  await browser.close();
}
