// The page of the Example CRM. It shows the CRM's records while they change, and sends the events of simulated telephone
// calls to the program's routes, as a telephony client would.

import { eventsOfCall } from "./call.js";
import { element, showNote } from "./note.js";

const PAGE_SIZE = 50;
const delay = Number(new URLSearchParams(location.search).get("recordingDelay") ?? NaN);
/** Milliseconds from the end of a call until its recording arrives. */
const RECORDING_DELAY = Number.isFinite(delay) ? delay : 4000;

const BASIC = [
  ["addCallLogNote", "Note", true],
  ["addCallSessionId", "Session id", false],
  ["addRingCentralUserName", "Your name", false],
  ["addRingCentralNumber", "Your number and extension", false],
  ["addCallLogSubject", "Subject", true],
  ["addCallLogContactNumber", "Contact number", true],
  ["addCallLogDateTime", "Date and time", true],
  ["addCallLogDuration", "Duration", true],
  ["addCallLogResult", "Result", true],
  ["addCallLogRecording", "Recording", true],
  ["addCallLogLegs", "Call journey", true],
];
const AI = [
  ["addCallLogAiNote", "AI note", true],
  ["addCallLogTranscript", "Transcript", true],
  ["addCallLogRingSenseRecordingAIScore", "Call score", true],
  ["addCallLogRingSenseRecordingLink", "Insights link", true],
  ["addCallLogRingSenseRecordingTranscript", "Insights transcript", true],
  ["addCallLogRingSenseRecordingSummary", "Insights summary", true],
  ["addCallLogRingSenseRecordingBulletedSummary", "Insights as a list", true],
];
const DATE_FORMATS = [
  ["YYYY-MM-DD hh:mm:ss A", "2025-03-12 03:45:25 PM"],
  ["YYYY-MM-DD HH:mm:ss", "2025-03-12 15:45:25"],
  ["MM/DD/YYYY hh:mm:ss A", "03/12/2025 03:45:25 PM"],
  ["MM/DD/YYYY HH:mm:ss", "03/12/2025 15:45:25"],
  ["DD/MM/YYYY hh:mm:ss A", "12/03/2025 03:45:25 PM"],
  ["DD/MM/YYYY HH:mm:ss", "12/03/2025 15:45:25"],
];

const byId = (id) => document.getElementById(id);
/** The response of `GET /demo/context`: the token of the demo user and the key of the Example CRM. */
let context = {};
const contacts = new Map();
const activities = new Map();
/** By activity id: the elements of each activity that is shown, and its editor while a person edits it. */
const cards = new Map();
/** By activity id: the second event of the call, and when to send it. */
const coming = new Map();
let onlyContact = null;
let shown = PAGE_SIZE;
let lastEvent = null;

// ------------------------------------------------------------------------------------------ requests to the program

async function request(method, path, headers, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(30_000),
    });
  } catch {
    throw new Error("call-log serve does not respond. Check that it is running.");
  }
  const result = await response.json().catch(() => ({}));
  if (response.ok) return result;
  const message = result.returnMessage?.message ?? result.error ?? `call-log serve responded with status ${response.status}.`;
  throw Object.assign(new Error(message), { status: response.status, result });
}

const crm = (method, path, body, headers = {}) =>
  request(method, `/example-crm/v1${path}`, { Authorization: `Bearer ${context.crmKey}`, ...headers }, body);

const routes = (method, path, body) => request(method, path, { Authorization: `Bearer ${context.token}` }, body);

/** Sends an event of a call, shows the message of the response, and returns the response. */
async function callLog(method, event) {
  try {
    const response = await routes(method, "/callLog", event);
    toast(response.returnMessage);
    return response;
  } catch (error) {
    showError(error);
    return { successful: false };
  }
}

// --------------------------------------------------------------------------------------------------------- messages

function toast(message) {
  if (!message?.message) return;
  const node = element("div", { className: `toast ${message.messageType ?? "success"}` });
  const text = element("div", {}, element("p", { textContent: message.message, dir: "auto" }));
  for (const { title, items = [] } of message.details ?? []) {
    const lines = [title, ...items.map((item) => item.text)].filter(Boolean);
    text.append(...lines.map((line) => element("p", { className: "details", textContent: line, dir: "auto" })));
  }
  const close = element("button", { type: "button", textContent: "×", onclick: () => node.remove() });
  close.setAttribute("aria-label", "Dismiss");
  node.append(text, close);
  // A repeated message replaces the earlier one. Three messages fit on a phone.
  const toasts = byId("toasts");
  for (const other of [...toasts.children]) if (other.textContent === node.textContent) other.remove();
  toasts.append(node);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => node.remove(), Math.max(message.ttl ?? 3000, 1500));
}

