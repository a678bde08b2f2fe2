// k6: the same read mix in an open loop (an arrival rate, not so many users), with the plan's bar as thresholds.
//   k6 run -e URL=http://127.0.0.1:3000 -e RATE=10000 -e TOKEN=… load-tests/reads.k6.js
import http from 'k6/http'
import { check } from 'k6'

const mix = JSON.parse(open('./mix.json'))
const url = __ENV.URL || 'http://127.0.0.1:3000'
const headers = { Accept: 'application/json', 'Content-Type': 'application/json' }
if (__ENV.TOKEN) headers.Authorization = `Bearer ${__ENV.TOKEN}`

export const options = {
  scenarios: {
    reads: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || mix.bar.rate),
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: 100,
      maxVUs: 1000
    }
  },
  thresholds: { http_req_duration: [`p(99)<${mix.bar.p99Ms}`], http_req_failed: ['rate==0'], dropped_iterations: ['count==0'] }
}

export function setup () {
  const order = JSON.stringify({
    customerId: 'cus_load',
    currency: 'EUR',
    items: [{ sku: 'book', quantity: 2, unitPrice: 1250 }],
    paymentToken: 'tok_ok'
  })
  const ids = Array.from({ length: mix.orders }, () => http.post(`${url}/api/orders`, order, { headers }).json('orderId'))
  const settled = ids.map((id) => {
    for (let tries = 0; tries < 100; tries++) {
      const answer = http.get(`${url}/api/orders/${id}`, { headers })
      if (['completed', 'failed', 'cancelled'].includes(answer.json('status'))) return { id, tag: answer.headers.Etag }
    }
    throw new Error(`order ${id} does not come to an end`)
  })
  return { orders: settled }
}

export default function ({ orders }) {
  let wanted = Math.random() * mix.reads.reduce((sum, read) => sum + read.weight, 0)
  const read = mix.reads.find((each) => (wanted -= each.weight) < 0) || mix.reads[0]
  const order = orders[Math.floor(Math.random() * orders.length)]
  const more = read.conditional && order.tag ? { 'If-None-Match': order.tag } : {}
  const answer = http.get(url + read.path.replace('{order}', order.id), { headers: { ...headers, ...more }, tags: { name: read.name } })
  check(answer, { 'as it should be': ({ status }) => status === (read.conditional ? 304 : 200) })
}
