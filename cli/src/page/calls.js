// The calls in the CRM, as cards. The newest is first. A card is one line until a person opens it.

import { openEditor } from "./editor.js";
import { element, showNote } from "./note.js";
import { crm } from "./requests.js";

const PAGE_SIZE = 50;

const byId = (id) => document.getElementById(id);
export const contacts = new Map();
const activities = new Map();
/** By activity id: the elements of each activity that is shown, and its editor while a person edits it. */
export const cards = new Map();
let onlyContact = null;
let words = [];
let shown = PAGE_SIZE;

/** Highlights an element that has just changed. */
function flash(node) {
  node.classList.remove("fresh");
  void node.offsetWidth; // Restarts the animation.
  node.classList.add("fresh");
}

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

const contactName = (activity) => contacts.get(activity.contactId)?.name ?? "Unknown contact";

/** Stores the current version of an activity, and shows it. */
export function take(activity, quietly = false) {
  const before = activities.get(activity.id);
  // A record with another creation time is another record: the CRM may have restarted without its data.
  if (before?.createdAt === activity.createdAt && before.version >= activity.version) return;
  activities.set(activity.id, activity);
  const card = cards.get(activity.id);
  if (card) fill(card, activity, before);
  if (quietly) return;
  arrange();
  if (!before && cards.has(activity.id)) {
    // The call that has just come is the one that a person looks at.
    for (const { node, editor } of cards.values()) if (!editor) node.firstChild.open = false;
    const { node } = cards.get(activity.id);
    node.firstChild.open = true;
    flash(node);
  }
}

/** Removes an activity that was deleted in the CRM. One that is being edited stays until then, for the text in its editor. */
export function forget(id) {
  const card = cards.get(id);
  if (card?.editor) {
    card.isDeleted = true;
    return;
  }
  activities.delete(id);
  card?.node.remove();
  cards.delete(id);
  arrange();
}

/** Takes these activities as all that there are. */
export function takeAll(all) {
  const existing = new Set(all.map((activity) => activity.id));
  for (const id of [...activities.keys()]) if (!existing.has(id)) forget(id);
  for (const activity of all) take(activity, true);
  arrange();
  const open = document.querySelector("#list details[open]");
  if (!open) document.querySelector("#list details")?.setAttribute("open", "");
}

/** Whether a person is looking for this activity. One that is being edited stays. */
function isWanted(activity) {
  if (cards.get(activity.id)?.editor) return true;
  if (onlyContact && activity.contactId !== onlyContact) return false;
  const number = contacts.get(activity.contactId)?.phoneNumber ?? "";
  const text = [contactName(activity), number, activity.subject, activity.body].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Sorts the cards. A card that is already in its place is not moved, so that it keeps the focus. */
function arrange() {
  const wanted = [...activities.values()].filter(isWanted);
  wanted.sort((left, right) => right.createdAt.localeCompare(left.createdAt) || right.id - left.id);
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
  const isFiltered = Boolean(onlyContact || words.length);
  byId("empty").hidden = wanted.length > 0;
  byId("empty").textContent = isFiltered ? "No call matches."
    : "No calls yet. End a call, and its log appears here.";
  byId("older").hidden = wanted.length <= shown;
  byId("all").hidden = !isFiltered;
  byId("calls-title").textContent = onlyContact ? `Calls with ${contacts.get(onlyContact)?.name}` : "Calls in the CRM";
  byId("count").textContent = isFiltered ? `${wanted.length} of ${activities.size}` : String(activities.size);
}

function newCard(activity) {
  const parts = {
    way: element("span"),
    name: element("h3", { dir: "auto" }),
    first: element("span", { className: "first", dir: "auto" }),
    when: element("span", { className: "when" }),
    subject: element("p", { className: "subject", dir: "auto" }),
    body: element("div", { className: "body" }),
    coming: element("div", { className: "coming", hidden: true }),
    edit: element("button", { type: "button", className: "small edit", textContent: "Edit" }),
    editor: null,
  };
  const summary = element("summary", {}, parts.way, parts.name, parts.first, parts.when);
  const second = element("div", { className: "second" }, parts.subject, parts.edit);
  const details = element("details", {}, summary, second, parts.body, parts.coming);
  const card = { ...parts, id: activity.id, node: element("li", { className: "call", id: `call-${activity.id}` }, details) };
  card.edit.onclick = () => edit(card);
  cards.set(activity.id, card);
  fill(card, activity);
  return card;
}

/** Returns what a closed card shows of a note: the agent's words, else its first line. */
function firstLine(body) {
  const lines = body.split("\n");
  const own = lines.find((line) => line.startsWith("- Note: "))?.slice(8);
  return own || lines.find((line) => line.trim()) || "";
}

function fill(card, activity, before) {
  const name = contactName(activity);
  card.way.className = `way ${activity.direction}`;
  card.way.textContent = activity.direction === "Inbound" ? "↙" : "↗";
  card.way.title = activity.direction;
  card.way.setAttribute("role", "img");
  card.way.setAttribute("aria-label", activity.direction);
  card.name.textContent = name;
  card.first.textContent = firstLine(activity.body);
  card.edit.setAttribute("aria-label", `Edit the note of the call with ${name}`);
  const time = shortTime(activity.startTime ?? activity.createdAt);
  card.when.textContent = `${time} · ${duration(activity.durationSeconds)}`;
  card.subject.textContent = activity.subject;
  showNote(card.body, activity.body, before?.body);
  if (before && before.subject !== activity.subject) flash(card.subject);
  if (before && before.durationSeconds !== activity.durationSeconds) flash(card.when);
}

function edit(card) {
  const closed = () => {
    card.editor = null;
    card.body.hidden = card.edit.hidden = false;
    card.edit.focus();
    if (card.isDeleted) forget(card.id);
    arrange();
  };
  card.body.hidden = card.edit.hidden = true;
  card.editor = openEditor(activities.get(card.id), (editor) => card.body.after(editor), take, closed);
}

/** Scrolls to the card of a call. */
export function showCall(id) {
  cards.get(id)?.node.scrollIntoView({ block: "nearest" });
}

// -------------------------------------------------------------------------------------------------- search and contacts

export function search(text) {
  words = text.toLowerCase().split(/\s+/).filter(Boolean);
  shown = PAGE_SIZE;
  arrange();
}

export function showOlder() {
  shown += PAGE_SIZE;
  arrange();
}

/** Shows the calls with one contact; null: with all. */
export function showOnly(id) {
  onlyContact = id;
  shown = PAGE_SIZE;
  for (const button of byId("people").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.id === id));
  }
  arrange();
}

export async function loadContacts() {
  const response = await crm("GET", "/contacts");
  contacts.clear();
  for (const contact of response.contacts) contacts.set(contact.id, contact);
  const rows = [...contacts.values()].map(({ id, name, phoneNumber }) => {
    const button = element("button", { type: "button" }, element("span", { textContent: name, dir: "auto" }),
      element("span", { className: "number", textContent: phoneNumber }));
    button.setAttribute("aria-pressed", String(onlyContact === id));
    button.onclick = () => showOnly(onlyContact === id ? null : id);
    button.dataset.id = id;
    return element("li", {}, button);
  });
  byId("people").replaceChildren(...rows);
  for (const card of cards.values()) fill(card, activities.get(card.id));
}
