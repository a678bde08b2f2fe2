// The JS oracle of cid_vectors.json: reads one file, prints its CID as the npm package `ipfs-unixfs-importer` makes it.
// Usage: node importer.mjs FILE CHUNK_SIZE MAX_LINKS   (from a folder with `npm install ipfs-unixfs-importer blockstore-core`)
import { createReadStream } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const require = createRequire(process.cwd() + '/')
const load = async (name) => import(pathToFileURL(require.resolve(name)))
const { importFile } = await load('ipfs-unixfs-importer')
const { fixedSize } = await load('ipfs-unixfs-importer/chunker')
const { balanced } = await load('ipfs-unixfs-importer/layout')
const { BlackHoleBlockstore } = await load('blockstore-core/black-hole')

const [file, chunkSize, maxChildrenPerNode] = process.argv.slice(2)
const { cid } = await importFile({ content: createReadStream(file) }, new BlackHoleBlockstore(), {
  cidVersion: 1,
  rawLeaves: true,
  reduceSingleLeafToSelf: true,
  chunker: fixedSize({ chunkSize: Number(chunkSize) }),
  layout: balanced({ maxChildrenPerNode: Number(maxChildrenPerNode) })
})
console.log(cid.toString())
