// The switches of the next note.

import { element } from "./note.js";
import { routes } from "./requests.js";
import { showError, toast } from "./toasts.js";

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
/** The settings that the server has, as far as this page knows. */
let stored = {};

export function buildSettings() {
  const row = ([key, label]) => {
    const input = element("input", { type: "checkbox", id: key });
    input.setAttribute("role", "switch");
    input.onchange = () => set(key, input.checked, `${label}: ${input.checked ? "in" : "left out of"} the next note`);
    return element("label", { className: "switch" }, input, element("span", { textContent: label }));
  };
  byId("basic").append(...BASIC.map(row));
  byId("ai").append(...AI.map(row));
  const select = byId("logDateFormat");
  select.append(...DATE_FORMATS.map(([pattern, example]) => new Option(example, pattern)));
  select.onchange = () => set("logDateFormat", select.value, "The next note uses this date format");
}

/** Stores a value, and shows the message. If that fails, the page shows what the server has. */
async function set(key, value, message) {
  try {
    const response = await routes("POST", "/user/settings", { userSettings: { [key]: { value } } });
    fillSettings(response.userSettings ?? { ...stored, [key]: { value } });
    toast({ message, messageType: "success", ttl: 2000 });
  } catch (error) {
    showError(error);
    fillSettings(await readSettings().catch(() => stored));
  }
}

export const readSettings = () => routes("GET", "/user/settings");

export function fillSettings(settings) {
  stored = settings;
  for (const [key, , byDefault] of [...BASIC, ...AI]) byId(key).checked = settings[key]?.value ?? byDefault;
  const select = byId("logDateFormat");
  const format = settings.logDateFormat?.value ?? DATE_FORMATS[0][0];
  // A format that another program has chosen.
  if (![...select.options].some((option) => option.value === format)) select.append(new Option(format, format));
  select.value = format;
}
