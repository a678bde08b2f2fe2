// Fastify as people set up a gateway: http-proxy (undici), rate-limit, helmet, compress; one process.
// Arguments: port, the service's port, the local route's path, the file with its body.
import fs from 'node:fs'
import { createRequire } from 'node:module'

const [port, upstream, path, file] = process.argv.slice(2)
const require = createRequire(new URL('../.peers/node/', import.meta.url))
const local = JSON.parse(fs.readFileSync(file, 'utf8'))

const app = require('fastify')({ bodyLimit: 1 << 20 })
await app.register(require('@fastify/helmet'))
await app.register(require('@fastify/rate-limit'), { max: 1e9, timeWindow: '1 minute' })
await app.register(require('@fastify/compress'), { threshold: 1024 })
app.get(path, async () => local)
for (const service of ['orders', 'storage']) {
  await app.register(require('@fastify/http-proxy'), {
    upstream: `http://127.0.0.1:${upstream}`,
    prefix: `/api/${service}`,
    rewritePrefix: `/${service}`,
    undici: { connections: 64, pipelining: 1 }
  })
}
await app.listen({ host: '127.0.0.1', port: Number(port) })
