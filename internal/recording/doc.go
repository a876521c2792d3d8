// Package recording writes the frames of a stream to media files.
//
//	groups of frames ─▶ Recording ─▶ FLV or fragmented MP4 ─▶ file ─▶ the next file
//	                     │ its own time, from 0          Template + Dir ┘
//	                     └ codec headers, splits
//
// Decisions:
//
//   - A file that its recorder left without a word plays to its end: FLV is
//     appended in whole tags, MP4 in whole fragments, each with one write. What a
//     clean end adds, the duration, is written into room that was reserved for it.
//   - A file begins at 0. Its time follows that of the frames: what is missing
//     leaves a gap. A step back does not: the file goes on behind its last frame.
//   - Files are split at keyframes. One that is longer than a week is split anyway, so
//     that the milliseconds of a file never overflow.
//   - After a loss, pictures are left out until the next keyframe; sound goes on.
//   - FLV takes what comes, byte for byte. Codec headers are written when they
//     change; onMetaData only once, for a later one would be taken for subtitles.
//   - MP4 has a sample for each frame, and keeps the stream's milliseconds as its time
//     scale, so that no time is rounded. There are no edit lists: decoding times and
//     composition offsets are those of the stream, for sound and pictures alike. Codec
//     configurations are passed on byte for byte. A header that changes begins a new file.
//   - A file is never overwritten: another number is added to the name. A publisher that asks for
//     "record" under a name without time or number replaces the file of an earlier publication, one
//     that asks for "append" goes on with it.
//   - A stream's name never leaves the directory: what a file system or a player may
//     take for something else is escaped, and an [os.Root] holds back the rest.
package recording
