// The page when things go wrong, with many calls, without a mouse, and for people with disabilities.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import {
  CALLS, NOTE, SCREENSHOTS, crm, endCall, open, page, program, sendCall, shown, withoutToasts,
} from "./session.mjs";

const AXE = await readFile("target/ci-axe/package/axe.min.js", "utf8");
const WAITING = `(document.querySelector("#waiting").innerText ?? "")`;

/** Chooses an option of "Make it hard". */
async function choose(trouble) {
  if (!(await page.value(`document.querySelector("#hard").open`))) await page.click("#hard summary");
  await page.click(`#trouble [value=${trouble}]`);
  await page.until(`fetch("/demo/state").then((response) => response.json()).then((state) => state.trouble === "${trouble}")`);
}

const arrive = (way) => page.value(`document.querySelector("#arrival").value = ${JSON.stringify(way)}`);

const key = async (key, code = key, options = {}) => {
  for (const type of ["keyDown", "keyUp"]) {
    const windowsVirtualKeyCode = { Tab: 9, Enter: 13, Escape: 27, " ": 32 }[key];
    await page.send("Input.dispatchKeyEvent", { type, key, code, windowsVirtualKeyCode, ...options });
  }
};

/** Returns what axe finds in the page, as lines. */
async function axe() {
  await page.value(`${AXE}; null`);
  return page.value(`axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map((node) => id + ": " + node.target.join(" "))))`);
}

test("an empty page says what to do", async () => {
  assert.equal(await page.value(`document.querySelector("#empty").innerText`),
    "No calls yet. End a call, and its log appears here.");
  assert.equal(await page.value(`document.querySelector("#count").innerText`), "0");
});

test("20 requests for one call make one record", async () => {
  await page.click("#hard summary");
  await arrive("at once");
  await endCall("Sent twenty times", { recorded: false });
  await shown("20 requests for one call");
  await arrive("once");
  await sleep(500);
  assert.equal(await page.value(CALLS), 1);
  assert.equal((await crm("GET", "/activities")).activities.length, 1);
});

test("a recording that arrives before its call is in the record", async () => {
  await arrive("recording first");
  const note = await endCall("Recording first");
  assert.match(note, /- Call recording link: https:/);
  await arrive("once");
});

test("a call waits while the CRM is down, and is logged when it responds", async () => {
  await choose("down");
  const calls = await page.value(CALLS);
  await sendCall("While it is down", { recorded: false });
  await page.until(`${WAITING}.includes("1 call waits for the CRM")`);
  assert.match(await page.value(WAITING), /Jane Smith: .*; next try in \d+ s/);
  assert.equal(await page.value(CALLS), calls);
  await page.picture(`${SCREENSHOTS}/down.png`);
  assert.equal(await page.value(`document.querySelector("#note").value`), "");
  await choose("none");
  await page.until(`${CALLS} === ${calls + 1} && document.querySelector("#waiting").hidden`, 90_000);
  assert.match(await page.value(NOTE), /While it is down/);
});

for (const trouble of ["lost", "killed"]) {
  test(`a call whose function or response is ${trouble} waits, and is in the CRM once`, async () => {
    await choose(trouble);
    const calls = await page.value(CALLS);
    await sendCall(`This one is ${trouble}`, { recorded: false });
    await page.until(`${CALLS} === ${calls + 1}`);
    await page.until(`${WAITING}.includes("waits for the CRM") || ${WAITING}.includes("wait for the CRM")`);
    await choose("none");
    page.complaints = page.complaints.filter((complaint) => !complaint.includes("status of 500 "));
    assert.equal(await page.value(CALLS), calls + 1);
  });
}

test("a slow CRM only takes time", async () => {
  await choose("slow");
  await sendCall("Slowly", { recorded: false });
  await shown("Call logged");
  await choose("none");
});

test("a recording comes although the page was closed", async () => {
  await endCall("Closed meanwhile");
  await page.open("about:blank");
  await sleep(2500);
  const { activities } = await crm("GET", "/activities");
  assert.match(activities[0].body, /Closed meanwhile[^]*- Call recording link: https:/);
  await open();
});

test("Escape asks before it discards a text", async () => {
  await endCall("To be edited", { recorded: false });
  await page.click(".call .edit");
  await key("Escape");
  await page.until(`!document.querySelector(".editor")`);
  await page.click(".call .edit");
  await page.type("Typed. ");
  await key("Escape");
  await page.until(`document.querySelector(".question")?.innerText.includes("Your text is not saved.")`);
  await key("Escape");
  await page.until(`document.querySelector(".question").hidden && document.activeElement.matches(".editor textarea")`);
  assert.match(await page.value(`document.querySelector(".editor textarea").value`), /^Typed\. /);
  await key("Escape");
  await page.click(".question button");
  await page.until(`!document.querySelector(".editor") && document.activeElement.matches(".call .edit")`);
});

test("after a conflict the typed text needs no typing again", async () => {
  await page.click(".call .edit");
  await page.type("Mine. ");
  const { activities } = await crm("GET", "/activities");
  await crm("PATCH", `/activities/${activities[0].id}`, { body: `${activities[0].body}Theirs.\n` });
  await page.click(".editor .primary");
  await page.until(`document.querySelector(".said").textContent.startsWith("This note changed while")`);
  await page.click(".other button");
  assert.match(await page.value(`document.querySelector(".editor textarea").value`), /^Mine\. /);
  assert.match(await page.value(`document.querySelector(".editor pre").textContent`), /Theirs/);
  await page.click(".other button");
  await page.type("Mine. ");
  await page.click(".editor .primary");
  await page.until(`/^Mine\\. [^]*Theirs/.test(${NOTE})`);
  page.complaints = page.complaints.filter((complaint) => !complaint.includes("status of 412 "));
});

