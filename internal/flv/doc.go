// Package flv reads and writes FLV tags (Adobe FLV 10.1, annex E): the payload of
// every chunk on the bus, the body of an HTTP-FLV answer, and a file's content.
//
// A tag is 11 bytes of header, the body, and 4 bytes that repeat the size of
// both. Bodies are not interpreted here: package media does that.
package flv
