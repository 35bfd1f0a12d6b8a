// The telephone that a person plays, the CRM's trouble, what waits, and the recordings that are to come.

import { eventsOfCall } from "./call.js";
import { cards, contacts, showCall, take } from "./calls.js";
import { element } from "./note.js";
import { crm, routes, simulation } from "./requests.js";
import { showError, toast } from "./toasts.js";

const byId = (id) => document.getElementById(id);
const delay = Number(new URLSearchParams(location.search).get("recordingDelay") ?? NaN);
/** Milliseconds from the end of a call until its recording comes. */
const RECORDING_DELAY = Number.isFinite(delay) ? delay : 4000;
/** The number of requests that "20 times at once" sends. */
const AT_ONCE = 20;

let lastEvent = null;
/** By the id of the session: the name of the contact, to say whose call waits. */
const names = new Map(JSON.parse(sessionStorage.getItem("names") ?? "[]"));
/** The recordings that are to come, the number of the last result that was shown, and the difference between the clocks. */
let recordings = [];
let lastResult = null;
let ahead = 0;

// ------------------------------------------------------------------------------------------------ simulating a call

export function fillContactChoice() {
  const select = byId("contact");
  const chosen = select.value;
  const options = [...contacts.values()].map(({ id, name, phoneNumber }) => new Option(`${name}, ${phoneNumber}`, id));
  select.replaceChildren(...options, new Option("New contact…", "new"));
  if (chosen && (chosen === "new" || contacts.has(chosen))) select.value = chosen;
}

function chooseContact() {
  const isNew = byId("contact").value === "new";
  byId("new-contact").hidden = !isNew;
  byId("new-name").required = byId("new-number").required = isNew;
}

/** Returns the contact of the call; a new contact is created first. */
async function callContact() {
  const select = byId("contact");
  if (select.value !== "new") return contacts.get(select.value);
  const phoneNumber = `+${byId("new-number").value.replace(/\D/g, "")}`;
  const contact = await crm("POST", "/contacts", { name: byId("new-name").value, phoneNumber });
  contacts.set(contact.id, contact);
  byId("new-name").value = byId("new-number").value = "";
  fillContactChoice();
  select.value = contact.id;
  chooseContact();
  return contact;
}

/** Sends the event of a call's end, shows the message of the response, and returns the response. */
async function log(event) {
  try {
    const response = await routes("POST", "/callLog", event);
    toast(response.returnMessage);
    return response;
  } catch (error) {
    showError(error);
    return error.result ?? {};
  }
}

/** Sends an event many times at once, and says what the responses are. */
async function logAtOnce(event) {
  const sent = Array.from({ length: AT_ONCE }, () => routes("POST", "/callLog", event).catch((error) => error.result ?? {}));
  const responses = await Promise.all(sent);
  const counts = new Map();
  for (const { returnMessage } of responses) {
    const message = returnMessage?.message ?? "No response";
    counts.set(message, (counts.get(message) ?? 0) + 1);
  }
  const items = [...counts].map(([message, count]) => ({ text: `${count} × ${message}` }));
  toast({ message: `${AT_ONCE} requests for one call`, messageType: "success", ttl: 6000, details: [{ items }] });
  return responses.find((response) => response.logId) ?? responses[0];
}

async function endCall(event) {
  event.preventDefault();
  const form = event.target;
  if (form.ariaBusy === "true") return;
  // A disabled button would lose the focus.
  form.ariaBusy = "true";
  try {
    const direction = new FormData(form).get("direction");
    const contact = await callContact();
    const [recorded, extras] = [byId("recorded").checked, byId("extras").checked];
    const { now, later } = eventsOfCall(direction, contact, byId("note").value, recorded, extras);
    const sessionId = now.logInfo.sessionId;
    names.set(sessionId, contact.name);
    sessionStorage.setItem("names", JSON.stringify([...names].slice(-200)));
    const way = byId("arrival").value;
    const record = (logId, delayMs) => later && simulation("POST", "/recordings", { event: later, logId, delayMs });
    if (way === "recording first") await record(null, 0).then(() => new Promise((resolve) => setTimeout(resolve, 700)));
    const { logId } = await (way === "at once" ? logAtOnce(now) : log(now));
    form.ariaBusy = "false";
    if (way !== "recording first") await record(logId ?? null, RECORDING_DELAY);
    lastEvent = now;
    byId("again").disabled = false;
    byId("note").value = "";
    if (logId) {
      take(await crm("GET", `/activities/${logId}`));
      showCall(logId);
    }
    await readState();
  } catch (error) {
    showError(error);
  }
  form.ariaBusy = "false";
}

