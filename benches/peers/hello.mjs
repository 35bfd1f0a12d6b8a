// A Node server that does nothing, for `--peer "node benches/peers/hello.mjs"`: what any JavaScript starts from.
import { Agent, request } from 'node:http';

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function ask(method, path, body) {
    return new Promise((resolve, reject) => {
        const headers = body ? { 'content-length': Buffer.byteLength(body) } : {};
        const options = { agent, hostname, port, method, headers, path: `/2018-06-01/runtime/invocation/${path}` };
        const asked = request(options, (answer) => {
            const chunks = [];
            answer.on('data', (chunk) => chunks.push(chunk));
            answer.on('end', () => resolve({ headers: answer.headers, text: Buffer.concat(chunks).toString() }));
        });
        asked.on('error', reject).end(body);
    });
}

for (;;) {
    const { headers, text } = await ask('GET', 'next');
    JSON.parse(text);
    const answer = JSON.stringify({ statusCode: 200, headers: {}, body: '{"successful":true}' });
    await ask('POST', `${headers['lambda-runtime-aws-request-id']}/response`, answer);
}
