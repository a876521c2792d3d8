// Package client is a small RTMP client: the headless player of the command line,
// and the tool with which tests publish and play frames byte for byte.
//
//	Dial ─> Play    ─> Read ... io.EOF ─> Close      one goroutine
//	Dial ─> Publish ─> Write ...       ─> Close      one goroutine, and one within
//	Dial, DialApp ─> SendSharedObject ... ─> Close
//	              └> ReadSharedObject ...            one goroutine each
//
// Dial connects, with TLS for an rtmps:// URL, shakes hands and calls connect; the rest
// of the URL is the name that Play or Publish give. Pings and acknowledgements are answered while a
// call waits for the server; a publication has a goroutine of its own for that,
// which ends with Close.
//
// Each step may take 10 seconds, unless its context ends before. The context of
// Dial bounds the whole life of the connection.
package client
