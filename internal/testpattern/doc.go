// Package testpattern makes the built-in test stream: H.264 video of 640x360
// that shows a label, a frame counter, the wall clock, a moving box and colour
// bars, and AAC audio that beeps each second.
//
//	New ─> Source.Next: canvas (what to show) ─> encoder (slice) ─> SEI mark + slice + filler ─> media.Frame
//
// Decisions:
//
//   - The video is Constrained Baseline with CAVLC, and a macroblock is either
//     P_Skip or Intra16x16 that carries DC coefficients alone. So a picture is a
//     mosaic of flat dots, 4x4 pixels of luma under 8x8 of chroma, and of the
//     coding tables of the standard only the few for nC = 0 are needed: no AC
//     coefficient is ever coded, so every neighbour counts as zero (9.2.1).
//   - The encoder keeps the picture that a decoder has, dot for dot, because
//     intra prediction starts from it. Nothing drifts, and a P picture costs only
//     the macroblocks whose dots changed: some 300 bytes where a keyframe has 5000.
//   - A configured bitrate is reached by filler data NAL units, a keyframe being
//     given four times what another picture is given.
//   - Every picture carries a [Mark] in an SEI message, so that a player without
//     a decoder measures latency and continuity.
//   - Frames are immutable, so one source, which takes some 0.3 % of a core,
//     feeds any number of publishers.
//   - The audio is eight seconds, exactly 375 frames, from the middle of a longer
//     encoding of a signal that repeats each second: it loops without a seam.
//
// These commands make the audio, beep.aac:
//
//	ffmpeg -f lavfi -i "aevalsrc='0.06*sin(2*PI*220*t)+0.04*sin(2*PI*330*t)
//	    +0.4*sin(2*PI*1000*t)*lt(mod(t,1),0.1)*sin(PI*mod(t,1)/0.1)':s=48000:d=24"
//	    -ac 1 -c:a aac -b:a 44k long.aac
//	ffmpeg -i long.aac -ss 8 -frames:a 375 -c copy beep.aac
//
// Numbers of clauses and tables are those of ITU-T H.264.
package testpattern
