// The page of `call-log serve`, used as a person does. The tests share one page and run in this order.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { CALLS, NOTE, SCREENSHOTS, crm, endCall, expectRejection, page, program, shown, withoutToasts } from "./session.mjs";

const HOSTILE = "<script>alert(1)</script> <img src=x onerror=alert(1)>";

test("every file has strict security headers", async () => {
  for (const file of ["", "page.css", "page.js", "calls.js", "editor.js", "note.js", "call.js", "favicon.svg"]) {
    const { status, headers } = await fetch(program.url + file);
    assert.equal(status, 200, file);
    assert.match(headers.get("content-security-policy"), /^default-src 'self';(?!.*unsafe)/, file);
    assert.equal(headers.get("x-content-type-options"), "nosniff", file);
  }
});

test("every field has a label", async () => {
  const bare = `[...document.querySelectorAll("input, select, textarea")].filter((field) => !field.labels.length && !field.ariaLabel).length`;
  assert.equal(await page.value(bare), 0);
});

test("a recorded call is logged, and the link of its recording is added later", async () => {
  const note = await endCall("Wants a quote\nCall back Friday");
  assert.match(note, /- Note: Wants a quote\nCall back Friday\n/);
  assert.match(note, /- Call recording link: \(pending\.\.\.\)/);
  await shown("Call logged");
  const link = await page.until(`document.querySelector(".call .body a")?.href`);
  assert.match(link, /^https:\/\/media\.example\/recording\/\d+$/);
  await shown("Call log updated.");
  assert.doesNotMatch(await page.value(NOTE), /pending/);
  assert.ok(await page.value(`document.querySelector(".call .body .fresh a")?.rel.includes("noopener")`));
});

test("sending the same event again logs no second call", async () => {
  const calls = await page.value(CALLS);
  await page.click("#again");
  await shown("Call already logged");
  assert.equal(await page.value(CALLS), calls);
});

test("an edit that a person saves before the recording arrives is kept", async () => {
  await endCall("Prefers e-mail");
  await page.click(".call .edit");
  await page.type("Checked by hand.\n");
  await page.until(`document.querySelector(".call .coming").innerText.includes("waits while you edit")`);
  await page.click(".call .editor .primary");
  await page.until(`${NOTE}.startsWith("Checked by hand.\\n") && ${NOTE}.includes("(pending...)")`);
  const note = await page.until(`${NOTE}.includes("https://media.example/") && ${NOTE}`);
  assert.match(note, /^Checked by hand\.\n/);
  assert.match(note, /- Note: Prefers e-mail\n/);
});

test("an edit of a note that has changed meanwhile overwrites nothing", async () => {
  await endCall("Asks for a discount");
  await page.click(".call .edit");
  await page.type("My words.\n");
  await page.click(".call .coming button");
  await page.until(`document.querySelector(".call .coming").hidden`);
  await page.click(".call .editor .primary");
  await page.until(`document.querySelector(".call .said").textContent.startsWith("This note changed while")`);
  assert.match(await page.value(`document.querySelector(".call .editor textarea").value`), /- Call recording link: https:/);
  assert.match(await page.value(`document.querySelector(".call .editor pre").textContent`), /^My words\.\n/);
  await page.type("My words.\n");
  await page.click(".call .editor .primary");
  await page.until(`/^My words\\.\\n[^]*https:..media/.test(${NOTE})`);
  expectRejection(412);
});

test("markup and scripts in a note are shown as text", async () => {
  const note = await endCall(HOSTILE, { recorded: false });
  assert.ok(note.includes(`- Note: ${HOSTILE}\n`), note);
  assert.equal(await page.value(`document.querySelectorAll(".call script, .call img").length`), 0);
});

test("a switch of the settings changes the next note", async () => {
  assert.match(await endCall("With a result", { recorded: false }), /- Result: Accepted/);
  await page.click("#settings summary");
  await page.click("#addCallLogResult");
  await shown("Result: left out of the next note");
  const note = await endCall("Without one", { recorded: false });
  assert.match(note, /- Note: Without one\n/);
  assert.doesNotMatch(note, /Result/);
  await page.click("#addCallLogResult");
  await shown("Result: in the next note");
  assert.match(await endCall("With one again", { recorded: false }), /- Result: Accepted/);
});

