// Requests to the program: to the functions' routes, to the Example CRM, and to the simulation.

/** The response of `GET /demo/context`: the token of the demo user and the key of the Example CRM. */
export let context = {};

async function request(method, path, headers, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? headers : { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(40_000),
    });
  } catch {
    throw new Error("call-log serve does not respond. Check that it is running.");
  }
  const result = await response.json().catch(() => ({}));
  if (response.ok) return result;
  const message = result.returnMessage?.message ?? result.error ?? `call-log serve responded with status ${response.status}.`;
  throw Object.assign(new Error(message), { status: response.status, result });
}

/** Sends a request to the Example CRM's API. */
export const crm = (method, path, body, headers = {}) =>
  request(method, `/example-crm/v1${path}`, { Authorization: `Bearer ${context.crmKey}`, ...headers }, body);

/** Sends a request to a route of the functions, as the demo user. */
export const routes = (method, path, body) => request(method, path, { Authorization: `Bearer ${context.token}` }, body);

/** Sends a request to the simulation. */
export const simulation = (method, path, body) => request(method, `/demo${path}`, {}, body);

export async function readContext() {
  context = await simulation("GET", "/context");
}