function showError(error) {
  toast(error.result?.returnMessage ?? { message: error.message, messageType: "danger", ttl: 6000 });
}

/** Highlights an element that has just changed. */
function flash(node) {
  node.classList.remove("fresh");
  void node.offsetWidth; // Restarts the animation.
  node.classList.add("fresh");
}

// ---------------------------------------------------------------------------------------------------------- calls

function duration(seconds) {
  if (seconds === null) return "duration pending";
  const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  return parts.filter(([count]) => count).map((part) => part.join(" ")).join(" ") || "0 s";
}

function shortTime(text) {
  const time = new Date(text);
  const today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** Stores the current version of an activity, and shows it. */
function take(activity, quietly = false) {
  const before = activities.get(activity.id);
  // A record with another creation time is another record: the CRM may have restarted without its data.
  if (before?.createdAt === activity.createdAt && before.version >= activity.version) return;
  activities.set(activity.id, activity);
  const card = cards.get(activity.id);
  if (card) fill(card, activity, before);
  if (quietly) return;
  arrange();
  if (!before && cards.has(activity.id)) flash(cards.get(activity.id).node);
}

function forget(id) {
  activities.delete(id);
  coming.delete(id);
  cards.get(id)?.node.remove();
  cards.delete(id);
  arrange();
}

/** Sorts the cards. A card that is already in its place is not moved, so that it keeps the focus. */
function arrange() {
  const wanted = [...activities.values()].filter((activity) => !onlyContact || activity.contactId === onlyContact);
  wanted.sort((left, right) => right.id - left.id);
  const list = byId("list");
  let place = list.firstChild;
  for (const activity of wanted.slice(0, shown)) {
    const { node } = cards.get(activity.id) ?? newCard(activity);
    if (node === place) place = place.nextSibling;
    else list.insertBefore(node, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  byId("empty").hidden = wanted.length > 0;
  byId("older").hidden = wanted.length <= shown;
  byId("all").hidden = !onlyContact;
  byId("calls-title").textContent = onlyContact ? `Calls with ${contacts.get(onlyContact)?.name}` : "Calls";
}

function newCard(activity) {
  const parts = {
    way: element("span"),
    name: element("h3", { dir: "auto" }),
    when: element("span", { className: "when" }),
    subject: element("p", { className: "subject", dir: "auto" }),
    body: element("div", { className: "body" }),
    coming: element("div", { className: "coming", hidden: true }),
    edit: element("button", { type: "button", className: "small edit", textContent: "Edit" }),
    editor: null,
  };
  const header = element("header", {}, parts.way, parts.name, parts.when);
  const second = element("div", { className: "second" }, parts.subject, parts.edit);
  const card = { ...parts, id: activity.id };
  card.node = element("li", { className: "call", id: `call-${activity.id}` }, header, second, parts.body, parts.coming);
  card.edit.onclick = () => edit(card);
  cards.set(activity.id, card);
  fill(card, activity);
  return card;
}

const contactName = (activity) => contacts.get(activity.contactId)?.name ?? "Unknown contact";

function fill(card, activity, before) {
  const name = contactName(activity);
  card.way.className = `way ${activity.direction}`;
  card.way.textContent = activity.direction === "Inbound" ? "↙" : "↗";
  card.way.title = activity.direction;
  card.way.setAttribute("role", "img");
  card.way.setAttribute("aria-label", activity.direction);
  card.name.textContent = name;
  card.edit.setAttribute("aria-label", `Edit the note of the call with ${name}`);
  const time = shortTime(activity.startTime ?? activity.createdAt);
  card.when.textContent = `${time} · ${duration(activity.durationSeconds)}`;
  card.subject.textContent = activity.subject;
  showNote(card.body, activity.body, before?.body);
  if (before && before.subject !== activity.subject) flash(card.subject);
  if (before && before.durationSeconds !== activity.durationSeconds) flash(card.when);
}

/** Opens an editor for the note. It saves only if the note has not changed in the meantime. */
function edit(card) {
  let { body, version } = activities.get(card.id);
  const text = element("textarea", { value: body, dir: "auto", id: `body-${card.id}` });
  text.rows = Math.min(Math.max(body.split("\n").length + 1, 5), 18);
  const problem = element("p", { className: "said", role: "alert" });
  const mine = element("pre", { hidden: true, dir: "auto" });
  const save = element("button", { className: "primary small", textContent: "Save" });
  const cancel = element("button", { type: "button", className: "small", textContent: "Cancel" });
  const label = element("label", { htmlFor: text.id, textContent: "Note in the CRM" });
  const buttons = element("div", { className: "actions" }, save, cancel);
  const editor = element("form", { className: "editor" }, label, text, problem, mine, buttons);

  const focus = () => {
    text.focus({ preventScroll: true });
    text.setSelectionRange(0, 0);
  };
  const close = () => {
    editor.remove();
    card.editor = null;
    card.body.hidden = card.edit.hidden = false;
    card.edit.focus();
  };
  editor.onsubmit = async (event) => {
    event.preventDefault();
    save.disabled = true;
    try {
      const saved = await crm("PATCH", `/activities/${card.id}`, { body: text.value }, { "If-Match": `"${version}"` });
      take(saved);
      close();
    } catch (error) {
      problem.textContent = error.message;
      if (error.status === 412) await startOver().catch((other) => (problem.textContent = other.message));
    }
    save.disabled = false;
  };
  const startOver = async () => {
    const current = await crm("GET", `/activities/${card.id}`);
    take(current);
    problem.textContent = "This note changed while you were editing. The current note is above; your text is below:";
    mine.textContent = text.value;
    mine.hidden = false;
    ({ body: text.value, version } = current);
    focus();
  };
  cancel.onclick = close;
  text.onkeydown = (event) => {
    if (event.key === "Escape") close();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) editor.requestSubmit();
  };
  card.editor = editor;
  card.body.hidden = card.edit.hidden = true;
  card.body.after(editor);
  focus();
}

// ------------------------------------------------------------------------------------------------ simulating a call

function fillContacts() {
  const select = byId("contact");
  const chosen = select.value;
  const options = [...contacts.values()].map(({ id, name, phoneNumber }) => new Option(`${name}, ${phoneNumber}`, id));
  select.replaceChildren(...options, new Option("New contact…", "new"));
  if (chosen && (chosen === "new" || contacts.has(chosen))) select.value = chosen;
  const rows = [...contacts.values()].map(({ id, name, phoneNumber }) => {
    const button = element("button", { type: "button" }, element("span", { textContent: name, dir: "auto" }),
      element("span", { className: "number", textContent: phoneNumber }));
    button.setAttribute("aria-pressed", String(onlyContact === id));
    button.onclick = () => showOnly(onlyContact === id ? null : id);
    button.dataset.id = id;
    return element("li", {}, button);
  });
  byId("people").replaceChildren(...rows);
}

function showOnly(id) {
  onlyContact = id;
  shown = PAGE_SIZE;
  for (const button of byId("people").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.id === id));
  }
  arrange();
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
  fillContacts();
  select.value = contact.id;
  chooseContact();
  return contact;
}

