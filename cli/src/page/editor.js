// The editor of a note. What a person has typed is never lost without a question.

import { element } from "./note.js";
import { crm } from "./requests.js";

/** The editors whose text a person has changed. */
const changed = new Set();

addEventListener("beforeunload", (event) => {
  if (changed.size) event.preventDefault();
});

/**
 * Opens an editor for the note of an activity. It saves only if the note has not changed in the meantime. `place` puts it
 * into the page, `take` receives each newer version of the activity, and `closed` is called at the end.
 */
export function openEditor({ id, body, version }, place, take, closed) {
  let initial = body;
  const text = element("textarea", { value: body, dir: "auto", id: `body-${id}` });
  text.rows = Math.min(Math.max(body.split("\n").length + 1, 5), 18);
  const problem = element("p", { className: "said", role: "alert" });
  const mine = element("pre", { dir: "auto" });
  const useMine = element("button", { type: "button", className: "small", textContent: "Edit my text" });
  const other = element("div", { className: "other", hidden: true }, mine, useMine);
  const save = element("button", { className: "primary small", textContent: "Save" });
  const cancel = element("button", { type: "button", className: "small", textContent: "Cancel" });
  const discard = element("button", { type: "button", className: "small", textContent: "Discard my text" });
  const keep = element("button", { type: "button", className: "small", textContent: "Go on editing" });
  const question = element("div", { className: "actions question", hidden: true, role: "alert" },
    element("span", { textContent: "Your text is not saved." }), discard, keep);
  const label = element("label", { htmlFor: text.id, textContent: "Note in the CRM" });
  const buttons = element("div", { className: "actions" }, save, cancel);
  const editor = element("form", { className: "editor" }, label, text, problem, other, buttons, question);

  const focusStart = () => {
    text.focus({ preventScroll: true });
    text.setSelectionRange(0, 0);
  };
  const close = () => {
    changed.delete(editor);
    editor.remove();
    closed();
  };
  const leave = () => {
    const isChanged = changed.has(editor);
    question.hidden = !isChanged;
    if (isChanged) keep.focus();
    else close();
  };
  const rememberChange = () => {
    if (text.value === initial && other.hidden) changed.delete(editor);
    else changed.add(editor);
  };
  const startOver = async () => {
    const current = await crm("GET", `/activities/${id}`);
    take(current);
    problem.textContent = "This note changed while you were editing. The editor has the current note. Your text is below:";
    mine.textContent = text.value;
    other.hidden = false;
    text.value = initial = current.body;
    version = current.version;
    focusStart();
  };
  useMine.onclick = () => {
    [text.value, mine.textContent] = [mine.textContent, text.value];
    problem.textContent = "The editor has your text. The current note is below; saving replaces it:";
    useMine.textContent = useMine.textContent === "Edit my text" ? "Edit the current note" : "Edit my text";
    focusStart();
  };
  editor.onsubmit = async (event) => {
    event.preventDefault();
    save.disabled = true;
    try {
      take(await crm("PATCH", `/activities/${id}`, { body: text.value }, { "If-Match": `"${version}"` }));
      close();
    } catch (error) {
      problem.textContent = error.message;
      if (error.status === 412) await startOver().catch((failure) => (problem.textContent = failure.message));
    }
    save.disabled = false;
  };
  text.oninput = rememberChange;
  cancel.onclick = leave;
  discard.onclick = close;
  keep.onclick = () => {
    question.hidden = true;
    text.focus();
  };
  editor.onkeydown = (event) => {
    if (event.key === "Escape" && question.hidden) leave();
    else if (event.key === "Escape") keep.click();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) editor.requestSubmit();
  };
  place(editor);
  focusStart();
  return editor;
}
