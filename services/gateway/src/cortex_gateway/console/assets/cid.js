// A file's CID, computed here: CIDv1 of UnixFS with raw leaves of 256 KiB and 174 links a node, as `ipfs add
// --cid-version=1 --raw-leaves` and the storage service make it (https://specs.ipfs.tech/unixfs/). Needs no more
// memory than one leaf, whatever the file's size.

const LEAF = 262_144;
const LINKS = 174;
const RAW = 0x55;
const DAG_PB = 0x70;
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** Browsers lend SHA-256 to pages from https or this machine only. */
export const canCompute = Boolean(globalThis.crypto?.subtle);

/** `onProgress(bytes)` is told as it goes. Raises AbortError when `signal` says so. */
export async function cidOf(blob, { onProgress = () => {}, signal } = {}) {
  let level = [];
  for (let at = 0; at < blob.size || at === 0; at += LEAF) {
    signal?.throwIfAborted();
    const data = new Uint8Array(await blob.slice(at, at + LEAF).arrayBuffer());
    level.push({ cid: await cid(RAW, data), size: data.length, total: data.length });
    onProgress(Math.min(blob.size, at + LEAF));
  }
  while (level.length > 1) {
    const above = [];
    for (let at = 0; at < level.length; at += LINKS) above.push(await node(level.slice(at, at + LINKS)));
    level = above;
  }
  return `b${base32(level[0].cid)}`;
}

async function node(parts) {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  const file = [...number(1, 2), ...number(3, size), ...parts.flatMap((part) => number(4, part.size))];
  const links = parts.flatMap((part) => field(2, [...field(1, part.cid), ...field(2, []), ...number(3, part.total)]));
  const data = Uint8Array.from([...links, ...field(1, file)]);
  return { cid: await cid(DAG_PB, data), size, total: data.length + parts.reduce((sum, part) => sum + part.total, 0) };
}

async function cid(codec, data) {
  return [1, codec, 0x12, 0x20, ...new Uint8Array(await crypto.subtle.digest("SHA-256", data))];
}

const number = (tag, value) => [...varint(tag << 3), ...varint(value)];
const field = (tag, data) => [...varint((tag << 3) | 2), ...varint(data.length), ...data];

function varint(value) {
  const out = [];
  while (value >= 128) {
    out.push((value % 128) + 128);
    value = Math.floor(value / 128); // a shift would lose what is beyond 32 bits
  }
  return [...out, value];
}

function base32(data) {
  let [out, bits, held] = ["", 0, 0];
  for (const byte of data) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) out += ALPHABET[(held >> (bits - 5)) & 31];
  }
  return bits ? out + ALPHABET[(held << (5 - bits)) & 31] : out;
}
