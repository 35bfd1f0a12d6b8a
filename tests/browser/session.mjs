// What the tests of the page share: the program, the browser with one page, and what a person does there.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { after, before } from "node:test";

import { launch } from "./chromium.mjs";
import { serve } from "./program.mjs";

export const SCREENSHOTS = "target/screenshots";
export let program, page;
let browser;

before(async () => {
  await mkdir(SCREENSHOTS, { recursive: true });
  program = await serve(process.env.PROGRAM ?? "target/debug/call-log");
  browser = await launch(process.env.CHROMIUM ?? "/usr/bin/chromium");
  page = browser.page;
  await page.size(1280, 900);
  await page.colours("light");
  await open();
});

after(async () => {
  await browser?.close();
  await program?.close();
});

/** Opens the page of the program. Recordings come after a second or so. */
export async function open() {
  await page.open(`${program.url}?recordingDelay=1200`);
  await page.until(`document.querySelector("#live").textContent === "Live"`);
}

/** An expression for the newest call's note, as a person reads it. */
export const NOTE = `(document.querySelector(".call .body")?.innerText ?? "")`;
export const CALLS = `document.querySelectorAll(".call").length`;

/** Ends a call with this note, and does not wait for its log. */
export async function sendCall(note, { recorded = true } = {}) {
  await page.click("#note");
  await page.type(note);
  if ((await page.value(`document.querySelector("#recorded").checked`)) !== recorded) await page.click("#recorded");
  await page.click("#simulate .primary");
}

/** Ends a call with this note, waits for its log, and returns the log's note. */
export async function endCall(note, options) {
  const calls = await page.value(CALLS);
  await sendCall(note, options);
  await page.until(`${CALLS} === ${calls + 1}`);
  return page.value(NOTE);
}

export const shown = (words) =>
  page.until(`[...document.querySelectorAll(".toast p")].some((p) => p.textContent === ${JSON.stringify(words)})`);

/** Asserts that Chromium logged one response with this error status, which the test expects, and forgets it. */
export function expectRejection(status) {
  const [expected, others] = [true, false].map((wanted) =>
    page.complaints.filter((complaint) => complaint.includes(`status of ${status} `) === wanted));
  assert.equal(expected.length, 1);
  page.complaints = others;
}

export const withoutToasts = () => page.until(`!document.querySelector(".toast")`);

/** Calls the Example CRM's API as another program does. */
export async function crm(method, path, body) {
  const { crmKey } = await (await fetch(`${program.url}demo/context`)).json();
  const response = await fetch(`${program.url}example-crm/v1${path}`, {
    method, headers: { "x-api-token": crmKey, "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response.status === 204 ? null : response.json();
}