test("a new contact can be created and called", async () => {
  await page.value(`document.querySelector("[value=Outbound]").click()`);
  await page.click("#contact");
  await page.value(`{
    const select = document.querySelector("#contact");
    select.value = "new";
    select.dispatchEvent(new Event("change"));
  }`);
  await page.click("#new-name");
  await page.type("Грета Гарбо");
  await page.click("#new-number");
  await page.type("+1 202 555 0147");
  const note = await endCall("A first call", { recorded: false });
  assert.match(note, /- Contact Number: \+12025550147/);
  assert.equal(await page.value(`document.querySelector(".call h3").textContent`), "Грета Гарбо");
});

test("changes by another program are shown at once", async () => {
  const { activities } = await crm("GET", "/activities");
  await crm("PATCH", `/activities/${activities[0].id}`, { body: `${activities[0].body}Added elsewhere.\n` });
  await page.until(`document.querySelector(".call .body .fresh")?.textContent === "Added elsewhere."`);
  const calls = await page.value(CALLS);
  await crm("DELETE", `/activities/${activities[1].id}`);
  await page.until(`${CALLS} === ${calls - 1}`);
  expectRejection(404);
});

test("the page fits a desktop, a phone and the dark colour scheme", async () => {
  await page.click("#extras");
  await withoutToasts();
  await endCall("Wants a quote for 40 seats, see https://shop.example/quote?id=7.\nCall back on Friday.");
  await page.until(`${NOTE}.includes("AI Note") || ${NOTE}.includes("(pending...)")`);
  await page.value(`scrollTo({ top: 0, behavior: "instant" })`);
  await page.picture(`${SCREENSHOTS}/desktop-light.png`);
  await page.click("#settings summary");
  await page.size(1120, 660);
  await page.value(`scrollTo({ top: 0, behavior: "instant" })`);
  await page.picture(`${SCREENSHOTS}/readme.png`);
  await page.size(1280, 900);
  await page.colours("dark");
  await sleep(300); // The switches are animated.
  await page.picture(`${SCREENSHOTS}/desktop-dark.png`);
  await page.size(390, 844, true);
  await page.colours("light");
  await page.click(".call .edit");
  await page.picture(`${SCREENSHOTS}/phone-editing.png`);
  await page.send("Input.dispatchKeyEvent", { type: "keyDown", key: "Escape", code: "Escape" });
  await page.until(`!document.querySelector(".editor") && document.activeElement.matches(".call .edit")`);
  await page.until(`${NOTE}.includes("https://media.example/")`);
  await page.picture(`${SCREENSHOTS}/phone-recording.png`);
  await withoutToasts();
  assert.equal(await page.value(`document.documentElement.scrollWidth`), 390);
  await page.value(`scrollTo({ top: 0, behavior: "instant" })`);
  await page.picture(`${SCREENSHOTS}/phone.png`, true);
});

test("an account is connected with the key that the page shows", async () => {
  const key = await page.value(`document.querySelector("#crm-key").value`);
  assert.equal(await page.value(`document.querySelector("#manifest").value`), `${program.url}crmManifest`);
  const result = `document.querySelector(".result").textContent`;
  const connect = async (entered) => {
    await page.open(`${program.url}connect`);
    await page.click("form[action$='/connect/key'] input[name=apiKey]");
    await page.type(entered);
    await page.click("form[action$='/connect/key'] button");
    await page.until(`location.pathname === "/connect/result" && !!document.querySelector(".result")`);
    return page.value(result);
  };
  assert.equal(await connect("wrong"), "Example CRM refused the key. Copy it from Example CRM again.");
  assert.equal(await connect(key), "Connected to Example CRM as Ada Agent (Example CRM).");
  assert.equal(await page.value(`location.search`), "");
  for (const [width, height, name] of [[1280, 800, "desktop"], [390, 844, "phone"]]) {
    await page.size(width, height);
    await page.open(`${program.url}connect`);
    assert.ok(await page.value(`document.documentElement.scrollWidth <= innerWidth`), name);
    await page.picture(`${SCREENSHOTS}/connect-${name}.png`);
  }
});

test("the console has no unexpected errors", () => assert.deepEqual(page.complaints, []));
