// Turns text into elements. Text of a record becomes text nodes, never markup.

/** Creates an element with properties and children. A child that is a string becomes a text node. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Returns the text as nodes, with its web addresses as links. */
function linked(text) {
  const parts = [];
  let end = 0;
  for (const { 0: found, index } of text.matchAll(/https?:\/\/[^\s<>"'`]+/gi)) {
    let length = found.length;
    while (".,;:!?)]".includes(found[length - 1])) length -= 1;
    const url = found.slice(0, length);
    if (!URL.canParse(url)) continue;
    const link = element("a", { href: url, textContent: url, target: "_blank", rel: "noopener noreferrer" });
    parts.push(text.slice(end, index), link);
    end = index + length;
  }
  return [...parts, text.slice(end)];
}

/** Returns a line of a note with its text unchanged. The label of a section is less prominent. */
function line(text) {
  const label = /^- [^:]{1,60}:/.exec(text)?.[0] ?? "";
  const value = text.slice(label.length);
  const node = element("div", { dir: "auto", className: /^--- (JOURNEY )?END$/.test(text) ? "rule" : "" });
  if (label) node.append(element("span", { className: "label", textContent: label }));
  if (label && value === " (pending...)") node.append(element("span", { className: "waiting", textContent: value }));
  else node.append(...linked(value));
  return node;
}

/** Shows a note, and marks the lines that `before` does not contain. */
export function showNote(node, body, before) {
  const counts = new Map();
  for (const text of before?.split("\n") ?? []) counts.set(text, (counts.get(text) ?? 0) + 1);
  const lines = body.replace(/\n$/, "").split("\n").map((text) => {
    const lineNode = line(text);
    const count = counts.get(text) ?? 0;
    counts.set(text, count - 1);
    if (before !== undefined && text && count < 1) lineNode.classList.add("fresh");
    return lineNode;
  });
  node.replaceChildren(...lines);
}