// --------------------------------------------------------------------------- trouble, what waits, and recordings to come

async function chooseTrouble({ target }) {
  try {
    await simulation("PUT", "/trouble", { trouble: target.value });
  } catch (error) {
    showError(error);
  }
  await readState();
}

/** Reads what the simulation does. If the program does not respond, the page says so elsewhere. */
export async function readState() {
  const state = await simulation("GET", "/state").catch(() => null);
  if (!state) return;
  ahead = state.now - Date.now();
  recordings = state.recordings;
  for (const input of byId("trouble").querySelectorAll("input")) input.checked = input.value === state.trouble;
  byId("hard-state").textContent = state.trouble === "none" ? "" : "on";
  const newest = state.results.at(-1)?.number ?? 0;
  for (const { number, response } of state.results) {
    if (lastResult !== null && number > lastResult) toast(response.returnMessage ?? { message: response.error, messageType: "danger" });
  }
  lastResult = newest;
  showWaiting(state.waiting);
  for (const [id, { editor }] of cards) {
    const recording = recordings.find(({ logId }) => logId === id);
    if (editor && recording?.progress === "coming") {
      await simulation("POST", `/recordings/${recording.sessionId}/hold`).catch(() => {});
    }
  }
}

const secondsUntil = (time) => Math.max(Math.ceil((time - Date.now() - ahead) / 1000), 0);

function showWaiting({ count, calls }) {
  byId("waiting").hidden = count === 0;
  byId("waiting-title").textContent = count === 1 ? "1 call waits for the CRM" : `${count} calls wait for the CRM`;
  const rows = calls.map(({ sessionId, meaning, tries, next }) => {
    const seconds = secondsUntil(next);
    const tried = tries ? `, ${tries} failed ${tries === 1 ? "attempt" : "attempts"}` : "";
    const when = seconds ? `next try in ${seconds} s` : "the next try is due";
    return element("li", {}, element("strong", { textContent: names.get(sessionId) ?? `Session ${sessionId}`, dir: "auto" }),
      element("span", { textContent: `: ${meaning}; ${when}${tried}.` }));
  });
  byId("waiting-list").replaceChildren(...rows);
}

function showRecordings() {
  for (const [id, card] of cards) {
    showComing(card, recordings.find(({ logId }) => logId === id));
  }
}

function showComing(card, recording) {
  card.coming.hidden = !recording;
  if (!recording) return;
  const { progress, sessionId, due } = recording;
  const status = progress === "sending" ? "The recording is arriving…"
    : progress === "failed" ? "The recording could not be sent."
    : card.editor ? "The recording waits while you edit."
    : `Recording in ${Math.max(secondsUntil(due), 1)} s`;
  if (!card.coming.firstChild) card.coming.append(element("span"), element("button", { type: "button", className: "small" }));
  const [text, button] = card.coming.children;
  if (text.textContent !== status) text.textContent = status;
  button.textContent = progress === "failed" ? "Try again" : "Send it now";
  button.hidden = progress === "sending";
  button.onclick = () => simulation("POST", `/recordings/${sessionId}/send`).then(readState, showError);
}

/** Connects the form, and keeps what is shown up to date. */
export function buildSimulation() {
  byId("simulate").onsubmit = endCall;
  byId("contact").onchange = chooseContact;
  byId("again").onclick = () => log(lastEvent);
  byId("trouble").onchange = chooseTrouble;
  setInterval(showRecordings, 200);
  setInterval(readState, 1000);
}