async function endCall(event) {
  event.preventDefault();
  const button = event.target.querySelector(".primary");
  button.disabled = true;
  try {
    const direction = new FormData(event.target).get("direction");
    const [recorded, extras] = [byId("recorded").checked, byId("extras").checked];
    const call = eventsOfCall(direction, await callContact(), byId("note").value, recorded, extras);
    const response = await callLog("POST", call.now);
    lastEvent = call.now;
    byId("again").disabled = false;
    if (response.successful !== false) {
      byId("note").value = "";
      if (call.later) coming.set(response.logId, { event: call.later, due: Date.now() + RECORDING_DELAY });
      take(await crm("GET", `/activities/${response.logId}`));
      cards.get(response.logId)?.node.scrollIntoView({ block: "nearest" });
    }
  } catch (error) {
    showError(error);
  }
  button.disabled = false;
}

/** Sends the event with the recording of a call. */
async function deliver(id) {
  const item = coming.get(id);
  item.state = "sending";
  const response = await callLog("PATCH", item.event);
  if (response.successful === false) item.state = "failed";
  else coming.delete(id);
}

/** Updates the countdowns, and sends the recordings that are due. A recording waits while its note is being edited. */
function tick() {
  const now = Date.now();
  for (const [id, item] of coming) {
    if (cards.get(id)?.editor) item.due = Math.max(item.due, now + Math.min(RECORDING_DELAY, 2000));
    if (!item.state && now >= item.due) deliver(id);
  }
  for (const [id, card] of cards) showComing(card, coming.get(id), now);
  sessionStorage.setItem("coming", JSON.stringify([...coming]));
}

