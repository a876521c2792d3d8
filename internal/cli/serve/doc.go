// Package serve has the commands that run nodes: edge and origin, which run one on external
// NATS, and dev, which runs a whole cluster in the process. It turns flags into a
// [node.Config], and tells the user what runs and where.
package serve
