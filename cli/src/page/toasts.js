// Messages at the edge of the window.

import { element } from "./note.js";

/** Shows a message of a response. */
export function toast(message) {
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
  const toasts = document.getElementById("toasts");
  for (const other of [...toasts.children]) if (other.textContent === node.textContent) other.remove();
  toasts.append(node);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => node.remove(), Math.max(message.ttl ?? 3000, 1500));
}

export function showError(error) {
  toast(error.result?.returnMessage ?? { message: error.message, messageType: "danger", ttl: 6000 });
}