function showComing(card, item, now) {
  card.coming.hidden = !item;
  if (!item) return;
  const status = item.state === "sending" ? "The recording is arriving…"
    : item.state === "failed" ? "The recording could not be sent."
    : card.editor ? "The recording waits while you edit."
    : `Recording in ${Math.max(Math.ceil((item.due - now) / 1000), 1)} s`;
  if (!card.coming.firstChild) {
    const button = element("button", { type: "button", className: "small", onclick: () => deliver(card.id) });
    card.coming.append(element("span"), button);
  }
  const [text, button] = card.coming.children;
  if (text.textContent !== status) text.textContent = status;
  button.textContent = item.state === "failed" ? "Try again" : "Send it now";
  button.hidden = item.state === "sending";
}

// ---------------------------------------------------------------------------------------------------------- settings

function buildSettings() {
  const row = ([key, label]) => {
    const input = element("input", { type: "checkbox", id: key });
    input.setAttribute("role", "switch");
    input.onchange = () => set(input, "checked", `${label}: ${input.checked ? "in" : "left out of"} the next note`);
    return element("label", { className: "switch" }, input, element("span", { textContent: label }));
  };
  byId("basic").append(...BASIC.map(row));
  byId("ai").append(...AI.map(row));
  const select = byId("logDateFormat");
  select.append(...DATE_FORMATS.map(([pattern, example]) => new Option(example, pattern)));
  select.onchange = () => set(select, "value", "The next note uses this date format");
}

/** Stores the value of an input, and shows the message. If that fails, the input shows the stored value again. */
async function set(input, property, message) {
  try {
    const settings = { [input.id]: { value: input[property] } };
    const response = await routes("POST", "/user/settings", { userSettings: settings });
    if (response.userSettings) fillSettings(response.userSettings);
    toast({ message, messageType: "success", ttl: 2000 });
  } catch (error) {
    showError(error);
    await routes("GET", "/user/settings").then(fillSettings, () => {});
  }
}

function fillSettings(settings) {
  for (const [key, , byDefault] of [...BASIC, ...AI]) byId(key).checked = settings[key]?.value ?? byDefault;
  byId("logDateFormat").value = settings.logDateFormat?.value ?? DATE_FORMATS[0][0];
}

// ------------------------------------------------------------------------------------------------------------- live

async function loadContacts() {
  const response = await crm("GET", "/contacts");
  contacts.clear();
  for (const contact of response.contacts) contacts.set(contact.id, contact);
  fillContacts();
  for (const card of cards.values()) card.name.textContent = contactName(activities.get(card.id));
}

/** Reads all data: at the start, and after the connection was lost. */
async function load() {
  await loadContacts();
  const [settings, response] = await Promise.all([routes("GET", "/user/settings"), crm("GET", "/activities")]);
  fillSettings(settings);
  const existing = new Set(response.activities.map((activity) => activity.id));
  for (const id of [...activities.keys()]) if (!existing.has(id)) forget(id);
  for (const activity of response.activities) take(activity, true);
  for (const id of [...coming.keys()]) if (!existing.has(id)) coming.delete(id);
  arrange();
}

async function onChange({ data }) {
  const { kind, id } = JSON.parse(data);
  try {
    if (kind === "contact") await loadContacts();
    else take(await crm("GET", `/activities/${id}`));
  } catch (error) {
    if (error.status === 404) forget(id);
  }
}

function showLive(on, text) {
  byId("live").classList.toggle("on", on);
  byId("live").textContent = text;
}

/** Connects, and reconnects whenever the connection is lost. */
async function connect() {
  let ended = false;
  const reconnect = (events) => {
    if (ended) return;
    ended = true;
    events?.close();
    showLive(false, "Connection lost. Reconnecting…");
    setTimeout(connect, 1500);
  };
  try {
    context = await request("GET", "/demo/context", {});
  } catch {
    return reconnect();
  }
  byId("manifest").value = new URL("/crmManifest", location.href).href;
  byId("crm-key").value = context.crmKey;
  const events = new EventSource(`/example-crm/v1/events?access_token=${encodeURIComponent(context.crmKey)}`);
  events.onopen = () => load().then(() => showLive(true, "Live"), () => reconnect(events));
  events.onerror = () => reconnect(events);
  events.addEventListener("change", onChange);
}

// A reload of the page keeps the recordings that are not sent yet.
for (const [id, { event, due }] of JSON.parse(sessionStorage.getItem("coming") ?? "[]")) coming.set(id, { event, due });
buildSettings();
byId("simulate").onsubmit = endCall;
byId("contact").onchange = chooseContact;
byId("again").onclick = () => callLog("POST", lastEvent);
byId("all").onclick = () => showOnly(null);
byId("older").onclick = () => {
  shown += PAGE_SIZE;
  arrange();
};
setInterval(tick, 200);
connect();
