// Package webobjects lets browsers, and all who speak HTTP, use shared objects: JSON over
// WebSocket, server-sent events, and plain requests. See [Web] for the messages.
//
// Decisions:
//
//   - Pages of other origins are refused unless the operator allows them: browsers let any page
//     open a WebSocket. Plain requests that change something must be of a type for which browsers
//     ask first.
//   - A WebSocket costs a goroutine that reads, and a small buffer: nothing of its HTTP request is
//     kept, and one goroutine sends the pings of all. Server-sent events are the same messages in
//     another frame.
package webobjects
