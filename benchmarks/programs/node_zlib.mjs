// The application of compression.py on Node's own http and zlib, gzip at its default level (6).
// /flush/NAME flushes after each chunk, as ours and Starlette's do; /NAME as createGzip() does it by default: when it
// has 16 KiB to send.
import { readFileSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import { once } from "node:events";
import zlib from "node:zlib";

const [port, folder] = process.argv.slice(2);
const types = { orders: "application/json", page: "text/html; charset=utf-8",
                log: "text/plain; charset=utf-8", rows: "application/x-ndjson" };
const bodies = Object.fromEntries(Object.keys(types).map((name) => [name, chunksOf(name)]));

function chunksOf(name) {
  const files = readdirSync(folder).filter((file) => file.startsWith(`${name}.`));
  return files.sort((a, b) => a.split(".")[1] - b.split(".")[1]).map((file) => readFileSync(`${folder}/${file}`));
}

createServer(async (request, response) => {
  const flushed = request.url.startsWith("/flush/");
  const name = request.url.slice(flushed ? "/flush/".length : 1);
  response.writeHead(200, { "content-type": types[name], "content-encoding": "gzip", vary: "Accept-Encoding" });
  const gzip = zlib.createGzip(flushed ? { flush: zlib.constants.Z_SYNC_FLUSH } : {});
  gzip.pipe(response);
  for (const chunk of bodies[name]) {
    if (!gzip.write(chunk)) await once(gzip, "drain");
  }
  gzip.end();
}).listen(Number(port), "127.0.0.1");
