// Package show has the commands that show what the cluster knows: its nodes, their clients,
// the streams, how hot they are, and where a stream is best played.
//
// All but route are a [listing]: what a bucket holds, as a table or JSON, once or for as
// long as --watch runs.
package show
