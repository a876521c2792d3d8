// Package probe is a headless player: it plays RTMP streams with many
// connections at once and says how well that went. It decodes no pictures; the
// marks of the built-in test pattern tell it which frame it got and how long
// that was under way, and timestamps tell of gaps in any other stream.
package probe
