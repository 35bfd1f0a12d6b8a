// A Node function that does nothing, for `--peer "node benches/peers/hello.mjs"`: the floor of any JavaScript function.
import { Agent, request } from 'node:http';

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body) {
    return new Promise((resolve, reject) => {
        const headers = body ? { 'content-length': Buffer.byteLength(body) } : {};
        const options = { agent, hostname, port, method, headers, path: `/2018-06-01/runtime/invocation/${path}` };
        const sent = request(options, (response) => {
            const chunks = [];
            response.on('data', (chunk) => chunks.push(chunk));
            response.on('end', () => resolve({ headers: response.headers, text: Buffer.concat(chunks).toString() }));
        });
        sent.on('error', reject).end(body);
    });
}

for (;;) {
    const { headers, text } = await ask('GET', 'next');
    JSON.parse(text);
    const response = JSON.stringify({ statusCode: 200, headers: {}, body: '{"successful":true}' });
    await ask('POST', `${headers['lambda-runtime-aws-request-id']}/response`, response);
}
