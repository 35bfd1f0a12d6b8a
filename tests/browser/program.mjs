// Starts `call-log serve` in memory, on free ports.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

const ARGUMENTS = ["serve", "--in-memory", "--port", "0"];
const PATIENCE = 30_000;

/** Starts the program, and returns the address of its page and a function that ends it. */
export async function serve(executable) {
  const process = spawn(executable, ARGUMENTS, { stdio: ["ignore", "pipe", "inherit"] });
  const url = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${executable} printed no address`)), PATIENCE);
    process.on("error", reject);
    process.on("exit", (code) => reject(new Error(`${executable} ended with ${code}`)));
    createInterface(process.stdout).on("line", (line) => {
      const found = /\bPage\b.*?(http:\/\/127\.0\.0\.1:\d+\/)/.exec(line);
      if (!found) return;
      clearTimeout(timer);
      resolve(found[1]);
    });
  }).catch((error) => {
    process.kill();
    throw error;
  });
  const close = async () => {
    const ended = process.exitCode === null ? once(process, "exit") : null;
    process.kill();
    await ended;
  };
  return { url, close };
}
