package amf

import "errors"

// The JSON form of values, for stores and for people. What JSON has is plain JSON:
//
//	null                 null
//	bool                 true, false
//	number, integer      1, -2.5, 1e+21: as encoding/json writes a float64
//	string               "text"
//	StrictArray          [1,"a"]
//	anonymous Object     {"x":1,"y":2}, in the order of its members
//
// The rest is an object whose first member is "$amf", the kind:
//
//	undefined            {"$amf":"undefined"}
//	NaN, infinities, -0  {"$amf":"number","value":"NaN"}, "Infinity", "-Infinity", "-0"
//	string, not UTF-8    {"$amf":"string","base64":"/w=="}
//	other Object         {"$amf":"object","class":"Point","members":[["x",1],["y",2]]}
//	ECMAArray            {"$amf":"array","members":[["a",1]]}
//	Date                 {"$amf":"date","millis":1500000000000,"zone":-60}
//	XML                  {"$amf":"xml","text":"<a/>"}
//	XMLDocument          {"$amf":"xmldocument","text":"<a/>"}
//	ByteArray            {"$amf":"bytes","base64":"AQI="}
//	Vector[int32]        {"$amf":"vector-int","items":[1,-1],"fixed":true}
//	Vector[uint32]       {"$amf":"vector-uint","items":[1]}
//	Vector[float64]      {"$amf":"vector-double","items":[1.5]}
//	Vector[Value]        {"$amf":"vector-object","class":"Point","items":[null]}
//	Dictionary           {"$amf":"dictionary","entries":[[{"x":1},"a"]],"weak":true}
//
// "Other" objects are typed, or have a key twice, a key that is not UTF-8, or the
// key "$amf", which is reserved. Members, keys of members, classes and texts that
// are not UTF-8 have the form of a string that is not. The members class, zone, fixed
// and weak are left out if they are empty, 0 or false. Behind "$amf" the order is
// free; any other member is an error.
//
// Values come back equal, except that an integer comes back as a float64 and that
// there is one NaN only. References are written out.
const tag = "$amf"

// The kinds of tagged values.
const (
	kindUndefined    = "undefined"
	kindNumber       = "number"
	kindString       = "string"
	kindObject       = "object"
	kindArray        = "array"
	kindDate         = "date"
	kindXML          = "xml"
	kindXMLDocument  = "xmldocument"
	kindBytes        = "bytes"
	kindVectorInt    = "vector-int"
	kindVectorUint   = "vector-uint"
	kindVectorDouble = "vector-double"
	kindVectorObject = "vector-object"
	kindDictionary   = "dictionary"
)

// ErrJSON is wrapped by errors about bytes that are not JSON, or not the JSON form
// of a value.
var ErrJSON = errors.New("malformed JSON of an AMF value")
