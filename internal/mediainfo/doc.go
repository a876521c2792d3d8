// Package mediainfo tells what a published stream is, learnt from its frames:
// codecs, picture size, frame rate, sound, bitrate.
//
//	                ┌ header ──▶ codec string, size, sample rate ─┐
//	frame ──▶ Add ──┼ onMetaData ──▶ what the headers leave out ──┼──▶ Info
//	                └ coded ───▶ window of ten seconds: rates ────┘
//
// Decisions:
//
//   - Nothing here fails. What cannot be read leaves its fields empty: a stream
//     goes on whatever its headers say.
//   - Codec headers are parsed when they come, coded frames are only counted. Two
//     exceptions are codecs that have no header of their own, or one without the
//     size: the first frame of MP3, AC-3 and E-AC-3, and the first keyframe of VP8
//     and VP9.
//   - The rates follow the DTS of the pictures of the first track or, where there
//     are none, of its sound. No clock is read, so a burst or a stall of the
//     network changes nothing. A leap of the timestamps starts the window again.
//   - The bitrate is that of everything in the stream: all tracks, headers,
//     onMetaData. The window is as long as encoders' usual distance of keyframes,
//     which evens out what a keyframe weighs.
//   - Where a size cannot be read, that of onMetaData is taken: mediacommon refuses
//     HEVC with levels for its sub-layers and AV1 with a decoder model.
//   - A stream that keeps changing makes an Info that keeps changing: whoever
//     publishes it decides how often.
package mediainfo
