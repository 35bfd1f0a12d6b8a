// How text becomes elements. What a record says becomes text nodes, and never markup.

/** An element with these properties and children; children that are strings become text. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** Text with its web addresses made into links. */
function linked(text) {
  const parts = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(/https?:\/\/[^\s<>"'`]+/gi)) {
    let length = found.length;
    while (".,;:!?)]".includes(found[length - 1])) length -= 1;
    const url = found.slice(0, length);
    if (!URL.canParse(url)) continue;
    const link = element("a", { href: url, textContent: url, target: "_blank", rel: "noopener noreferrer" });
    parts.push(text.slice(done, index), link);
    done = index + length;
  }
  return [...parts, text.slice(done)];
}

/** One line of a note: exactly its text, with a section's label set back. */
function line(text) {
  const label = /^- [^:]{1,60}:/.exec(text)?.[0] ?? "";
  const value = text.slice(label.length);
  const node = element("div", { dir: "auto", className: /^--- (JOURNEY )?END$/.test(text) ? "rule" : "" });
  if (label) node.append(element("span", { className: "label", textContent: label }));
  if (label && value === " (pending...)") node.append(element("span", { className: "waiting", textContent: value }));
  else node.append(...linked(value));
  return node;
}

/** Shows a note, and marks the lines that `before` has not. */
export function showNote(node, body, before) {
  const known = new Map();
  for (const text of before?.split("\n") ?? []) known.set(text, (known.get(text) ?? 0) + 1);
  const lines = body.replace(/\n$/, "").split("\n").map((text) => {
    const shownLine = line(text);
    const count = known.get(text) ?? 0;
    known.set(text, count - 1);
    if (before !== undefined && text && count < 1) shownLine.classList.add("fresh");
    return shownLine;
  });
  node.replaceChildren(...lines);
}
