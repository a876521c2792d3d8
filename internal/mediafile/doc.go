// Package mediafile reads FLV and MP4 files (M4V and MOV too) as what a live stream
// is made of: codec headers and frames whose payloads are FLV tag bodies.
//
//	FLV: walk over the tag headers ──────────────┐
//	MP4: own walk over the boxes ─▶ mp4ff decodes ├─▶ index ─▶ segments ─▶ Read(n) ─▶ frames
//	     those few that are needed ─▶ edit lists ─┘   24 bytes a frame
//
// The files: one for each table of MP4 that has rules of its own (box, track, entry, edit,
// fragment, headers, packing), flv.go, and the index with what is read from it. They share the
// index, so they are one room.
//
// Decisions:
//
//   - Open reads no media: an index of all frames is kept in memory, in the order in
//     which they are played, and the payload is read when a segment is asked for.
//   - Boxes are found by a walker of ours, so that size, number and depth are checked
//     before anything is allocated, and what is not needed (tags, covers, unknown
//     boxes) cannot spoil a file. mp4ff decodes the leaves. Runs of samples and sample
//     entries are read here: mp4ff refuses a run of more than 1024 equal samples, and the
//     sound of QuickTime files.
//   - Edit lists are followed as ffmpeg follows them, which is the reference: frames
//     before an edit are kept from the last keyframe on, the first picture of an edit is
//     moved to where the edit begins, fragmented files use the first edit alone. Frames
//     behind an edit are dropped; ffmpeg marks them to be dropped after decoding, which a
//     stream cannot say.
//   - Times are milliseconds, each converted from its track's clock on its own, so that
//     nothing accumulates. The whole file is moved so that the first DTS is 0.
//   - A codec without a composition time in FLV (AV1, VP9) is stamped with its PTS.
//   - A file of which the end is missing is refused, but for FLV (the last tag may be cut
//     off) and fragmented MP4 (the last fragment may): recordings of a killed
//     recorder are like that.
//   - Where an MP4 track changes its sample description, or an FLV file its sequence headers, the
//     new ones are among the frames, and HeadersAt tells them to who begins later. A change of the
//     codec itself is refused.
//   - Composition times below 0 in fragments delay their track by the lowest of them, as
//     ffmpeg does, though by the standard it is the decoding that is earlier.
//   - Timestamps of an FLV file that leap back by more than 10 s, as where two recordings
//     were joined, go on from where they were.
package mediafile
