// The page of `call-log serve`. It shows the records of the Example CRM while they change, and sends the events of simulated
// telephone calls to the program's routes, as a telephony client would.

import { forget, loadContacts, search, showOlder, showOnly, take, takeAll } from "./calls.js";
import { context, crm, readContext } from "./requests.js";
import { buildSettings, fillSettings, readSettings } from "./settings.js";
import { buildSimulation, fillContactChoice, readState } from "./simulate.js";

const byId = (id) => document.getElementById(id);

/** Reads all data: at the start, and after the connection was lost. */
async function load() {
  await loadContacts();
  fillContactChoice();
  const [settings, response] = await Promise.all([readSettings(), crm("GET", "/activities")]);
  fillSettings(settings);
  takeAll(response.activities);
  await readState();
}

async function onChange({ data }) {
  const { kind, id } = JSON.parse(data);
  try {
    if (kind === "contact") await loadContacts().then(fillContactChoice);
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
    await readContext();
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

buildSettings();
buildSimulation();
byId("search").oninput = ({ target }) => search(target.value);
byId("all").onclick = () => {
  byId("search").value = "";
  search("");
  showOnly(null);
};
byId("older").onclick = showOlder;
connect();
