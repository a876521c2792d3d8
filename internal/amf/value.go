package amf

// Value is one AMF value. It holds one of:
//
//	nil                 null
//	Undefined           undefined; AMF0 "unsupported" is read as this
//	bool
//	float64             AMF0 number, AMF3 double
//	int32               AMF3 integer, of 29 bits
//	string
//	*Object
//	*ECMAArray          AMF3: an array that has an associative part
//	StrictArray         AMF3: an array that has none
//	Date
//	XMLDocument         AMF0 XML, AMF3 XMLDocument
//
// and, in AMF3 only,
//
//	XML
//	ByteArray
//	Vector[int32], Vector[uint32], Vector[float64], Vector[Value]
//	Dictionary
//
// The writers also take an int: AMF0 writes it as a number, AMF3 as an integer
// or, where 29 bits do not hold it, as a double. A nil *Object or *ECMAArray is
// null. Any other type is [ErrUnsupported].
type Value any

// Undefined is the value undefined.
type Undefined struct{}

// Object is an anonymous object, or a typed one when Class is set.
type Object struct {
	Class string
	Members
}

// ECMAArray is an associative array. The dense part of a mixed AMF3 array is
// read as members "0", "1" and so on, which follow the associative part.
type ECMAArray struct {
	Members
}

// StrictArray is a dense array.
type StrictArray []Value

// Date is a point in time.
type Date struct {
	// Millis counts from the epoch, in UTC.
	Millis float64
	// Zone is reserved and should be 0 (AMF0 2.13); AMF3 does not have it.
	Zone int16
}

// XMLDocument is the text of an ActionScript XMLDocument.
type XMLDocument string

// XML is the text of an ActionScript 3 (E4X) XML.
type XML string

// ByteArray is an ActionScript 3 ByteArray.
type ByteArray []byte

// Vector is an ActionScript 3 vector.
type Vector[T int32 | uint32 | float64 | Value] struct {
	// Fixed says that the vector's length may not change.
	Fixed bool
	// Class names the type of the items of a Vector[Value]; empty means any.
	Class string
	Items []T
}

// Dictionary is an ActionScript 3 dictionary, whose keys are values of any type.
type Dictionary struct {
	WeakKeys bool
	Entries  []Entry
}

// Entry is one pair of a [Dictionary].
type Entry struct{ Key, Value Value }

// Member is a named value of an [Object] or an [ECMAArray].
type Member struct {
	Key   string
	Value Value
}

// Members are named values in the order of the wire.
type Members []Member

// Get returns the value of key, and whether there is one.
func (m Members) Get(key string) (Value, bool) {
	if i := m.index(key); i >= 0 {
		return m[i].Value, true
	}
	return nil, false
}

// String returns the value of key if it is a string, else "".
func (m Members) String(key string) string {
	v, _ := m.Get(key)
	s, _ := v.(string)
	return s
}

// Number returns the value of key if it is a number of any type, else 0.
func (m Members) Number(key string) float64 {
	v, _ := m.Get(key)
	n, _ := Number(v)
	return n
}

// Set replaces the value of key, or adds it at the end.
func (m *Members) Set(key string, v Value) {
	if i := m.index(key); i >= 0 {
		(*m)[i].Value = v
		return
	}
	*m = append(*m, Member{key, v})
}

func (m Members) index(key string) int {
	for i := len(m) - 1; i >= 0; i-- {
		if m[i].Key == key {
			return i
		}
	}
	return -1
}

// Fields returns the members of an [Object] or an [ECMAArray], which senders use
// for the same purposes, and nil for any other value.
func Fields(v Value) Members {
	switch v := v.(type) {
	case *Object:
		if v != nil {
			return v.Members
		}
	case *ECMAArray:
		if v != nil {
			return v.Members
		}
	}
	return nil
}

// Number returns v as a float64 if it is a number of any type: clients send the
// same argument as an AMF0 number or as an AMF3 integer.
func Number(v Value) (n float64, ok bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int32:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}
