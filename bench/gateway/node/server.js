// The Node peer: verifies the token, limits each user, forwards. One process, no log, as fast as its
// plugins are without further work:  node server.js PORT UPSTREAM PUBLIC_KEY_FILE ISSUER AUDIENCE LIMIT

import { readFileSync } from "node:fs";
import Fastify from "fastify";
import proxy from "@fastify/http-proxy";
import jwt from "@fastify/jwt";
import rateLimit from "@fastify/rate-limit";

const [port, upstream, keyFile, issuer, audience, limit] = process.argv.slice(2);
const app = Fastify({ logger: false });

await app.register(jwt, {
  secret: { public: readFileSync(keyFile, "utf8") },
  verify: { algorithms: ["RS256"], allowedIss: issuer, allowedAud: audience },
});
app.addHook("onRequest", (request) => request.jwtVerify());
await app.register(rateLimit, {
  hook: "preHandler",
  keyGenerator: (request) => request.user.sub,
  max: Number(limit),
  timeWindow: "1 minute",
});
await app.register(proxy, { upstream, undici: { connections: 64, pipelining: 1 } });
await app.listen({ host: "127.0.0.1", port: Number(port) });