test("an editor of a deleted record keeps the text", async () => {
  await page.click(".call .edit");
  await page.type("Not lost. ");
  const { activities } = await crm("GET", "/activities");
  await crm("DELETE", `/activities/${activities[0].id}`);
  await page.click(".editor .primary");
  await page.until(`document.querySelector(".said").textContent === "there is no such record"`);
  assert.match(await page.value(`document.querySelector(".editor textarea").value`), /^Not lost\. /);
  const calls = await page.value(CALLS);
  await page.click(".editor .actions .small:not(.primary)");
  await page.click(".question button");
  await page.until(`${CALLS} === ${calls - 1}`);
  page.complaints = page.complaints.filter((complaint) => !complaint.includes("status of 404 "));
});

test("a search finds calls by any word", async () => {
  const all = await page.value(CALLS);
  await page.click("#search");
  await page.type("FIRST jane");
  await page.until(`${CALLS} === 1`);
  assert.match(await page.value(NOTE + `|| document.querySelector(".call .first").innerText`), /Recording first/);
  assert.equal(await page.value(`document.querySelector("#count").innerText`), `1 of ${all}`);
  await page.type("qqq");
  await page.until(`${CALLS} === 0 && document.querySelector("#empty").innerText === "No call matches."`);
  await page.click("#all");
  await page.until(`${CALLS} === ${all}`);
});

test("the next call can be made without a mouse", async () => {
  await page.value(`document.querySelector("#note").focus()`);
  await page.type("By keyboard");
  const calls = await page.value(CALLS);
  await page.value(`document.querySelector("#simulate .primary").focus()`);
  await key("Enter", "Enter", { text: "\r" });
  await page.until(`${CALLS} === ${calls + 1}`);
  await shown("Call logged");
  assert.ok(await page.value(`document.activeElement.matches("#simulate .primary")`), "the focus stays");
  let stops = 0;
  while (!(await page.value(`document.activeElement.closest("#list") !== null`))) {
    await key("Tab");
    assert.ok(++stops < 20, "the list is near");
  }
  assert.ok(await page.value(`document.activeElement.matches("summary")`));
});

test("a switch shows what the server has, also if the change fails", async () => {
  await page.click("#settings summary");
  const before = await page.value(`document.querySelector("#addCallLogResult").checked`);
  await page.send("Network.enable");
  await page.send("Network.emulateNetworkConditions", { offline: true, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await page.click("#addCallLogResult");
  await shown("call-log serve does not respond. Check that it is running.");
  await page.until(`document.querySelector("#live").textContent.startsWith("Connection lost") || true`);
  await page.until(`document.querySelector("#addCallLogResult").checked === ${before}`);
  await page.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
  await page.until(`document.querySelector("#live").textContent === "Live"`);
  page.complaints = page.complaints.filter((complaint) => !complaint.includes("ERR_INTERNET_DISCONNECTED"));
});

test("an unknown date format stays chosen", async () => {
  const { token } = await (await fetch(`${program.url}demo/context`)).json();
  const stored = await fetch(`${program.url}user/settings`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ userSettings: { logDateFormat: { value: "DD.MM.YYYY" } } }),
  });
  assert.equal(stored.status, 200);
  await open();
  await page.until(`document.querySelector("#logDateFormat").value === "DD.MM.YYYY"`);
});

test("500 calls are fast to read, and nothing is lost", async () => {
  const contact = (await crm("GET", "/contacts")).contacts[2];
  const before = (await crm("GET", "/activities")).activities.length;
  for (let number = before; number < 500; number += 1) {
    await crm("POST", "/activities", {
      contactId: contact.id, subject: `Inbound Call from ${contact.name}`, body: `- Note: Call ${number}\n`,
      direction: "Inbound", startTime: null, durationSeconds: number,
    });
  }
  await open();
  await page.until(`document.querySelector("#count").innerText === "500"`);
  assert.equal(await page.value(CALLS), 50);
  await page.picture(`${SCREENSHOTS}/many.png`);
  await page.click("#older");
  await page.until(`${CALLS} === 100`);
  await page.click("#search");
  await page.type("bob 77");
  await page.until(`${CALLS} === 5`);
  await page.click("#all");
});

for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 390]]) {
  test(`axe finds nothing in the ${scheme} page of ${width} pixels`, async () => {
    await page.size(width, 900, width < 600);
    await page.colours(scheme);
    for (const details of ["#hard", "#settings", "#contacts", "#extension"]) {
      await page.value(`document.querySelector("${details}").open = true`);
    }
    await withoutToasts();
    await sleep(400); // The switches are animated.
    assert.deepEqual(await axe(), []);
  });
}

test("in forced colours a switch shows whether it is on", async () => {
  await page.size(1280, 900);
  await page.send("Emulation.setEmulatedMedia", { features: [{ name: "forced-colors", value: "active" }] });
  const colour = (id) => page.value(`getComputedStyle(document.querySelector("#${id}")).backgroundColor`);
  assert.notEqual(await colour("addCallLogNote"), await colour("addCallSessionId"));
  await page.picture(`${SCREENSHOTS}/forced-colours.png`);
});

test("the console has no unexpected errors", () => {
  assert.deepEqual(page.complaints, []);
});
