// Controls headless Chromium over its DevTools protocol, through a pipe: no port, no driver, no packages.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--remote-debugging-pipe", "--lang=en-GB", "about:blank",
];
/** Milliseconds to wait for a condition before the test fails. */
const PATIENCE = 10_000;

/** Starts Chromium with one page and a new, empty profile. */
export async function launch(executable) {
  const profile = await mkdtemp(join(tmpdir(), "call-log-chromium-"));
  const process = spawn(executable, [`--user-data-dir=${profile}`, ...FLAGS], {
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
  });
  const ended = new Promise((resolve, reject) => {
    process.on("exit", resolve);
    process.on("error", reject);
  });
  const connection = new Connection(process.stdio[3], process.stdio[4]);
  ended.then(() => connection.end("Chromium has ended"), (error) => connection.end(error.message));
  const { targetInfos } = await connection.send("Target.getTargets");
  const { targetId } = targetInfos.find((target) => target.type === "page");
  const { sessionId } = await connection.send("Target.attachToTarget", { targetId, flatten: true });
  const page = new Page(connection, sessionId);
  for (const domain of ["Page", "Runtime", "Log"]) await page.send(`${domain}.enable`);
  const close = async () => {
    await connection.send("Browser.close").catch(() => process.kill());
    await ended;
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  return { page, close };
}

/** A connection of the DevTools protocol: JSON messages, each followed by a zero byte. */
class Connection {
  #calls = new Map();
  #next = 1;
  #rest = "";
  listeners = [];

  constructor(toChromium, fromChromium) {
    this.toChromium = toChromium;
    fromChromium.setEncoding("utf8").on("data", (text) => {
      const messages = (this.#rest + text).split("\0");
      this.#rest = messages.pop();
      for (const message of messages) this.#receive(JSON.parse(message));
    });
    toChromium.on("error", () => {});
  }

  #receive(message) {
    if (message.id === undefined) return this.listeners.forEach((listener) => listener(message));
    const { resolve, reject, method } = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if (message.error) reject(new Error(`${method}: ${message.error.message}`));
    else resolve(message.result);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject, method });
      this.toChromium.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  end(reason) {
    for (const { reject, method } of this.#calls.values()) reject(new Error(`${method}: ${reason}`));
    this.#calls.clear();
  }
}

/** A page, used as a person does: with clicks and keys. */
class Page {
  /** Descriptions of console errors, exceptions and dialogs. */
  complaints = [];

  constructor(connection, sessionId) {
    this.send = (method, params) => connection.send(method, params, sessionId);
    connection.listeners.push(({ method, params, sessionId: session }) => {
      if (session === sessionId) this.#listen(method, params);
    });
  }

  #listen(method, params) {
    if (method === "Runtime.exceptionThrown") {
      const { text, exception } = params.exceptionDetails;
      this.complaints.push(`exception: ${exception?.description ?? text}`);
    } else if (method === "Runtime.consoleAPICalled" && ["error", "warning", "assert"].includes(params.type)) {
      this.complaints.push(`console: ${params.args.map((each) => each.value ?? each.description).join(" ")}`);
    } else if (method === "Log.entryAdded" && params.entry.level === "error") {
      this.complaints.push(`${params.entry.source}: ${params.entry.text} ${params.entry.url ?? ""}`);
    } else if (method === "Page.javascriptDialogOpening") {
      this.complaints.push(`dialog: ${params.message}`);
      this.send("Page.handleJavaScriptDialog", { accept: true });
    }
  }

  async open(url) {
    await this.send("Page.navigate", { url });
    await this.until(`document.readyState === "complete" && location.href.startsWith(${JSON.stringify(url)})`);
  }

  /** Returns the value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression, returnByValue: true, awaitPromise: true,
    });
    if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
    return result.value;
  }

  /** Waits until an expression is true, and returns its value. */
  async until(expression, patience = PATIENCE) {
    for (const end = Date.now() + patience; ; await sleep(40)) {
      const value = await this.value(expression);
      if (value) return value;
      if (Date.now() > end) throw new Error(`still not true: ${expression}\n${await this.value("document.body.innerText")}`);
    }
  }

  async click(selector) {
    const find = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(`${find}?.checkVisibility() && !${find}.disabled`);
    const [x, y] = await this.value(`{
      const node = ${find};
      node.scrollIntoView({ block: "center", behavior: "instant" });
      const box = node.getBoundingClientRect();
      [box.x + box.width / 2, box.y + box.height / 2];
    }`);
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.send("Input.dispatchMouseEvent", { type, x, y, button: "left", clickCount: 1 });
    }
  }

  /** Types into the focused element. */
  async type(text) {
    await this.send("Input.insertText", { text });
  }

  async size(width, height, mobile = false) {
    await this.send("Emulation.setDeviceMetricsOverride", { width, height, mobile, deviceScaleFactor: mobile ? 2 : 1 });
  }

  async colours(scheme) {
    await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
  }

  /** Writes a picture of the window, or of the whole page. */
  async picture(file, whole = false) {
    const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: whole });
    await writeFile(file, Buffer.from(data, "base64"));
  }
}
