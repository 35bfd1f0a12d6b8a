// The Example CRM's page. It shows the CRM's records as they change, and plays telephone calls against the program's
// own routes, as a telephony client would.

import { eventsOfCall } from "./call.js";
import { element, showNote } from "./note.js";

const PAGE_SIZE = 50;
const asked = Number(new URLSearchParams(location.search).get("recordingDelay") ?? NaN);
/** Milliseconds from a call's end until its recording is there. */
const RECORDING_DELAY = Number.isFinite(asked) ? asked : 4000;

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
  ["addCallLogRingSenseRecordingBulletedSummary", "Insights in points", true],
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
/** What `GET /demo/context` gave. */
let context = {};
const contacts = new Map();
const activities = new Map();
/** By activity, while it is shown: its elements and, while it is edited, its editor. */
const cards = new Map();
/** By activity: the second event of its call, which is still to come. */
const coming = new Map();
let onlyContact = null;
let shown = PAGE_SIZE;
let lastEvent = null;

// ---------------------------------------------------------------------------------------------- talking to the program

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
    throw new Error("The program is not answering. Is it still running?");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const words = answer.returnMessage?.message ?? answer.error ?? `The program answered ${response.status}.`;
  throw Object.assign(new Error(words), { status: response.status, answer });
}

const crm = (method, path, body, headers = {}) =>
  request(method, `/example-crm/v1${path}`, { Authorization: `Bearer ${context.crmKey}`, ...headers }, body);

const routes = (method, path, body) => request(method, path, { Authorization: `Bearer ${context.token}` }, body);

/** Sends a call's event, shows what came of it, and gives the answer; a failure too is an answer. */
async function callLog(method, event) {
  try {
    const answer = await routes(method, "/callLog", event);
    toast(answer.returnMessage);
    return answer;
  } catch (error) {
    complain(error);
    return { successful: false };
  }
}

// --------------------------------------------------------------------------------------------------------- messages

function toast(said) {
  if (!said?.message) return;
  const node = element("div", { className: `toast ${said.messageType ?? "success"}` });
  const text = element("div", {}, element("p", { textContent: said.message, dir: "auto" }));
  for (const { title, items = [] } of said.details ?? []) {
    const lines = [title, ...items.map((item) => item.text)].filter(Boolean);
    text.append(...lines.map((words) => element("p", { className: "details", textContent: words, dir: "auto" })));
  }
  const close = element("button", { type: "button", textContent: "×", onclick: () => node.remove() });
  close.setAttribute("aria-label", "Dismiss");
  node.append(text, close);
  // What is said again stands only once, and no more than fits on a phone.
  const toasts = byId("toasts");
  for (const other of [...toasts.children]) if (other.textContent === node.textContent) other.remove();
  toasts.append(node);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => node.remove(), Math.max(said.ttl ?? 3000, 1500));
}

function complain(error) {
  toast(error.answer?.returnMessage ?? { message: error.message, messageType: "danger", ttl: 6000 });
}

/** Marks what has just changed. */
function flash(node) {
  node.classList.remove("fresh");
  void node.offsetWidth; // Starts the animation anew.
  node.classList.add("fresh");
}

// ---------------------------------------------------------------------------------------------------------- calls

function duration(seconds) {
  if (seconds === null) return "duration pending";
  const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  return parts.filter(([count]) => count).map((part) => part.join(" ")).join(" ") || "0 s";
}

function moment(text) {
  const time = new Date(text);
  const today = time.toDateString() === new Date().toDateString();
  return time.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** Takes in an activity as the CRM now has it. */
function take(activity, quietly = false) {
  const before = activities.get(activity.id);
  // Another creation time is another record: the CRM may have started anew.
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

/** Puts the cards in order. What stays where it is is not touched, so that it keeps the focus. */
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
  const time = moment(activity.startTime ?? activity.createdAt);
  card.when.textContent = `${time} · ${duration(activity.durationSeconds)}`;
  card.subject.textContent = activity.subject;
  showNote(card.body, activity.body, before?.body);
  if (before && before.subject !== activity.subject) flash(card.subject);
  if (before && before.durationSeconds !== activity.durationSeconds) flash(card.when);
}

/** Lets a person change the note in the CRM, on the condition that nobody else does meanwhile. */
function edit(card) {
  let { body, version } = activities.get(card.id);
  const text = element("textarea", { value: body, dir: "auto", id: `body-${card.id}` });
  text.rows = Math.min(Math.max(body.split("\n").length + 1, 5), 18);
  const said = element("p", { className: "said", role: "alert" });
  const mine = element("pre", { hidden: true, dir: "auto" });
  const save = element("button", { className: "primary small", textContent: "Save" });
  const cancel = element("button", { type: "button", className: "small", textContent: "Cancel" });
  const label = element("label", { htmlFor: text.id, textContent: "The note, as the CRM keeps it" });
  const buttons = element("div", { className: "actions" }, save, cancel);
  const editor = element("form", { className: "editor" }, label, text, said, mine, buttons);

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
      said.textContent = error.message;
      if (error.status === 412) await startOver().catch((other) => (said.textContent = other.message));
    }
    save.disabled = false;
  };
  const startOver = async () => {
    const current = await crm("GET", `/activities/${card.id}`);
    take(current);
    said.textContent = "This note changed while you were editing. Above is the note as it is now; here is your text:";
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

/** The contact of the call, made first when it is new. */
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
    const answer = await callLog("POST", call.now);
    lastEvent = call.now;
    byId("again").disabled = false;
    if (answer.successful !== false) {
      byId("note").value = "";
      if (call.later) coming.set(answer.logId, { event: call.later, due: Date.now() + RECORDING_DELAY });
      take(await crm("GET", `/activities/${answer.logId}`));
      cards.get(answer.logId)?.node.scrollIntoView({ block: "nearest" });
    }
  } catch (error) {
    complain(error);
  }
  button.disabled = false;
}

