// Package media holds the words that every other package speaks: the [Frame],
// the [Name] of a stream, and the codec [Headers] a decoder needs before its
// first frame.
//
// A frame's payload is the body of an FLV tag, which is also the body of an
// RTMP audio, video or data message, and it is passed on byte for byte. The
// package reads only the few leading bytes that say whether a frame is a
// keyframe or a codec header, in the legacy FLV form (Adobe FLV 10.1, annex E)
// and in Enhanced RTMP v2 (multitrack and ModEx included). What it cannot read
// is an ordinary frame: nothing is refused for being unknown.
package media
