// Package web is the HTTP door of a node, for players, for operators and their tools. All
// answers are JSON, but for media.
//
//	GET  /{app}/{stream...}.flv        ─> Player         a stream as FLV
//	GET  /route/{app}/{stream...}      ─> Router         where to play a stream, or a redirect there
//	GET  /api/v1/nodes, hotness        ─> kv.View        what the node knows of the cluster, from memory
//	GET  /api/v1/connections, streams  ─> kv.Store       read for each request, a few at a time
//	GET  /api/v1/stats, /healthz       ─> Stats, Self    this node
//	POST /api/v1/.../kick, drain       ─> kv.Store.Ask   the node that it is about
//
// /api/v1/openapi.json describes them; a test compares it with the routes and the Go types.
//
// Decisions:
//
//   - Answers are those of the kv types, in the order of kv's lists: what one reads here, in the
//     command line and with `nats kv` has the same names.
//   - A read of the store holds its place until the answer is written, so that clients that read
//     slowly cannot pile up lists of the whole cluster in memory.
//   - There is no access control yet. Everybody may read, web pages too. Who may kick and drain
//     must be on the node's own host, and neither a browser, which any page can make send a
//     request, nor behind a proxy, which makes everybody look local. A proxy that hides itself must
//     not pass POST requests on.
//   - A path that is not canonical ("//", "..") is refused. ServeMux would redirect, and escape the
//     name of the stream a second time.
//   - Whoever wants to play on a node that drains is redirected to another one: all HTTP players
//     follow, unlike those of RTMP.
//   - HEAD does not wait for a stream, as GET does: it tells whether there is one now.
//   - In a redirect .flv is the format asked for, and not part of the stream's name; in a JSON
//     answer the name is taken as it is. RTMP clients send what is in the URL without decoding it,
//     so RTMP URLs are not escaped.
//   - 503 means that it may work later, or elsewhere: NATS does not answer, no node takes players,
//     too many requests at once.
package web