/** Brings a call's recording. */
async function deliver(id) {
  const item = coming.get(id);
  item.state = "sending";
  const answer = await callLog("PATCH", item.event);
  if (answer.successful === false) item.state = "failed";
  else coming.delete(id);
}

/** Counts down to the recordings. One waits while its note is being edited. */
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
  const words = item.state === "sending" ? "The recording is arriving…"
    : item.state === "failed" ? "The recording did not get through."
    : card.editor ? "The recording waits while you edit."
    : `Recording in ${Math.max(Math.ceil((item.due - now) / 1000), 1)} s`;
  if (!card.coming.firstChild) {
    const button = element("button", { type: "button", className: "small", onclick: () => deliver(card.id) });
    card.coming.append(element("span"), button);
  }
  const [text, button] = card.coming.children;
  if (text.textContent !== words) text.textContent = words;
  button.textContent = item.state === "failed" ? "Try again" : "Deliver it now";
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
  select.onchange = () => set(select, "value", "Dates look like this in the next note");
}

/** Stores what a switch now says; if that fails, it says what is stored. */
async function set(input, property, words) {
  try {
    const settings = { [input.id]: { value: input[property] } };
    const answer = await routes("POST", "/user/settings", { userSettings: settings });
    if (answer.userSettings) fillSettings(answer.userSettings);
    toast({ message: words, messageType: "success", ttl: 2000 });
  } catch (error) {
    complain(error);
    await routes("GET", "/user/settings").then(fillSettings, () => {});
  }
}

function fillSettings(settings) {
  for (const [key, , normally] of [...BASIC, ...AI]) byId(key).checked = settings[key]?.value ?? normally;
  byId("logDateFormat").value = settings.logDateFormat?.value ?? DATE_FORMATS[0][0];
}

// ------------------------------------------------------------------------------------------------------------- live

async function loadContacts() {
  const answer = await crm("GET", "/contacts");
  contacts.clear();
  for (const contact of answer.contacts) contacts.set(contact.id, contact);
  fillContacts();
  for (const card of cards.values()) card.name.textContent = contactName(activities.get(card.id));
}

/** Reads everything: at the start, and after a connection was lost. */
async function load() {
  await loadContacts();
  const [settings, answer] = await Promise.all([routes("GET", "/user/settings"), crm("GET", "/activities")]);
  fillSettings(settings);
  const there = new Set(answer.activities.map((activity) => activity.id));
  for (const id of [...activities.keys()]) if (!there.has(id)) forget(id);
  for (const activity of answer.activities) take(activity, true);
  for (const id of [...coming.keys()]) if (!there.has(id)) coming.delete(id);
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

function showLive(on, words) {
  byId("live").classList.toggle("on", on);
  byId("live").textContent = words;
}

/** Connects, and connects again whenever the connection is lost. */
async function connect() {
  let over = false;
  const again = (events) => {
    if (over) return;
    over = true;
    events?.close();
    showLive(false, "Connection lost. Trying again…");
    setTimeout(connect, 1500);
  };
  try {
    context = await request("GET", "/demo/context", {});
  } catch {
    return again();
  }
  const events = new EventSource(`/example-crm/v1/events?access_token=${encodeURIComponent(context.crmKey)}`);
  events.onopen = () => load().then(() => showLive(true, "Live"), () => again(events));
  events.onerror = () => again(events);
  events.addEventListener("change", onChange);
}

// A reload in between does not lose a recording.
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
